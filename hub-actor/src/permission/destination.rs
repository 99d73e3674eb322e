//! Who receives.
//!
//! Answers: did the user name this receiver?
//! Never: takes an app's or a model's word for it; a receiver is the user's if it stands in the user's words.

use bus::id::{AppId, StepId};
use bus::message::user::{Named, Receiver};
use serde_json::Value;

use super::label::{Label, Labels};
use super::lookalike::is_hidden;
use crate::plan::{Sight, Source};

/// A receiver, as an argument names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The parameter, as the manifest marks it.
    pub parameter: String,
    /// The receiver.
    pub value: String,
    /// Who named it.
    pub whence: Whence,
}

/// Who named a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The user: it stands in the user's words.
    User,
    /// The planner, and it does not stand there.
    Planner,
    /// It came from an earlier step.
    Step {
        /// Which.
        step: StepId,
        /// What its value carries.
        labels: Labels,
        /// What was in sight of whatever chose it.
        sight: Sight,
    },
    /// The app that asks.
    App(AppId),
}

impl Destination {
    /// As flows tell it.
    #[must_use]
    pub fn told(&self) -> Receiver {
        let (whence, sources) = match &self.whence {
            Whence::User => (Named::User, Vec::new()),
            Whence::Planner => (Named::Planner, Vec::new()),
            Whence::Step { labels, .. } => (Named::Step, labels.to_strings()),
            Whence::App(app) => (Named::App, vec![Label::App(app.clone()).to_string()]),
        };
        Receiver { parameter: self.parameter.clone(), value: self.value.clone(), whence, sources }
    }
}

/// All receivers in these arguments. `sources` is which parts came from earlier steps, `words` all that the user
/// said in this conversation, `asked_by` the app if one asks.
#[must_use]
pub fn check(
    parameters: &[String],
    args: &Value,
    sources: &[Source],
    words: &str,
    asked_by: Option<&AppId>,
) -> Vec<Destination> {
    let mut found = Vec::new();
    for parameter in parameters {
        let Some(value) = args.get(parameter) else { continue };
        let at = format!("/{}", parameter.replace('~', "~0").replace('/', "~1"));
        leaves(value, &at, &mut |at, value| {
            let source = sources.iter().find(|source| is_within(at, &source.at));
            let whence = match (stands_in(words, &value), asked_by, source) {
                (true, ..) => Whence::User,
                (false, Some(app), _) => Whence::App(app.clone()),
                (false, None, Some(source)) => Whence::Step {
                    step: source.step.clone(),
                    labels: source.labels.clone(),
                    sight: source.sight,
                },
                (false, None, None) => Whence::Planner,
            };
            found.push(Destination { parameter: parameter.clone(), value, whence });
        });
    }
    found
}

fn is_within(at: &str, whole: &str) -> bool {
    at.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Every text and number in a value. Truth values and empty texts name nobody.
fn leaves(value: &Value, at: &str, found: &mut dyn FnMut(&str, String)) {
    match value {
        Value::String(text) if !text.trim().is_empty() => found(at, text.clone()),
        Value::Number(number) => found(at, number.to_string()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                // A name of a field can name somebody as well as a value can.
                found(at, name.clone());
                leaves(field, &format!("{at}/{name}"), found);
            }
        }
        Value::String(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// Does the value stand in the words by itself, not as a part of a longer address, name or number? Character by
/// character: what only looks alike, or is written in another way, is something else. The one exception is that mail
/// addresses may differ in the case of ASCII letters.
#[must_use]
pub fn stands_in(words: &str, value: &str) -> bool {
    if value.trim().is_empty() {
        return false;
    }
    if value.contains('@') {
        return stands(&words.to_ascii_lowercase(), &value.to_ascii_lowercase());
    }
    stands(words, value)
}

fn stands(words: &str, value: &str) -> bool {
    words.match_indices(value).any(|(start, _)| {
        let before = words.get(..start).unwrap_or_default().chars().next_back();
        let mut after = words.get(start.saturating_add(value.len())..).unwrap_or_default().chars();
        let joins = |c: char| c.is_alphanumeric() || matches!(c, '@' | '_' | '+' | '%') || is_hidden(c);
        // Before a receiver, a dot or a dash makes it part of a longer one; after it only if more follows.
        let open_before = before.is_none_or(|c| !joins(c) && !matches!(c, '.' | '-' | '/'));
        let open_after = match after.next() {
            None => true,
            Some('.' | '-' | '/' | ':' | '?' | '&' | '=' | '#') => {
                after.next().is_none_or(|c| !joins(c) && c != '/')
            }
            Some(c) => !joins(c),
        };
        open_before && open_after
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn named(words: &str, value: &str, expected: bool) {
        let found = check(&["to".into()], &json!({"to": value}), &[], words, None);
        let whence = if expected { Whence::User } else { Whence::Planner };
        assert_eq!(found, [Destination { parameter: "to".into(), value: value.into(), whence }], "{words:?}");
    }

    #[test]
    fn a_receiver_in_the_users_words_is_the_users() {
        named("Send the notes to bob@x.example, please", "bob@x.example", true);
        named("write to Bob@X.example.", "bob@x.example", true);
        named("transfer 5 to DE89 3704", "DE89 3704", true);
        named("share it with <bob@x.example>", "bob@x.example", true);
    }

    #[test]
    fn a_part_of_a_longer_receiver_is_another_receiver() {
        named("Send it to notbob@x.example", "bob@x.example", false);
        named("Send it to bob@x.example.org", "bob@x.example", false);
        named("post to https://x.example/pay", "https://x.example", false);
        named("pay into 12345", "1234", false);
        named("Summarise the newest email", "attacker@evil.example", false);
    }

    /// What only looks like the user's receiver, or is another way to write it, is another.
    #[test]
    fn a_receiver_written_in_another_way_is_another_receiver() {
        let words = "Send it to bob@x.example and pay DE89 3704 or Kim, see https://x.example/a";
        for value in [
            "b\u{043e}b@x.example",
            "bob@x.example\u{200b}",
            "bob@x.example ",
            "bob+news@x.example",
            "bob%40x.example",
            "DE893704",
            "de89 3704",
            "\u{212a}im",
            "https://X.example/a",
            "https://x.example/a/",
            "https://x.example/A",
        ] {
            named(words, value, false);
        }
        named(words, "DE89 3704", true);
        named(words, "https://x.example/a", true);
        // A character without width in the user's own words does not make two of one.
        named("send it to bob@x.example\u{200b}.evil.example", "bob@x.example", false);
    }

    #[test]
    fn each_receiver_of_a_list_is_checked_and_its_source_told() {
        let labels = Labels::of(Label::parse("app:mail").unwrap());
        let step = StepId::parse("s1").unwrap();
        let sources =
            [Source { at: "/to/1".into(), step: step.clone(), labels: labels.clone(), sight: Sight::Field }];
        let found = check(
            &["to".into()],
            &json!({"to": ["bob@x.example", "eve@evil.example"], "body": "hi"}),
            &sources,
            "send it to bob@x.example",
            None,
        );
        let whence: Vec<&Whence> = found.iter().map(|found| &found.whence).collect();
        assert_eq!(whence, [&Whence::User, &Whence::Step { step, labels, sight: Sight::Field }]);
    }

    #[test]
    fn a_receiver_that_an_app_names_is_the_apps() {
        let app = AppId::parse("mail").unwrap();
        let found = check(&["to".into()], &json!({"to": "eve@evil.example"}), &[], "summarise", Some(&app));
        assert_eq!(found.first().unwrap().whence, Whence::App(app));
    }
}
