//! A person at a running system: asks, answers prompts as the test says, and reads along.
//!
//! Answers: what is a person asked, and what crosses the bus meanwhile?
//! Never: uses a right that a person's client, or the tap, does not have.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::acl::Role;
use bus::client::{Address, Bus, Inbound, WhenLost};
use bus::id::{AppId, SessionId, UserId, WorkId};
use bus::identity::{Realm, Signer};
use bus::message::user::{
    Accepted, Admin, AdminReply, AppChoice, Choice, Consent, Event, Happening, Outcome, Prompt, Query,
};
use bus::secret::Secret;
use bus::subject::{Leaf, Op, Subject, inbox, pattern};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::program::{PATIENCE, eventually};
use crate::system::System;

/// How long a query may take in a test.
const QUERY: Duration = PATIENCE.saturating_mul(2);

/// Where a running system's broker is.
///
/// # Panics
/// If it is not up.
#[must_use]
pub fn address(system: &System) -> Address {
    let text = std::fs::read(system.state().join("running.json")).expect("a running system");
    let running: Value = serde_json::from_slice(&text).expect("JSON");
    Address { url: running["url"].as_str().expect("a URL").to_owned(), tls_ca: None }
}

/// Signs as the supervisor of that system does, with the keys of its state folder.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn signer(system: &System) -> Signer {
    let read = |name: &str| {
        let file = system.state().join("keys").join(format!("{name}.nk"));
        Secret::new(std::fs::read_to_string(file).expect("a key").trim().to_owned())
    };
    Realm {
        operator: read("operator"),
        account: read("account"),
        signing: read("signing"),
        system: read("system"),
    }
    .signer()
    .expect("a signer")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A person.
pub struct Person {
    runtime: Runtime,
    bus: Bus,
    user: UserId,
    inbound: Inbound,
    /// The conversation.
    pub session: SessionId,
    /// Private mode?
    pub private: bool,
    /// All prompts so far.
    pub prompts: Vec<Prompt>,
    /// The last query.
    pub last: Option<WorkId>,
    /// What is said to a choice between apps: the app, and whether it is to be the default. By default the one that is
    /// offered first.
    pub picks: Pick,
    /// All choices between apps so far.
    pub choices: Vec<AppChoice>,
}

/// What a person says to a choice between apps.
#[derive(Clone, Debug)]
pub enum Pick {
    /// The one that is offered first.
    First,
    /// This one; from now on, if so said.
    App(&'static str, bool),
    /// None of them.
    NoneOfThem,
    /// Nothing.
    Silence,
}

impl Pick {
    /// What is sent, if anything is.
    fn answer(&self, choice: &AppChoice) -> Option<Admin> {
        let id = choice.id.clone();
        let (app, keep) = match self {
            Pick::First => (choice.offers.first().map(|offer| offer.app.clone()), false),
            Pick::App(app, keep) => (Some(AppId::parse(app).expect("a name")), *keep),
            Pick::NoneOfThem => (None, false),
            Pick::Silence => return None,
        };
        Some(Admin::Choose { choice: id, app, keep })
    }
}

impl Person {
    /// Sits down at a running system.
    ///
    /// # Panics
    /// If the broker does not accept it.
    #[must_use]
    pub fn join(system: &System, user: &str) -> Self {
        let runtime = runtime();
        let user = UserId::parse(user).expect("a name");
        let credential = signer(system).issue(&Role::User(user.clone()), None).expect("a credential");
        let (bus, inbound) = runtime.block_on(async {
            let bus = Bus::connect(
                &address(system),
                &credential,
                "person",
                &inbox::user(&user),
                None,
                WhenLost::Reconnect,
            )
            .await
            .expect("a connection");
            let inbound = bus.subscribe(&pattern::user_in(&user)).await.expect("a subscription");
            (bus, inbound)
        });
        Self {
            runtime,
            bus,
            user,
            inbound,
            session: SessionId::fresh(),
            private: false,
            prompts: Vec::new(),
            last: None,
            picks: Pick::First,
            choices: Vec::new(),
        }
    }

    /// Begins a new conversation.
    pub fn new_session(&mut self) {
        self.session = SessionId::fresh();
    }

    /// Asks, and gives every prompt the same answer.
    pub fn ask(&mut self, text: &str, choice: Choice) -> Outcome {
        self.ask_with(text, None, |_| Some(choice))
    }

    /// Asks for a new plan of the last query.
    pub fn replan(&mut self, text: &str, choice: Choice) -> Outcome {
        let last = self.last.clone();
        self.ask_with(text, last, |_| Some(choice))
    }

    /// Asks; `answers` says what is answered to a prompt, or nothing.
    ///
    /// # Panics
    /// If the hub does not take the query or does not answer it.
    pub fn ask_with(
        &mut self,
        text: &str,
        replan_of: Option<WorkId>,
        mut answers: impl FnMut(&Prompt) -> Option<Choice>,
    ) -> Outcome {
        self.begin(text, replan_of);
        self.outcome(&mut answers)
    }

    /// Asks and does not wait.
    ///
    /// # Panics
    /// If the hub does not take the query.
    pub fn begin(&mut self, text: &str, replan_of: Option<WorkId>) {
        let query = Query {
            id: WorkId::fresh(),
            session: self.session.clone(),
            text: text.to_owned(),
            attended: true,
            private: self.private,
            replan_of,
        };
        let accepted: Accepted = self
            .runtime
            .block_on(self.bus.request(&self.out(Op::QUERY), &query, None, PATIENCE))
            .expect("the hub answers");
        accepted.result.expect("the hub takes the query");
        self.last = Some(query.id);
    }

    /// What came of the query that was begun last.
    ///
    /// # Panics
    /// If the hub does not say.
    pub fn outcome(&mut self, answers: &mut dyn FnMut(&Prompt) -> Option<Choice>) -> Outcome {
        let Self { runtime, bus, inbound, prompts, last, user, picks, choices, .. } = self;
        let admin = Subject::UserOut { user: user.clone(), op: Op::ADMIN };
        let query = last.clone().expect("a query");
        let consent = Subject::UserOut { user: user.clone(), op: Op::CONSENT };
        runtime.block_on(async {
            let end = async {
                loop {
                    let message = inbound.next().await.expect("a message");
                    match &message.subject {
                        Subject::UserIn { leaf: Leaf::Prompt, .. } => {
                            let prompt: Prompt = message.body().expect("a prompt");
                            // Every client of a user hears of all; another's query is not this one's to answer.
                            if prompt.query != query {
                                continue;
                            }
                            let choice = answers(&prompt);
                            let id = prompt.id.clone();
                            prompts.push(prompt);
                            if let Some(choice) = choice {
                                let answer = Consent::new(id, choice);
                                bus.publish(&consent, &answer, None).await.expect("a connection");
                            }
                        }
                        Subject::UserIn { leaf: Leaf::Event(_), .. } => {
                            let event: Event = message.body().expect("an event");
                            match event.what {
                                _ if event.query != query => {}
                                Happening::Answered(outcome) => return *outcome,
                                Happening::Choosing(choice) => {
                                    if let Some(answer) = picks.answer(&choice) {
                                        let reply: AdminReply = bus
                                            .request(&admin, &answer, None, PATIENCE)
                                            .await
                                            .expect("the hub answers");
                                        reply.result.expect("the hub takes the choice");
                                    }
                                    choices.push(*choice);
                                }
                                _ => {}
                            }
                        }
                        _ => {}
                    }
                }
            };
            tokio::time::timeout(QUERY, end).await.expect("an outcome in time")
        })
    }

    /// Has something shown or changed.
    ///
    /// # Errors
    /// What the hub says is wrong.
    ///
    /// # Panics
    /// If the hub does not answer.
    pub fn admin(&self, what: &Admin) -> Result<Value, String> {
        let reply: AdminReply = self
            .runtime
            .block_on(self.bus.request(&self.out(Op::ADMIN), what, None, PATIENCE))
            .expect("the hub answers");
        reply.result
    }

    /// The prompts of the last query only.
    pub fn take_prompts(&mut self) -> Vec<Prompt> {
        std::mem::take(&mut self.prompts)
    }

    fn out(&self, op: Op) -> Subject {
        Subject::UserOut { user: self.user.clone(), op }
    }
}

/// A message that the tap saw.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Where it was said.
    pub subject: String,
    /// What it says it is.
    pub kind: String,
    /// Its body, as the tap shows it.
    pub body: Value,
}

/// Everything that is said on the bus.
pub struct Tap {
    heard: Arc<Mutex<Vec<Heard>>>,
    _runtime: Runtime,
}

impl Tap {
    /// Listens to a running system.
    ///
    /// # Panics
    /// If the broker does not let it.
    #[must_use]
    pub fn join(system: &System) -> Self {
        let runtime = runtime();
        let credential = signer(system).issue(&Role::Tap, None).expect("a credential");
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let mut messages = runtime.block_on(async {
            let address = address(system);
            let bus = Bus::connect(&address, &credential, "tap", inbox::OPERATOR, None, WhenLost::Reconnect);
            let bus = bus.await.expect("a connection");
            bus.nats().subscribe(pattern::ALL).await.expect("a subscription")
        });
        let kept = Arc::clone(&heard);
        runtime.spawn(async move {
            while let Some(message) = messages.next().await {
                let kind = message.headers.as_ref().and_then(|headers| headers.get(bus::envelope::KIND));
                let heard = Heard {
                    subject: message.subject.to_string(),
                    kind: kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
                    body: rmp_serde::from_slice(&message.payload).unwrap_or_default(),
                };
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
            }
        });
        let tap = Self { heard, _runtime: runtime };
        // Hosts speak every second: what is heard shows that the subscription stands.
        eventually("the tap hears something", || (!tap.heard().is_empty()).then_some(()));
        tap
    }

    /// All that was heard so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of a kind.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.kind == kind).collect()
    }

    /// Waits for the first message that fits.
    ///
    /// # Panics
    /// If none comes.
    pub fn until(&self, what: &str, fits: impl Fn(&Heard) -> bool) -> Heard {
        eventually(what, || self.heard().into_iter().find(|heard| fits(heard)))
    }
}

/// A connection in the name of a spoke that is working: what a program that took over the spoke's operator has.
pub struct Intruder {
    runtime: Runtime,
    /// The connection, for what the methods do not do.
    pub bus: Bus,
    /// In whose name.
    pub spoke: bus::id::SpokeAddr,
    /// The task that it works on.
    pub task: WorkId,
}

impl Intruder {
    /// Takes over the spoke of an app that is working on a task; waits until it is given one.
    ///
    /// # Panics
    /// If it is given none.
    #[must_use]
    pub fn take_over(system: &System, tap: &Tap, app: &str) -> Self {
        let prefix = format!("secgpt.spoke.{app}.");
        let task = tap.until(&format!("a task for {app}"), |heard| {
            heard.kind == "task" && heard.subject.starts_with(&prefix)
        });
        let Some(Subject::SpokeIn { spoke, .. }) = Subject::parse(&task.subject) else {
            panic!("not a task: {task:?}")
        };
        let runtime = runtime();
        let credential = signer(system).issue(&Role::Spoke(spoke.clone()), None).expect("a credential");
        let address = address(system);
        let own = inbox::spoke(&spoke);
        let bus = Bus::connect(&address, &credential, "intruder", &own, None, WhenLost::Reconnect);
        let bus = runtime.block_on(bus).expect("a connection");
        let task = WorkId::parse(task.body["id"].as_str().expect("an id")).expect("an id");
        Self { runtime, bus, spoke, task }
    }

    /// As if it worked on another task.
    #[must_use]
    pub fn with_task(mut self, task: WorkId) -> Self {
        self.task = task;
        self
    }

    /// Asks a service as the spoke.
    ///
    /// # Errors
    /// If there is no answer within `limit`.
    pub fn request<M: bus::envelope::Message, R: bus::envelope::Message>(
        &self,
        service: bus::subject::Service,
        op: Op,
        message: &M,
        limit: Duration,
    ) -> Result<R, bus::client::BusError> {
        let subject = Subject::SpokeOut { spoke: self.spoke.clone(), service, op };
        self.runtime.block_on(self.bus.request(&subject, message, None, limit))
    }

    /// Asks for another app's functionality for the task that it works on.
    ///
    /// # Errors
    /// As [`Intruder::request`].
    pub fn ask_app(
        &self,
        functionality: &str,
        args: Value,
    ) -> Result<bus::message::isc::Response, bus::client::BusError> {
        let request = bus::message::isc::Request {
            task: self.task.clone(),
            functionality: functionality.to_owned(),
            args,
            why: "because".to_owned(),
        };
        self.request(bus::subject::Service::Isc, Op::REQUEST, &request, PATIENCE)
    }

    /// Publishes bytes on any subject, as they are.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn publish(&self, subject: &str, reply: Option<&str>, payload: Vec<u8>) {
        self.runtime.block_on(async {
            let nats = self.bus.nats();
            let sent = match reply {
                Some(reply) => {
                    nats.publish_with_reply(subject.to_owned(), reply.to_owned(), payload.into()).await
                }
                None => nats.publish(subject.to_owned(), payload.into()).await,
            };
            sent.expect("a connection");
            nats.flush().await.expect("a connection");
        });
    }
}
