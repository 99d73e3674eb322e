//! What a person may answer.
//!
//! Answers: for how long may this flow be allowed?
//! Never: offers "always" for what cannot be undone or for stored data.

use std::collections::BTreeSet;

use bus::message::user::{Category, Choice, Effect, Width};

use super::destination::Whence;
use super::question::Question;

/// The answers offered, least first.
#[must_use]
pub fn offers(question: &Question) -> Vec<Choice> {
    match (question.effect, question.category()) {
        // Each is its own: a yes to one message is not a yes to the next.
        (Effect::Irreversible, _) => vec![Choice::Once, Choice::Deny],
        // What is stored grows; a yes holds for the items seen, in this conversation.
        (_, Category::Data) => vec![Choice::Once, Choice::Session, Choice::Deny],
        (Effect::Read | Effect::Write, Category::Exec | Category::Collab) => {
            vec![Choice::Once, Choice::Session, Choice::Always, Choice::Deny]
        }
    }
}

/// Was this answer offered? One that was not counts as a no.
#[must_use]
pub fn accepts(question: &Question, choice: Choice) -> bool {
    offers(question).contains(&choice)
}

/// How far a yes that holds for longer may reach, narrowest first. Nothing to choose where the receivers are the user's
/// own words, or there are none.
#[must_use]
pub fn widths<'a>(questions: impl Iterator<Item = &'a Question>) -> Vec<Width> {
    let mut domains = BTreeSet::new();
    let mut any = false;
    for question in questions {
        // What is not in the plan is allowed as it was shown, or not at all.
        if !question.conformance.is_expected() {
            return Vec::new();
        }
        let unnamed = question.destinations.iter().filter(|receiver| receiver.whence != Whence::User);
        for receiver in unnamed {
            any = true;
            domains.extend(domain(&receiver.value));
        }
    }
    if !any {
        return Vec::new();
    }
    // Several domains are not one width; then it is these receivers or anybody.
    let one = (domains.len() == 1).then(|| domains.into_iter().next()).flatten();
    [Some(Width::Shown), one.map(Width::Domain), Some(Width::Anybody)].into_iter().flatten().collect()
}

/// The domain of a mail address, in lower case. Of nothing else: `x.example` in a path is no domain.
#[must_use]
pub fn domain(receiver: &str) -> Option<String> {
    let (name, domain) = receiver.split_once('@')?;
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '@' | '<' | '>' | ',' | ';' | '"'));
    let whole = domain.contains('.') && domain.split('.').all(label);
    (plain && whole).then(|| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_mail_address_has_a_domain() {
        assert_eq!(domain("bob@Mail.x.example").as_deref(), Some("mail.x.example"));
        for other in [
            "bob",
            "@x.example",
            "bob@",
            "bob@localhost",
            "a@b@x.example",
            "bob@x.example,eve@evil.example",
            "bob@x.example\u{200b}",
            "bob@\u{445}.example",
            "https://u@x.example/a",
            "Bob <bob@x.example>",
            "bob@.example",
        ] {
            assert_eq!(domain(other), None, "{other:?}");
        }
    }
}
