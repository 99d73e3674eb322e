//! A conversation with the hub, on behalf of a person or of a rule.
//!
//! Answers: how does a query go from the words to the outcome, with prompts answered on the way?
//! Never: allows anything that neither the person nor the chosen kind of user said yes to.

mod keys;
mod view;

use std::collections::VecDeque;

use bus::id::{SessionId, WorkId};
use bus::message::user::{Admin, AppChoice, Happening, Outcome};

use crate::client::{Asked, Client, Heard, Question};
use crate::consent::{Answer, Consent, Pick};
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

/// Happenings that wait for the end of a prompt: more than any plan has, with its answer in pieces.
const WAITING: usize = 4096;

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
        // What came while a person was thinking.
        let mut waiting = VecDeque::new();
        let mut cancelled = false;
        // One for the whole query: a signal between two waits must not be lost.
        let mut interrupted = Box::pin(crate::command::interrupted());
        loop {
            let heard = match waiting.pop_front() {
                Some(heard) => heard,
                None => tokio::select! {
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
                },
            };
            match heard {
                Heard::Happening(Happening::Answered(outcome)) => {
                    return Ok(Ended::Outcome(outcome, view.finish()));
                }
                Heard::Happening(Happening::Choosing(choice)) => {
                    self.choose(&choice, &mut asked, &mut waiting, &mut view).await?;
                }
                Heard::Happening(happening) => view.show(&happening),
                Heard::Prompt(prompt) => match self.consent.answer(&prompt) {
                    Answer::Say(choice) => {
                        view.answered(&prompt, choice);
                        asked.answer(&prompt, choice.into()).await?;
                    }
                    Answer::AskPerson => {
                        view.prompt(&prompt);
                        let answer = self.keys.choose(&prompt);
                        match person(answer, &mut asked, &mut waiting).await? {
                            Some(reply) => {
                                view.chosen(&reply, &prompt);
                                asked.answer(&prompt, reply).await?;
                            }
                            None => view.note("answered elsewhere, or no longer needed"),
                        }
                    }
                },
            }
        }
    }

    /// Which app is to do it: as this kind of user, or the person, says. Nothing is said where nobody is there.
    async fn choose(
        &mut self,
        choice: &AppChoice,
        asked: &mut Asked,
        waiting: &mut VecDeque<Heard>,
        view: &mut View,
    ) -> Result<(), Error> {
        let pick = match (self.consent, self.consent.pick(choice)) {
            (_, Some(pick)) => pick,
            (Consent::Ask, None) => {
                view.choice(choice);
                match person(self.keys.pick(choice), asked, waiting).await? {
                    Some(Some(pick)) => pick,
                    Some(None) | None => {
                        view.note("nobody chose in time, or it is no longer needed");
                        return Ok(());
                    }
                }
            }
            (_, None) => return Ok(()),
        };
        let (app, keep) = match pick.clone() {
            Pick::App { app, keep } => (Some(app), keep),
            Pick::NoneOfThem => (None, false),
        };
        match self.client.admin(&Admin::Choose { choice: choice.id.clone(), app, keep }).await {
            Ok(_) => view.picked(&pick),
            // The query goes on, whoever answered first.
            Err(error) => view.note(&error.line()),
        }
        Ok(())
    }
}

/// What the person says; nothing if the query came to its end without it. Goes on listening, because another
/// client may answer first and the hub may fall silent.
async fn person<T>(
    answer: impl Future<Output = T>,
    asked: &mut Asked,
    waiting: &mut VecDeque<Heard>,
) -> Result<Option<T>, Error> {
    let mut answer = std::pin::pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(Some(answer)),
            heard = asked.next() => {
                let heard = heard?;
                let end = matches!(heard, Heard::Happening(Happening::Answered(_)));
                // What is beyond the bound is progress that nobody will miss; the end is always kept.
                let kept = waiting.len() < WAITING && !matches!(heard, Heard::Happening(Happening::Alive));
                if kept || end {
                    waiting.push_back(heard);
                }
                if end {
                    return Ok(None);
                }
            }
        }
    }
}
