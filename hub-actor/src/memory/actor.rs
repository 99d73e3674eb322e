//! The memory actor: what is kept after an answer, and what is given before a plan.
//!
//! Answers: what was said before, and what of it may be shown to whom?
//! Never: stands in the way of an answer; keeps or gives anything of a private query; lets an app name another's.
//! Carries: I-14, I-17.
//!
//! Turns are added in the order of the answers. Summaries and entities are made after that, one exchange of a user
//! at a time, by models in empty spokes; whoever asks for stored data waits until they are made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use bus::id::{AppId, SessionId, UserId};
use bus::limits::TASK;
use bus::message::chat::Turn;
use bus::message::task::Work;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot, watch};

use super::key::Owner;
use super::store::{Store, StoreError};
use super::text::{
    Audience, Conversation, Item, Said, Summary, Who, due, entities_request, history, items, read_entities,
};
use crate::executor::work::one_call;
use crate::inquiry::Inquiry;
use crate::instructions::Instructions;
use crate::mailbox::{self, Unanswered, tell};
use crate::permission::label::Labels;
use crate::spokes::task::{By, Job};
use crate::spokes::{Spokes, empty};

/// How long whoever asks for stored data waits for what was just said to be taken in.
const TAKEN_IN: Duration = Duration::from_secs(20);

/// How long the end of the hub waits for what was just said to be taken in. A person waits for it, and what is left is
/// made up for when the user comes back.
const SETTLE: Duration = Duration::from_millis(1500);

/// Turns from which particulars are taken at once, if that was put off.
const CATCH_UP: usize = 20;

/// How long an answer waits to know that it was kept. The store takes it in less than a millisecond, or says why not.
const KEEPING: Duration = Duration::from_millis(250);

/// Tokens of an app's own earlier turns that its model sees at most.
const APPS_HISTORY: u64 = 2000;

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    address: Addr<MemoryActor>,
}

/// What was said in a query, by whom.
pub struct Exchange {
    /// Whose.
    pub user: UserId,
    /// In which conversation.
    pub session: SessionId,
    /// The user's words.
    pub query: String,
    /// The answer.
    pub answer: Option<String>,
    /// Had an app a part in it?
    pub apps: bool,
    /// What was handed to apps' own models, and what they answered.
    pub delegated: Vec<(AppId, String, String)>,
}

impl Memory {
    /// Starts the actor. `limit` is from how many tokens on a summary is made.
    #[must_use]
    pub fn start(store: Store, spokes: Spokes, instructions: Arc<Instructions>, limit: u64) -> Self {
        let desk = Desk { store, spokes, instructions, limit };
        Self { address: mailbox::start(MemoryActor { desk: Arc::new(desk), users: HashMap::new() }) }
    }

    /// What was said before.
    ///
    /// # Errors
    /// In a sentence, if the store does not answer.
    pub async fn conversation(&self, user: &UserId) -> Result<Conversation, String> {
        let user = user.clone();
        self.ask(|back| Message::Read(user, Owner::Hub, back)).await
    }

    /// An app's own earlier turns. Nothing if the store does not answer; then the query says so.
    pub async fn history(&self, inquiry: &Inquiry, app: &AppId) -> Vec<Turn> {
        let (user, owner) = (inquiry.user.clone(), Owner::App(app.clone()));
        match self.ask(|back| Message::Read(user, owner, back)).await {
            Ok(conversation) => history(&conversation, Audience::App, APPS_HISTORY),
            Err(why) => {
                inquiry.ledger(|ledger| ledger.memory_trouble = Some(why));
                Vec::new()
            }
        }
    }

    /// The stored items that answer what an app asks about. Waits until what was said before is taken in.
    ///
    /// # Errors
    /// In a sentence, if the store does not answer.
    pub async fn items(&self, user: &UserId, about: &str) -> Result<Vec<Item>, String> {
        let user = user.clone();
        let conversation = self.ask(|back| Message::ReadTakenIn(user, back)).await?;
        Ok(items(&conversation, about))
    }

    /// Keeps what was said. Waits a moment to see whether it was, and not for what is made of it afterwards.
    ///
    /// # Errors
    /// In a sentence, if it is known by then that it was not.
    pub async fn keep(&self, exchange: Exchange) -> Result<(), String> {
        let (back, kept) = oneshot::channel();
        tell(&self.address, Message::Keep(Box::new(exchange), back)).map_err(|error| error.to_string())?;
        // A store that is slow is not waited for: it takes it in later, or the log says that it did not.
        tokio::time::timeout(KEEPING, kept).await.ok().and_then(Result::ok).unwrap_or(Ok(()))
    }

    /// What is remembered of one owner or all, for the user to see.
    ///
    /// # Errors
    /// In a sentence.
    pub async fn show(&self, user: UserId, owner: Option<Owner>) -> Result<Value, String> {
        self.ask(|back| Message::Show(user, owner, back)).await
    }

    /// Forgets it. Returns how many memories there were.
    ///
    /// # Errors
    /// In a sentence.
    pub async fn forget(&self, user: UserId, owner: Option<Owner>) -> Result<u64, String> {
        self.ask(|back| Message::Forget(user, owner, back)).await
    }

    /// Is the store there?
    ///
    /// # Errors
    /// In a sentence, if not.
    pub async fn ping(&self) -> Result<(), String> {
        self.ask(Message::Ping).await
    }

    /// Waits until what was said is taken in, but not for long: the hub is about to end. What is left then keeps its
    /// turns; only its summary and entities wait until the user comes back.
    pub async fn settle(&self) {
        if tokio::time::timeout(SETTLE, self.ask(Message::Settle)).await.is_err() {
            tracing::info!(
                "what was said last is kept; what follows from it is made when its user comes back"
            );
        }
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Message,
    ) -> Result<T, String> {
        let (back, answer) = oneshot::channel();
        tell(&self.address, message(back)).map_err(|error| error.to_string())?;
        // The store has deadlines of its own, and what is asked for may have to be taken in first.
        match tokio::time::timeout(TAKEN_IN.saturating_add(mailbox::LIMIT), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unanswered::Gone.to_string()),
            Err(_) => Err(Unanswered::Late.to_string()),
        }
    }
}

type Back<T> = oneshot::Sender<Result<T, String>>;

enum Message {
    Read(UserId, Owner, Back<Conversation>),
    ReadTakenIn(UserId, Back<Conversation>),
    Keep(Box<Exchange>, oneshot::Sender<Result<(), String>>),
    Show(UserId, Option<Owner>, Back<Value>),
    Forget(UserId, Option<Owner>, Back<u64>),
    Ping(Back<()>),
    Settle(Back<()>),
}

impl actix::Message for Message {
    type Result = ();
}

struct MemoryActor {
    desk: Arc<Desk>,
    users: HashMap<UserId, Arc<Order>>,
}

/// What keeps a user's exchanges in order.
struct Order {
    /// Held while turns are added or read.
    turns: Arc<Mutex<()>>,
    /// Held while an exchange is taken in.
    taking_in: Mutex<()>,
    /// Exchanges that are not taken in yet.
    open: watch::Sender<usize>,
}

impl Default for Order {
    fn default() -> Self {
        Self { turns: Arc::default(), taking_in: Mutex::default(), open: watch::channel(0).0 }
    }
}

impl Actor for MemoryActor {
    type Context = Context<Self>;
}

impl Handler<Message> for MemoryActor {
    type Result = ();

    // What is started here runs in the order of the messages up to its first wait, which is for the user's lock;
    // that is fair, so reads see every exchange that was kept before.
    fn handle(&mut self, message: Message, _: &mut Self::Context) {
        let desk = Arc::clone(&self.desk);
        match message {
            Message::Read(user, owner, back) => {
                if !self.users.contains_key(&user) {
                    actix::spawn(Arc::clone(&desk).make_up_for(user.clone(), self.order(&user)));
                }
                let turns = Arc::clone(&self.order(&user).turns);
                actix::spawn(async move {
                    let _held = turns.lock().await;
                    _ = back.send(desk.store.conversation(&user, &owner).await.map_err(sentence));
                });
            }
            Message::ReadTakenIn(user, back) => {
                let mut open = self.order(&user).open.subscribe();
                actix::spawn(async move {
                    // What is not taken in by then is not offered this time.
                    let _ = tokio::time::timeout(TAKEN_IN, open.wait_for(|open| *open == 0)).await;
                    _ = back.send(desk.store.conversation(&user, &Owner::Hub).await.map_err(sentence));
                });
            }
            Message::Keep(exchange, back) => {
                let order = self.order(&exchange.user);
                order.open.send_modify(|open| *open = open.saturating_add(1));
                actix::spawn(async move {
                    let held = Arc::clone(&order.turns).lock_owned().await;
                    if let Err(error) = desk.take_in(&exchange, held, &order, back).await {
                        tracing::warn!(user = %exchange.user, %error, "an exchange was not kept whole");
                    }
                    order.open.send_modify(|open| *open = open.saturating_sub(1));
                });
            }
            Message::Show(user, owner, back) => {
                actix::spawn(async move {
                    _ = back.send(desk.store.show(&user, owner.as_ref()).await.map_err(sentence));
                });
            }
            Message::Forget(user, owner, back) => {
                let order = self.order(&user);
                actix::spawn(async move {
                    // An exchange that is being taken in would come back.
                    let _taken_in = order.taking_in.lock().await;
                    let _held = order.turns.lock().await;
                    _ = back.send(desk.store.forget(&user, owner.as_ref()).await.map_err(sentence));
                });
            }
            Message::Ping(back) => {
                actix::spawn(async move { _ = back.send(desk.store.ping().await.map_err(sentence)) });
            }
            Message::Settle(back) => {
                let open: Vec<_> = self.users.values().map(|order| order.open.subscribe()).collect();
                actix::spawn(async move {
                    for mut open in open {
                        let _ = open.wait_for(|open| *open == 0).await;
                    }
                    _ = back.send(Ok(()));
                });
            }
        }
    }
}

impl MemoryActor {
    fn order(&mut self, user: &UserId) -> Arc<Order> {
        Arc::clone(self.users.entry(user.clone()).or_default())
    }
}

fn sentence(error: StoreError) -> String {
    error.to_string()
}

/// What is needed to remember.
struct Desk {
    store: Store,
    spokes: Spokes,
    instructions: Arc<Instructions>,
    limit: u64,
}

impl Desk {
    async fn take_in(
        &self,
        exchange: &Exchange,
        held: OwnedMutexGuard<()>,
        order: &Order,
        back: oneshot::Sender<Result<(), String>>,
    ) -> Result<(), StoreError> {
        let said = |who, text: &str| Said { who, text: text.to_owned() };
        let mut turns = vec![said(Who::User, &exchange.query)];
        if let Some(answer) = &exchange.answer {
            turns.push(said(if exchange.apps { Who::Apps } else { Who::Hub }, answer));
        }
        let kept = self.append(exchange, &turns).await;
        // Whoever has its answer already does not wait for this.
        let _ = back.send(kept.as_ref().map_err(ToString::to_string).copied());
        kept?;
        drop(held);
        let _taking_in = order.taking_in.lock().await;
        self.learn(exchange).await?;
        self.summarise(exchange, &Owner::Hub, Audience::Planner).await?;
        for (app, ..) in &exchange.delegated {
            self.summarise(exchange, &Owner::App(app.clone()), Audience::App).await?;
        }
        Ok(())
    }

    /// The turns, of the hub and of each app that had a part.
    async fn append(&self, exchange: &Exchange, turns: &[Said]) -> Result<(), StoreError> {
        self.store.append(&exchange.user, &Owner::Hub, turns).await?;
        for (app, request, text) in &exchange.delegated {
            let said = |who, text: &String| Said { who, text: text.clone() };
            let turns = [said(Who::User, request), said(Who::Apps, text)];
            self.store.append(&exchange.user, &Owner::App(app.clone()), &turns).await?;
        }
        Ok(())
    }

    /// What an earlier hub kept and had no time to learn from.
    async fn make_up_for(self: Arc<Self>, user: UserId, order: Arc<Order>) {
        order.open.send_modify(|open| *open = open.saturating_add(1));
        {
            let _taking_in = order.taking_in.lock().await;
            let nothing = Exchange {
                user,
                session: SessionId::fresh(),
                query: String::new(),
                answer: None,
                apps: false,
                delegated: Vec::new(),
            };
            if let Err(error) = self.learn(&nothing).await {
                tracing::debug!(user = %nothing.user, %error, "nothing was made up for");
            }
        }
        order.open.send_modify(|open| *open = open.saturating_sub(1));
    }

    /// Takes particulars from the turns from which none were taken yet.
    async fn learn(&self, exchange: &Exchange) -> Result<(), StoreError> {
        let known = self.store.conversation(&exchange.user, &Owner::Hub).await?;
        let all = known.forgotten.saturating_add(known.turns.len() as u64);
        let new = usize::try_from(all.saturating_sub(known.learned)).unwrap_or(CATCH_UP).min(CATCH_UP);
        let turns = known.turns.get(known.turns.len().saturating_sub(new)..).unwrap_or_default();
        let Some(request) = entities_request(&known.entities, turns) else { return Ok(()) };
        let said = self.converse(exchange, &self.instructions.entities, request.to_string()).await;
        let entities = match said.as_deref().map(read_entities) {
            Some(Some(entities)) => entities,
            Some(None) => {
                tracing::info!(user = %exchange.user, "the model gave no entities that can be read");
                BTreeMap::new()
            }
            // Another time: the turns stay unlearned.
            None => return Ok(()),
        };
        self.store.learned(&exchange.user, &Owner::Hub, &entities, all).await
    }

    async fn summarise(
        &self,
        exchange: &Exchange,
        owner: &Owner,
        for_whom: Audience,
    ) -> Result<(), StoreError> {
        let conversation = self.store.conversation(&exchange.user, owner).await?;
        let Some(due) = due(&conversation, for_whom, self.limit) else { return Ok(()) };
        match self.converse(exchange, &self.instructions.summary, due.request.to_string()).await {
            Some(text) if !text.trim().is_empty() => {
                let summary = Summary { text: text.trim().to_owned(), covers: due.covers };
                self.store.summarised(&exchange.user, owner, &summary).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One turn of a model in an empty spoke; nothing if it fails, which the next exchange will make good.
    async fn converse(&self, exchange: &Exchange, system: &str, question: String) -> Option<String> {
        let turns = vec![Turn::System { text: system.to_owned() }, Turn::User { text: question }];
        let job = Job {
            user: exchange.user.clone(),
            session: exchange.session.clone(),
            inquiry: None,
            step: None,
            app: empty(),
            by: By::Fresh,
            depth: 0,
            labels: Labels::none(),
            stream: false,
            work: Work::Converse { turns, schema: None, stream: false },
            limit: TASK,
            spends: Some(one_call()),
        };
        match self.spokes.run(job).await.result {
            Ok(Value::String(text)) => Some(text),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(user = %exchange.user, %error, "a summary or entities were not made");
                None
            }
        }
    }
}
