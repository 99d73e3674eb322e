//! The desk: where queries come in, and the conversations they belong to.
//!
//! Answers: is this query worked on, by whom, and what became of it?
//! Never: works on two queries of one conversation at once; leaves an accepted query without an end.
//! Carries: I-18, I-16.

pub mod conduct;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use bus::id::{SessionId, UserId, WorkId};
use bus::limits::{HEARTBEAT, MAX_QUERY};
use bus::message::user::{Happening, Query};
use tokio::sync::oneshot;

use crate::inquiry::Inquiry;
use crate::mailbox::{self, Unanswered, ask, tell};
use crate::parts::Parts;
use crate::planner::prompt::Refused;

/// Queries that are worked on at once, of all users. Each may have hundreds of spokes; more would only be slow
/// together.
const AT_ONCE: usize = 64;

/// How long a conversation without a query is kept: its grants for the session, and what was refused in it.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Conversations that are kept. The one that was silent longest goes first.
const SESSIONS: usize = 10_000;

/// Earlier queries of a conversation for which a new plan can be asked.
const REPLANNABLE: usize = 16;

/// How long running queries have to say their end when the hub stops.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    address: Addr<DeskActor>,
}

impl Desk {
    /// Starts the actor.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        Self { address: mailbox::start(DeskActor { parts, sessions: HashMap::new(), stopping: false }) }
    }

    /// Takes a query in. Its events follow on its session's subject; the last is the end.
    ///
    /// # Errors
    /// In a sentence, if it is not worked on.
    pub async fn query(&self, user: UserId, query: Query) -> Result<(), String> {
        let taken = ask(&self.address, |back| Message::Query(user, Box::new(query), back)).await;
        taken.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Stops working on a query of this user.
    ///
    /// # Errors
    /// If it is not being worked on.
    pub async fn cancel(&self, user: UserId, query: WorkId) -> Result<(), &'static str> {
        let cancelled = ask(&self.address, |back| Message::Cancel(user, query, back)).await;
        if cancelled == Ok(true) { Ok(()) } else { Err("no such query of this user is being worked on") }
    }

    /// Is a query of this user being worked on?
    ///
    /// # Errors
    /// If the actor does not answer.
    pub async fn works_on(&self, user: UserId, query: WorkId) -> Result<bool, Unanswered> {
        ask(&self.address, |back| Message::Works(user, query, back)).await
    }

    /// Ends every query with a sentence, and takes no more. Returns when each has said its end, or after a moment.
    pub async fn stop(&self) {
        let Ok(ends) = ask(&self.address, Message::Stop).await else { return };
        let all = async {
            for end in ends {
                // A query that is gone has said its end.
                let _ = end.await;
            }
        };
        // What has not ended by then will not.
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }

    /// Queries that are worked on.
    ///
    /// # Errors
    /// If the actor does not answer.
    pub async fn running(&self) -> Result<usize, Unanswered> {
        ask(&self.address, Message::Count).await
    }

    fn ended(&self, end: End) {
        if let Err(error) = tell(&self.address, Message::Ended(Box::new(end))) {
            tracing::error!(%error, "the desk was not told of the end of a query");
        }
    }
}

/// Why a query is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The user does not want it any more.
    Cancelled,
    /// The hub stops.
    Stopping,
}

/// A query has ended.
struct End {
    user: UserId,
    session: SessionId,
    query: WorkId,
    text: String,
    refused: Vec<Refused>,
}

enum Message {
    Query(UserId, Box<Query>, oneshot::Sender<Result<(), String>>),
    Cancel(UserId, WorkId, oneshot::Sender<bool>),
    Works(UserId, WorkId, oneshot::Sender<bool>),
    Ended(Box<End>),
    Stop(oneshot::Sender<Vec<oneshot::Receiver<()>>>),
    Count(oneshot::Sender<usize>),
}

impl actix::Message for Message {
    type Result = ();
}

struct DeskActor {
    parts: Parts,
    sessions: HashMap<(UserId, SessionId), Session>,
    stopping: bool,
}

/// A conversation.
struct Session {
    running: Option<Running>,
    /// Queries in which something was refused: their words, and what it was.
    refused: VecDeque<(WorkId, String, Vec<Refused>)>,
    used: Instant,
}

struct Running {
    inquiry: Arc<Inquiry>,
    cut: Option<oneshot::Sender<Cut>>,
    /// Closed when the query has said its end.
    said: Option<oneshot::Receiver<()>>,
}

impl Actor for DeskActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(HEARTBEAT, |actor, _| actor.tick());
    }
}

impl Handler<Message> for DeskActor {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Self::Context) {
        // Who asked may have gone meanwhile; an answer that nobody takes is no error.
        match message {
            Message::Query(user, query, back) => _ = back.send(self.query(user, *query, context.address())),
            Message::Cancel(user, query, back) => _ = back.send(self.cancel(&user, &query)),
            Message::Works(user, query, back) => _ = back.send(self.running_of(&user, &query).is_some()),
            Message::Ended(end) => self.ended(*end),
            Message::Stop(back) => _ = back.send(self.stop()),
            Message::Count(back) => _ = back.send(self.running()),
        }
    }
}

impl DeskActor {
    fn running(&self) -> usize {
        self.sessions.values().filter(|session| session.running.is_some()).count()
    }

    fn query(&mut self, user: UserId, query: Query, address: Addr<Self>) -> Result<(), String> {
        if self.stopping {
            return Err("secgpt is stopping".into());
        }
        if query.text.trim().is_empty() {
            return Err("the query is empty".into());
        }
        if MAX_QUERY < query.text.len() {
            return Err(format!("the query has {} bytes; at most {MAX_QUERY} are taken", query.text.len()));
        }
        if AT_ONCE <= self.running() {
            return Err(format!("{AT_ONCE} queries are being worked on; try again in a moment"));
        }
        let key = (user.clone(), query.session.clone());
        self.make_room(&key);
        let session = self.sessions.entry(key).or_insert_with(|| Session {
            running: None,
            refused: VecDeque::new(),
            used: Instant::now(),
        });
        if session.running.is_some() {
            return Err("this session is still working on its last query; wait for it or cancel it".into());
        }
        let (text, refused) = match &query.replan_of {
            None => (query.text.clone(), Vec::new()),
            Some(earlier) => session
                .refused
                .iter()
                .find(|(id, ..)| id == earlier)
                .map(|(_, text, refused)| (text.clone(), refused.clone()))
                .ok_or("nothing was refused in that query, or it is too long ago; ask it again")?,
        };
        let private = query.private;
        tracing::info!(%user, session = %query.session, query = %query.id, private, "a query");
        let catalogue = self.parts.apps.catalogue();
        let inquiry = Inquiry::open(&self.parts.bus, user, Query { text, ..query }, catalogue);
        let (cut, to_cut) = oneshot::channel();
        let (say, said) = oneshot::channel();
        session.used = Instant::now();
        session.running = Some(Running { inquiry: Arc::clone(&inquiry), cut: Some(cut), said: Some(said) });
        let (parts, desk) = (self.parts.clone(), Desk { address });
        actix::spawn(async move {
            let refused = conduct::conduct(&parts, &inquiry, refused, to_cut).await;
            parts.permission.query_ended(inquiry.user.clone(), inquiry.id.clone());
            if inquiry.private {
                parts.spokes.query_over(inquiry.id.clone());
            }
            drop(say);
            desk.ended(End {
                user: inquiry.user.clone(),
                session: inquiry.session.clone(),
                query: inquiry.id.clone(),
                text: inquiry.text.clone(),
                refused,
            });
        });
        Ok(())
    }

    fn make_room(&mut self, for_whom: &(UserId, SessionId)) {
        if self.sessions.len() < SESSIONS || self.sessions.contains_key(for_whom) {
            return;
        }
        let silent = self.sessions.iter().filter(|(_, session)| session.running.is_none());
        let oldest = silent.min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.end_session(&key);
        }
    }

    fn end_session(&mut self, key: &(UserId, SessionId)) {
        self.sessions.remove(key);
        self.parts.permission.session_ended(key.0.clone(), key.1.clone());
        self.parts.choosing.session_ended(key.0.clone(), key.1.clone());
        self.parts.spokes.session_over(key.0.clone(), key.1.clone());
    }

    fn cancel(&mut self, user: &UserId, query: &WorkId) -> bool {
        let cut = self.running_of(user, query).and_then(|running| running.cut.take());
        cut.is_some_and(|cut| cut.send(Cut::Cancelled).is_ok())
    }

    fn running_of(&mut self, user: &UserId, query: &WorkId) -> Option<&mut Running> {
        self.sessions
            .iter_mut()
            .filter(|((of, _), _)| of == user)
            .filter_map(|(_, session)| session.running.as_mut())
            .find(|running| &running.inquiry.id == query)
    }

    fn ended(&mut self, end: End) {
        let Some(session) = self.sessions.get_mut(&(end.user, end.session)) else { return };
        session.running = None;
        session.used = Instant::now();
        if !end.refused.is_empty() {
            session.refused.push_back((end.query, end.text, end.refused));
            if REPLANNABLE < session.refused.len() {
                session.refused.pop_front();
            }
        }
    }

    fn stop(&mut self) -> Vec<oneshot::Receiver<()>> {
        self.stopping = true;
        let running = self.sessions.values_mut().filter_map(|session| session.running.as_mut());
        running
            .filter_map(|running| {
                if let Some(cut) = running.cut.take() {
                    // A query that has just ended needs no more.
                    let _ = cut.send(Cut::Stopping);
                }
                running.said.take()
            })
            .collect()
    }

    fn tick(&mut self) {
        for session in self.sessions.values() {
            if let Some(running) = &session.running {
                running.inquiry.say(Happening::Alive);
            }
        }
        let over: Vec<(UserId, SessionId)> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.running.is_none() && KEPT < session.used.elapsed())
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.end_session(&key);
        }
    }
}
