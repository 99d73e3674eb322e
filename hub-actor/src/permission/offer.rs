//! What a person may answer.
//!
//! Answers: for how long may this flow be allowed?
//! Never: offers "always" for what cannot be undone or for stored data.

use bus::message::user::{Category, Choice, Effect};

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
