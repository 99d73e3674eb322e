//! How prompts are answered when nobody types, or when somebody does.
//!
//! Answers: what does this kind of user say to this prompt?
//! Never: allows what a prompt does not offer.

use bus::message::user::{Choice, Prompt};

/// The kind of user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Consent {
    /// Ask at the terminal.
    Ask,
    /// Nobody is there: whatever would ask is refused.
    Deny,
    /// Allow once what carries no warning, refuse what does: a user who heeds warnings.
    Expected,
    /// Allow everything once: a careless user.
    Once,
}

/// What to do about a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Say this.
    Say(Choice),
    /// Ask the person.
    AskPerson,
}

impl Consent {
    /// The usual: ask on a terminal, deny elsewhere.
    #[must_use]
    pub fn or_usual(given: Option<Self>, terminal: bool) -> Self {
        given.unwrap_or(if terminal { Consent::Ask } else { Consent::Deny })
    }

    /// Will prompts be answered at all?
    #[must_use]
    pub fn attends(self) -> bool {
        self != Consent::Deny
    }

    /// What this kind of user says.
    #[must_use]
    pub fn answer(self, prompt: &Prompt) -> Answer {
        let once = if prompt.offers.contains(&Choice::Once) { Choice::Once } else { Choice::Deny };
        match self {
            Consent::Ask => Answer::AskPerson,
            Consent::Deny => Answer::Say(Choice::Deny),
            Consent::Expected if prompt.warning.is_some() || !prompt.flow.expected => {
                Answer::Say(Choice::Deny)
            }
            Consent::Expected | Consent::Once => Answer::Say(once),
        }
    }
}

/// The choice of a typed letter or word, if it is offered.
#[must_use]
pub fn typed(word: &str, offers: &[Choice]) -> Option<Choice> {
    let choice = match word.trim().to_ascii_lowercase().as_str() {
        "o" | "once" => Choice::Once,
        "s" | "session" => Choice::Session,
        "a" | "always" => Choice::Always,
        "d" | "deny" | "n" | "no" => Choice::Deny,
        _ => return None,
    };
    offers.contains(&choice).then_some(choice)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt(warning: Option<&str>, offers: &[Choice]) -> Prompt {
        serde_json::from_value(json!({
            "id": "p", "query": "q", "session": "s", "warning": warning, "apps_words": null, "offers": offers, "limit_ms": 1,
            "flow": {"from": "plan", "to": "mail.send", "args": {}, "labels": [], "expected": warning.is_none(), "effect": "write",
                "category": "exec", "decision": "ask", "by": "policy:write", "reason": ""}
        }))
        .unwrap()
    }

    #[test]
    fn a_heeding_user_refuses_whatever_carries_a_warning() {
        let offers = [Choice::Once, Choice::Deny];
        assert_eq!(Consent::Expected.answer(&prompt(None, &offers)), Answer::Say(Choice::Once));
        assert_eq!(Consent::Expected.answer(&prompt(Some("!"), &offers)), Answer::Say(Choice::Deny));
        assert_eq!(Consent::Once.answer(&prompt(Some("!"), &offers)), Answer::Say(Choice::Once));
        assert_eq!(Consent::Deny.answer(&prompt(None, &offers)), Answer::Say(Choice::Deny));
    }

    #[test]
    fn nothing_is_allowed_that_is_not_offered() {
        assert_eq!(Consent::Once.answer(&prompt(None, &[Choice::Deny])), Answer::Say(Choice::Deny));
        assert_eq!(typed("a", &[Choice::Once, Choice::Deny]), None);
        assert_eq!(typed("Once\n", &[Choice::Once, Choice::Deny]), Some(Choice::Once));
    }
}
