//! A query while it is worked on.
//!
//! Answers: whose query is it, what has happened with it so far, and how does its user hear of it?
//! Never: decides anything; holds what apps said only as results and flows.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use bus::client::Bus;
use bus::id::{SessionId, UserId, WorkId};
use bus::message::user::{Chosen, Event, Flow, Happening, Query, StepResult};
use bus::subject::{Leaf, Subject};
use tokio::sync::mpsc;

use crate::plan::{Plan, Record, Used};
use crate::registry::Catalogue;

/// Events that wait to be published. A full queue loses tokens of the stream (the answer itself is whole), never
/// the answer.
const VOICE: usize = 4096;

/// Flows that an outcome lists. The audit has all of them; an outcome must fit one message.
const FLOWS: usize = 500;

/// A query and what came of it so far. Shared by everything that works on it.
#[derive(Debug)]
pub struct Inquiry {
    /// Names it.
    pub id: WorkId,
    /// Whose it is.
    pub user: UserId,
    /// Of which conversation.
    pub session: SessionId,
    /// The words.
    pub text: String,
    /// Is somebody there to answer prompts?
    pub attended: bool,
    /// Nothing kept, nothing stored offered.
    pub private: bool,
    /// The apps as they were when it came: one that is taken up later, or otherwise, has no part in it.
    pub catalogue: Catalogue,
    words: OnceLock<String>,
    /// When it came.
    pub received: Instant,
    voice: mpsc::Sender<Happening>,
    ledger: Mutex<Ledger>,
    course: Mutex<Course>,
}

/// How far the plan has come: what conformance is judged by.
#[derive(Clone, Debug)]
pub struct Course {
    /// What was planned; nothing, until it is.
    pub plan: Arc<Plan>,
    /// Steps that were carried out, or used up by apps.
    pub used: Used,
    /// Values that were had.
    pub record: Record,
}

/// What is counted and listed for the outcome.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Flows in order, the first `FLOWS` of them.
    pub flows: Vec<Flow>,
    /// Flows that are in the audit only.
    pub flows_left_out: u64,
    /// Which app was to do it, where several could.
    pub choices: Vec<Chosen>,
    /// Model calls of the planner.
    pub planner_calls: u64,
    /// Model calls in spokes.
    pub spoke_calls: u64,
    /// Prompts shown.
    pub prompts: u64,
    /// What the steps have returned so far.
    pub results: Vec<StepResult>,
    /// What of the user's own data could not be had, in a sentence.
    pub memory_trouble: Option<String>,
}

impl Inquiry {
    /// Takes a query in, and starts the task that carries its events to the user.
    #[must_use]
    pub fn open(bus: &Bus, user: UserId, query: Query, catalogue: Catalogue) -> Arc<Self> {
        let (voice, happenings) = mpsc::channel(VOICE);
        let inquiry = Arc::new(Self {
            id: query.id,
            user,
            session: query.session,
            words: OnceLock::new(),
            text: query.text,
            attended: query.attended,
            private: query.private,
            catalogue,
            received: Instant::now(),
            voice,
            ledger: Mutex::default(),
            course: Mutex::new(Course {
                plan: Arc::new(Plan { steps: Vec::new() }),
                used: Used::default(),
                record: Record::default(),
            }),
        });
        let subject =
            Subject::UserIn { user: inquiry.user.clone(), leaf: Leaf::Event(inquiry.session.clone()) };
        actix::spawn(speak(bus.clone(), subject, inquiry.id.clone(), happenings));
        inquiry
    }

    /// What the user has said before in this conversation.
    pub fn said_before(&self, earlier: &str) {
        // Said once, by the session, before anything asks for it.
        let _ = self.words.set(format!("{earlier}\n{}", self.text));
    }

    /// All that the user has said in this conversation, this query included.
    #[must_use]
    pub fn words(&self) -> &str {
        self.words.get().map_or(&self.text, String::as_str)
    }

    /// Tells the user what happens. Does not wait; a piece that finds the queue full is lost.
    pub fn say(&self, what: Happening) {
        if self.voice.try_send(what).is_err() {
            tracing::debug!(query = %self.id, "an event found the queue full");
        }
    }

    /// Tells the user the end. Waits for room, within the deadline of a reply.
    pub async fn say_last(&self, what: Happening) {
        let said = tokio::time::timeout(bus::limits::PROMPT_REPLY, self.voice.send(what)).await;
        if !matches!(said, Ok(Ok(()))) {
            tracing::error!(query = %self.id, "an answer could not be published");
        }
    }

    /// Looks at, or adds to, what is counted.
    pub fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at, or moves on, how far the plan has come.
    pub fn course<T>(&self, look: impl FnOnce(&mut Course) -> T) -> T {
        look(&mut self.course.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists a flow.
    pub fn note(&self, flow: &Flow) {
        self.ledger(|ledger| {
            if ledger.flows.len() < FLOWS {
                ledger.flows.push(flow.clone());
            } else {
                ledger.flows_left_out = ledger.flows_left_out.saturating_add(1);
            }
        });
    }
}

async fn speak(bus: Bus, subject: Subject, query: WorkId, mut happenings: mpsc::Receiver<Happening>) {
    while let Some(what) = happenings.recv().await {
        let event = Event { query: query.clone(), what };
        if let Err(error) = bus.publish(&subject, &event, Some(&query)).await {
            tracing::warn!(%query, %error, "an event was not published");
        }
    }
}
