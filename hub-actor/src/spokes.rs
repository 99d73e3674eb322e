//! The spokes: placed, started, signed for, watched, given work, stopped.
//!
//! Answers: who does this task, and how did it end?
//! Never: gives work to a spoke that is not both ready and vouched for; waits without a deadline; decides
//! whether a flow is permitted.
//! Carries: I-19, I-11, I-18, I-16.

pub mod book;
mod placement;
pub mod task;

use std::collections::HashMap;
use std::time::Instant;

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use bus::acl::Role;
use bus::client::Bus;
use bus::id::{AppId, HostId, SessionId, SpokeAddr, UserId, WorkId};
use bus::identity::Signer;
use bus::limits::{HEARTBEAT, PROMPT_REPLY, SPAWN, SPOKE_CREDENTIAL};
use bus::message::egress::SpokeUser;
use bus::message::host::{Exited, HostReport, Lease, SignRequest, Spawned, Stop};
use bus::message::profile::{Kind, Limits, Profile};
use bus::message::task::{Cancel, Done, Failure, FailureCode, Token};
use bus::subject::{Leaf, Op, Service, Subject};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::audit::Audit;
use crate::mailbox::{Unanswered, ask, hand, start, tell};
use crate::permission::label::Labels;
use book::{Begin, Book, Caller, Effect, Need, NotHandled, Offer, Unheard};

/// The name under which spokes without an app run. No app can have it: it is reserved.
#[must_use]
pub fn empty() -> AppId {
    AppId::parse("empty").unwrap_or_else(|error| unreachable!("{error}"))
}

/// What a spoke without an app is started with.
#[must_use]
pub fn empty_offer(limits: Limits) -> Offer {
    let profile = Profile {
        app: empty(),
        kind: Kind::Empty,
        description: String::new(),
        functions: Vec::new(),
        limits,
        read: Vec::new(),
        network: false,
        wishes: bus::message::profile::Wishes::default(),
    };
    Offer { profile, hash: String::new(), credentials: false }
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Spokes {
    address: Addr<SpokesActor>,
    bus: Bus,
}

impl Spokes {
    /// Starts the actor. `offers` are the apps that can be started; `signer` signs for their spokes.
    #[must_use]
    pub fn start(bus: &Bus, offers: HashMap<AppId, Offer>, signer: Signer) -> Self {
        let actor =
            SpokesActor { book: Book::new(offers), bus: bus.clone(), audit: Audit::new(bus.clone()), signer };
        Self { address: start(actor), bus: bus.clone() }
    }

    /// From now on these are the apps that can be started.
    pub fn offer(&self, offers: HashMap<AppId, Offer>) {
        self.tell(Message::Offers(offers));
    }

    /// A spoke for this need: one that is there, or a new one.
    ///
    /// # Errors
    /// If none could be started within [`SPAWN`]; the sentence says why.
    pub async fn place(&self, need: Need) -> Result<SpokeAddr, Failure> {
        let app = need.app.clone();
        let (placed, answer) = oneshot::channel();
        let failed = |why: String| {
            Failure::new(FailureCode::Spawn, format!("the spoke of {app} could not be started: {why}"))
        };
        tell(&self.address, Message::Place(need, placed)).map_err(|error| failed(error.to_string()))?;
        // The actor's own deadline comes first and has the better sentence.
        match tokio::time::timeout(SPAWN.saturating_add(PROMPT_REPLY), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(failed(Unanswered::Gone.to_string())),
            Err(_) => Err(failed(Unanswered::Late.to_string())),
        }
    }

    /// A spoke that did its one task is not needed any more.
    pub fn release(&self, spoke: SpokeAddr) {
        self.tell(Message::Release(spoke));
    }

    /// Who asks, on this spoke's subject, for this task of its own?
    ///
    /// # Errors
    /// Says why it is not heard.
    pub async fn caller(&self, spoke: &SpokeAddr, task: &WorkId) -> Result<Caller, Unheard> {
        let (spoke, task) = (spoke.clone(), task.clone());
        ask(&self.address, |back| Message::Caller(spoke, task, back))
            .await
            .unwrap_or(Err(Unheard::TooManyOpen))
    }

    /// Counts a probe against the spoke's rate.
    ///
    /// # Errors
    /// Says why it is not heard.
    pub async fn probing(&self, spoke: &SpokeAddr) -> Result<(), NotHandled> {
        let spoke = spoke.clone();
        ask(&self.address, |back| Message::Probing(spoke, back)).await.unwrap_or(Err(NotHandled::Spoke))
    }

    /// A process is about to be given data from these sources.
    pub fn label(&self, spoke: SpokeAddr, labels: Labels) {
        self.tell(Message::Label(spoke, labels));
    }

    /// A service says that this spoke sends far too much: it is stopped, and what it works on fails.
    pub fn flooded(&self, spoke: SpokeAddr, why: String) {
        self.tell(Message::Flooded(spoke, why));
    }

    /// A private query is over: its spokes go.
    pub fn query_over(&self, query: WorkId) {
        self.tell(Message::QueryOver(query));
    }

    /// A conversation is over: its spokes go.
    pub fn session_over(&self, user: UserId, session: SessionId) {
        self.tell(Message::SessionOver(user, session));
    }

    /// The connection to the bus was lost.
    pub fn bus_lost(&self) {
        self.tell(Message::BusLost);
    }

    /// Has all spokes stopped. Returns when the hosts' orders are in the connection's queue.
    pub async fn stop_all(&self) {
        // The process ends in any case; an actor that does not answer has nothing left to stop.
        let _ = ask(&self.address, Message::StopAll).await;
    }

    /// Hosts and spokes, for people.
    pub async fn overview(&self) -> Value {
        ask(&self.address, Message::Overview).await.unwrap_or(Value::Null)
    }

    /// A message of a host.
    ///
    /// # Errors
    /// If the actor has ended.
    pub async fn host_says(&self, host: HostId, said: HostSaid) -> Result<(), Unanswered> {
        hand(&self.address, Message::Host(host, said)).await
    }

    /// A message of a spoke about its work.
    ///
    /// # Errors
    /// If the actor has ended.
    pub async fn spoke_says(&self, spoke: SpokeAddr, said: SpokeSaid) -> Result<(), Unanswered> {
        hand(&self.address, Message::Spoke(spoke, said)).await
    }

    fn tell(&self, message: Message) {
        if let Err(error) = tell(&self.address, message) {
            tracing::error!(%error, "the spokes actor was not told");
        }
    }
}

/// What a host says.
pub enum HostSaid {
    /// It is here.
    Report(HostReport),
    /// Please sign; the answer goes back.
    Sign(SignRequest, oneshot::Sender<Result<String, String>>),
    /// What came of a spawn.
    Spawned(Box<Spawned>),
    /// A spoke has ended.
    Exited(Exited),
}

/// What a spoke says about its work.
pub enum SpokeSaid {
    /// It listens.
    Ready,
    /// A piece of an answer.
    Token(Token),
    /// A task has ended; with the size of the message, bytes.
    Done(Done, usize),
    /// Lines for the log.
    Lines(Vec<String>),
}

enum Message {
    Offers(HashMap<AppId, Offer>),
    Place(Need, book::Placed),
    Begin(Box<Begin>, oneshot::Sender<Result<(), Failure>>),
    Abandon(WorkId),
    Overdue(WorkId),
    Release(SpokeAddr),
    Caller(SpokeAddr, WorkId, oneshot::Sender<Result<Caller, Unheard>>),
    Probing(SpokeAddr, oneshot::Sender<Result<(), NotHandled>>),
    Label(SpokeAddr, Labels),
    Flooded(SpokeAddr, String),
    QueryOver(WorkId),
    SessionOver(UserId, SessionId),
    BusLost,
    StopAll(oneshot::Sender<()>),
    Overview(oneshot::Sender<Value>),
    Host(HostId, HostSaid),
    Spoke(SpokeAddr, SpokeSaid),
}

impl actix::Message for Message {
    type Result = ();
}

struct SpokesActor {
    book: Book,
    bus: Bus,
    audit: Audit,
    signer: Signer,
}

impl Actor for SpokesActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(HEARTBEAT, |actor, _| {
            actor.book.tick(Instant::now());
            actor.act();
        });
    }
}

impl Handler<Message> for SpokesActor {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Self::Context) {
        let now = Instant::now();
        // Who asked may have gone meanwhile; an answer that nobody takes is no error.
        match message {
            Message::Offers(offers) => self.book.offer(offers, now),
            Message::Place(need, placed) => self.book.place(need, placed, now),
            Message::Begin(begin, back) => _ = back.send(self.book.begin(*begin)),
            Message::Abandon(task) => self.book.abandon(&task, now),
            Message::Overdue(task) => self.book.overdue(&task),
            Message::Release(spoke) => self.book.release(&spoke),
            Message::Caller(spoke, task, back) => _ = back.send(self.book.caller(&spoke, &task, now)),
            Message::Probing(spoke, back) => _ = back.send(self.book.probing(&spoke, now)),
            Message::Label(spoke, labels) => self.book.label(&spoke, &labels),
            Message::Flooded(spoke, why) => self.book.flooded(&spoke, &why),
            Message::QueryOver(query) => self.book.query_over(&query),
            Message::SessionOver(user, session) => self.book.session_over(&user, &session),
            Message::BusLost => self.book.bus_lost(),
            Message::StopAll(back) => {
                self.book.stop_all();
                self.act();
                // What was spawned by `act` runs before this.
                actix::spawn(async move { back.send(()) });
            }
            Message::Overview(back) => _ = back.send(self.overview()),
            Message::Host(host, said) => self.host(&host, said, now),
            Message::Spoke(spoke, said) => self.spoke(&spoke, said, now),
        }
        self.act();
    }
}

impl SpokesActor {
    fn host(&mut self, host: &HostId, said: HostSaid, now: Instant) {
        let (op, result) = match said {
            HostSaid::Report(report) => {
                self.book.reported(host, report, now);
                return;
            }
            HostSaid::Exited(exited) => {
                self.book.exited(host, exited);
                return;
            }
            HostSaid::Sign(request, back) => {
                let spoke = self.book.sign(host, &request.spawn);
                let result = spoke.as_ref().map(|_| ()).map_err(|&why| why);
                let signed = spoke.map_err(|why| why.to_string()).and_then(|spoke| {
                    self.signer
                        .sign(&Role::Spoke(spoke), &request.public_key, Some(SPOKE_CREDENTIAL))
                        .map_err(|error| error.to_string())
                });
                // The host waits on its own deadline.
                let _ = back.send(signed);
                (Op::SIGN, result)
            }
            HostSaid::Spawned(spawned) => (Op::SPAWNED, self.book.spawned(host, *spawned, now)),
        };
        if let Err(why) = result {
            self.audit.dropped(&Subject::HostOut { host: host.clone(), op }, why.to_string());
        }
    }

    fn spoke(&mut self, spoke: &SpokeAddr, said: SpokeSaid, now: Instant) {
        let (op, result) = match said {
            SpokeSaid::Ready => (Op::READY, self.book.ready(spoke, now)),
            SpokeSaid::Token(token) => (Op::TOKEN, self.book.token(spoke, &token.task, token.text, now)),
            SpokeSaid::Done(done, size) => (Op::DONE, self.book.done(spoke, done, size, now)),
            SpokeSaid::Lines(lines) => {
                let heard = self.book.line(spoke, now);
                if heard.is_ok() {
                    lines.iter().for_each(|line| tracing::info!(%spoke, line, "an app writes"));
                }
                (Op::LINE, heard)
            }
        };
        if let Err(why) = result {
            let service = if op == Op::LINE { Service::Log } else { Service::Result };
            let subject = Subject::SpokeOut { spoke: spoke.clone(), service, op };
            self.audit.dropped(&subject, why.to_string());
        }
    }

    /// Does what the book says is to be done, in its order.
    fn act(&mut self) {
        for effect in self.book.effects() {
            match effect {
                Effect::Spawn(host, spawn) => {
                    let work = spawn.id.clone();
                    self.send(Subject::HostIn { host, leaf: Leaf::Spawn }, *spawn, Some(work));
                }
                Effect::Stop(host, spoke, why) => {
                    self.send(Subject::HostIn { host, leaf: Leaf::Stop }, Stop { spoke, why }, None);
                }
                Effect::Lease(host, id) => {
                    tracing::warn!(%host, "it has spokes that no hub holds any more; they are ended");
                    self.send(Subject::HostIn { host, leaf: Leaf::Lease }, Lease { id }, None);
                }
                Effect::Cancel(spoke, task) => {
                    self.send(Subject::SpokeIn { spoke, leaf: Leaf::Cancel }, Cancel { task }, None);
                }
                Effect::Forget(spoke) => {
                    let subject = Subject::HubOut { service: Service::Egress, op: Op::RULES };
                    self.send(subject, SpokeUser { spoke, user: None }, None);
                }
                Effect::Started(user, spoke, detail) => self.audit.started(&user, &spoke, detail),
                Effect::Stopped(spoke, how) => self.audit.stopped(None, &spoke, how),
                Effect::Killed(spoke, why) => self.audit.killed(None, &spoke, why),
            }
        }
    }

    fn send<M: bus::envelope::Message + 'static>(&self, subject: Subject, message: M, work: Option<WorkId>) {
        let bus = self.bus.clone();
        actix::spawn(async move {
            if let Err(error) = bus.publish(&subject, &message, work.as_ref()).await {
                tracing::warn!(%subject, %error, "a message was not published");
            }
        });
    }

    fn overview(&self) -> Value {
        let hosts: Vec<Value> = self
            .book
            .overview()
            .into_iter()
            .map(|(host, live, capacity, missing)| {
                json!({"host": host, "live": live, "capacity": capacity, "missing": missing})
            })
            .collect();
        json!({"hosts": hosts, "spokes": self.book.live()})
    }
}
