//! A conversation with the hub, on behalf of a person or of a rule.
//!
//! Answers: how does a query go from the words to the outcome, with prompts answered on the way?
//! Never: allows anything that neither the person nor the chosen kind of user said yes to.

mod keys;
mod view;

use bus::id::{SessionId, WorkId};
use bus::message::user::{Choice, Happening, Outcome, Prompt};

use crate::client::{Client, Heard, Question};
use crate::consent::{Answer, Consent};
use crate::error::Error;

pub use keys::Keys;
pub use view::View;

/// One user's conversation.
pub struct Conversation {
    /// The connection.
    pub client: Client,
    /// Its name; another name is another conversation.
    pub session: SessionId,
    /// Private mode?
    pub private: bool,
    /// How prompts are answered.
    pub consent: Consent,
    /// Where a person's answers come from.
    pub keys: Keys,
    /// The last query, for a new plan of it.
    pub last: Option<WorkId>,
}

/// How a query ended.
#[derive(Debug)]
pub enum Ended {
    /// With an outcome; beside it what of the answer is on the screen already.
    Outcome(Box<Outcome>, String),
    /// By Ctrl-C, twice.
    Interrupted,
}

impl Conversation {
    /// A conversation.
    #[must_use]
    pub fn new(client: Client, session: SessionId, private: bool, consent: Consent, keys: Keys) -> Self {
        Self { client, session, private, consent, keys, last: None }
    }

    /// Asks, shows what happens, answers prompts, and returns the outcome.
    ///
    /// # Errors
    /// If the hub does not take the query or falls silent.
    pub async fn ask(
        &mut self,
        text: &str,
        replan_of: Option<WorkId>,
        mut view: View,
    ) -> Result<Ended, Error> {
        let mut asked = self
            .client
            .ask(Question {
                session: self.session.clone(),
                text: text.to_owned(),
                attended: self.consent.attends(),
                private: self.private,
                replan_of,
            })
            .await?;
        self.last = Some(asked.id().clone());
        let mut cancelled = false;
        // One for the whole query: a signal between two waits must not be lost.
        let mut interrupted = Box::pin(crate::command::interrupted());
        loop {
            let heard = tokio::select! {
                heard = asked.next() => heard?,
                () = &mut interrupted => {
                    if cancelled {
                        return Ok(Ended::Interrupted);
                    }
                    cancelled = true;
                    interrupted = Box::pin(crate::command::interrupted());
                    view.note("cancelling; Ctrl-C again leaves at once");
                    asked.cancel().await?;
                    continue;
                }
            };
            match heard {
                Heard::Happening(Happening::Answered(outcome)) => {
                    return Ok(Ended::Outcome(outcome, view.finish()));
                }
                Heard::Happening(happening) => view.show(&happening),
                Heard::Prompt(prompt) => {
                    let choice = self.decide(&prompt, &mut view).await;
                    asked.answer(&prompt, choice).await?;
                }
            }
        }
    }

    async fn decide(&mut self, prompt: &Prompt, view: &mut View) -> Choice {
        match self.consent.answer(prompt) {
            Answer::Say(choice) => {
                view.answered(prompt, choice);
                choice
            }
            Answer::AskPerson => {
                view.prompt(prompt);
                let choice = self.keys.choose(prompt).await;
                view.chosen(choice);
                choice
            }
        }
    }
}
