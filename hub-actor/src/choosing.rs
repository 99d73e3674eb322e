//! Which app is to do it, where several could and the user named none: the user is asked, once.
//!
//! Answers: who does it, and who said so?
//! Never: asks a model; asks again what was answered in this conversation or for good; permits anything: whether the
//! chosen app may run is decided like any other flow.
//! Carries: I-17.

pub mod rule;
pub mod store;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use bus::id::{AppId, FunctionName, Functionality, SessionId, UserId, WorkId};
use bus::message::user::{AppChoice, Chosen, Happening};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::apps::Apps;
use crate::inquiry::Inquiry;
use crate::mailbox::{self, ask, tell};
use crate::plan::Plan;
use rule::OpenChoice;
use store::{DefaultsStore, Kept};

/// The user wanted none of the apps that could do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoneOfThem;

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Chooser {
    address: Addr<ChooserActor>,
    apps: Apps,
    timeout: Duration,
}

impl Chooser {
    /// Starts the actor. `timeout` is how long a person has to answer.
    #[must_use]
    pub fn start(
        apps: Apps,
        stored: Vec<(UserId, FunctionName, Kept)>,
        store: DefaultsStore,
        timeout: Duration,
    ) -> Self {
        let mut defaults: BTreeMap<UserId, BTreeMap<FunctionName, Kept>> = BTreeMap::new();
        for (user, name, default) in stored {
            defaults.entry(user).or_default().insert(name, default);
        }
        let actor = ChooserActor { defaults, earlier: HashMap::new(), open: HashMap::new(), store };
        Self { address: mailbox::start(actor), apps, timeout }
    }

    /// Closes all that the plan leaves open, and lists in the inquiry how. `refused` is what was refused in an earlier
    /// plan of the query.
    ///
    /// # Errors
    /// If the user wants none of the apps.
    pub async fn settle(
        &self,
        inquiry: &Inquiry,
        mut plan: Plan,
        refused: &[String],
    ) -> Result<Plan, NoneOfThem> {
        for choice in rule::open(&plan, &inquiry.catalogue, &inquiry.text, refused) {
            let (app, by, kept) = self.choose(inquiry, &choice).await;
            inquiry.ledger(|ledger| {
                ledger.choices.push(Chosen {
                    functionalities: choice.names.iter().cloned().collect(),
                    offered: choice.apps.clone(),
                    app: app.clone(),
                    by: by.to_owned(),
                    kept,
                });
            });
            plan = choice.given_to(&app.ok_or(NoneOfThem)?, plan);
        }
        Ok(plan)
    }

    async fn choose(&self, inquiry: &Inquiry, choice: &OpenChoice) -> (Option<AppId>, &'static str, bool) {
        let whose = (inquiry.user.clone(), inquiry.session.clone());
        let as_planned = |by| (Some(choice.planned.clone()), by, false);
        let known = ask(&self.address, |back| Message::Known(whose, back)).await;
        // An actor that does not answer knows nothing, and nobody will take an answer.
        let Ok((earlier, defaults)) = known else { return as_planned("timeout") };
        if let Some(app) = choice.chosen_before(&earlier) {
            return (Some(app), "session", false);
        }
        if let Some(app) = choice.chosen_before(&defaults) {
            return (Some(app), "default", true);
        }
        if !inquiry.attended {
            return as_planned("unattended");
        }
        let (back, answer) = oneshot::channel();
        let id = WorkId::fresh();
        let open = Open {
            user: inquiry.user.clone(),
            session: inquiry.session.clone(),
            choice: choice.clone(),
            back,
        };
        if tell(&self.address, Message::Open(id.clone(), Box::new(open))).is_err() {
            return as_planned("timeout");
        }
        let limit_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let offers = choice.offers(&inquiry.catalogue);
        inquiry.say(Happening::Choosing(Box::new(AppChoice {
            id,
            args: choice.args.clone(),
            offers,
            limit_ms,
        })));
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(Picked { app, kept })) => (app, "user", kept),
            Ok(Err(_)) | Err(_) => as_planned("timeout"),
        }
    }

    /// A user answered. With `keep` the app becomes the default, in the store first.
    ///
    /// # Errors
    /// In a sentence: no such choice of this user is open, the app was not offered, or it could not be stored.
    pub async fn choose_app(
        &self,
        user: UserId,
        id: WorkId,
        app: Option<AppId>,
        keep: bool,
    ) -> Result<Value, String> {
        let chosen = ask(&self.address, |back| Message::Choose { user, id, app, keep, back }).await;
        chosen.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// All defaults of a user, for people.
    ///
    /// # Errors
    /// In a sentence.
    pub async fn defaults(&self, user: UserId) -> Result<Value, String> {
        ask(&self.address, |back| Message::List(user, back)).await.map_err(|error| error.to_string())
    }

    /// From now on this app does it, also in conversations in which another was chosen.
    ///
    /// # Errors
    /// In a sentence: there is no such functionality, or it could not be stored.
    pub async fn set_default(&self, user: UserId, functionality: Functionality) -> Result<Value, String> {
        if self.apps.catalogue().get(&functionality).is_none() {
            return Err(format!("there is no functionality {functionality}"));
        }
        let set = ask(&self.address, |back| Message::Set(user, functionality, back)).await;
        set.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The user is asked again.
    ///
    /// # Errors
    /// In a sentence: there is no such default, or it could not be forgotten.
    pub async fn clear_default(&self, user: UserId, name: FunctionName) -> Result<Value, String> {
        let cleared = ask(&self.address, |back| Message::Clear(user, name, back)).await;
        cleared.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// A conversation is over, and what was chosen in it.
    pub fn session_ended(&self, user: UserId, session: SessionId) {
        if let Err(error) = tell(&self.address, Message::SessionEnded(user, session)) {
            tracing::error!(%error, "the chooser was not told");
        }
    }
}

/// What is known of a user's choices: in this conversation, and for good.
type Known = (BTreeMap<FunctionName, AppId>, BTreeMap<FunctionName, AppId>);

type Told = oneshot::Sender<Result<Value, String>>;

enum Message {
    Known((UserId, SessionId), oneshot::Sender<Known>),
    Open(WorkId, Box<Open>),
    Choose { user: UserId, id: WorkId, app: Option<AppId>, keep: bool, back: Told },
    List(UserId, oneshot::Sender<Value>),
    Set(UserId, Functionality, Told),
    Clear(UserId, FunctionName, Told),
    SessionEnded(UserId, SessionId),
}

impl actix::Message for Message {
    type Result = ();
}

/// Somebody is being asked.
struct Open {
    user: UserId,
    session: SessionId,
    choice: OpenChoice,
    back: oneshot::Sender<Picked>,
}

struct Picked {
    app: Option<AppId>,
    kept: bool,
}

struct ChooserActor {
    defaults: BTreeMap<UserId, BTreeMap<FunctionName, Kept>>,
    /// What was chosen in conversations that go on.
    earlier: HashMap<(UserId, SessionId), BTreeMap<FunctionName, AppId>>,
    open: HashMap<WorkId, Open>,
    store: DefaultsStore,
}

impl Actor for ChooserActor {
    type Context = Context<Self>;
}

impl Handler<Message> for ChooserActor {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Self::Context) {
        // Who asked may have gone meanwhile; an answer that nobody takes is no error.
        match message {
            Message::Known(whose, back) => {
                let defaults = self.defaults.get(&whose.0).into_iter().flatten();
                let defaults = defaults.map(|(name, default)| (name.clone(), default.app.clone())).collect();
                _ = back.send((self.earlier.get(&whose).cloned().unwrap_or_default(), defaults));
            }
            Message::Open(id, open) => {
                // Those of queries that ended, or whose time is up.
                self.open.retain(|_, open| !open.back.is_closed());
                self.open.insert(id, *open);
            }
            Message::Choose { user, id, app, keep, back } => match self.answered(&user, &id, app.as_ref()) {
                Err(why) => _ = back.send(Err(why)),
                Ok(open) => self.choose(open, app, keep, back, context),
            },
            Message::List(user, back) => _ = back.send(self.list(&user)),
            Message::Set(user, functionality, back) => {
                let Functionality { app, name } = functionality;
                self.keep(user, vec![name], app, context, |kept| _ = back.send(kept));
            }
            Message::Clear(user, name, back) => self.clear(user, name, back, context),
            Message::SessionEnded(user, session) => _ = self.earlier.remove(&(user, session)),
        }
    }
}

impl ChooserActor {
    fn answered(&mut self, user: &UserId, id: &WorkId, app: Option<&AppId>) -> Result<Open, String> {
        let open = self.open.get(id).filter(|open| open.user == *user && !open.back.is_closed());
        let open =
            open.ok_or("that choice is no longer open; it was done as planned, or answered elsewhere")?;
        if let Some(app) = app.filter(|app| !open.choice.apps.contains(app)) {
            return Err(format!("{app} was not offered"));
        }
        self.open.remove(id).ok_or_else(|| "that choice is no longer open".to_owned())
    }

    fn choose(
        &mut self,
        open: Open,
        app: Option<AppId>,
        keep: bool,
        back: Told,
        context: &mut Context<Self>,
    ) {
        let Open { user, session, choice, back: waits } = open;
        let Some(app) = app else {
            _ = waits.send(Picked { app: None, kept: false });
            _ = back.send(Ok(json!({"app": null, "kept": false})));
            return;
        };
        let names: Vec<FunctionName> = choice.names.into_iter().collect();
        let chosen = app.clone();
        let done = move |kept: Result<Value, String>| {
            _ = waits.send(Picked { app: Some(chosen.clone()), kept: keep && kept.is_ok() });
            _ = back.send(kept.map(|_| json!({"app": chosen, "kept": keep})));
        };
        if keep {
            self.keep(user.clone(), names.clone(), app.clone(), context, done);
        } else {
            done(Ok(Value::Null));
        }
        // Whether or not it could be stored, it holds for this conversation.
        let earlier = self.earlier.entry((user, session)).or_default();
        earlier.extend(names.into_iter().map(|name| (name, app.clone())));
    }

    /// Writes a default before it is in force.
    fn keep(
        &mut self,
        user: UserId,
        names: Vec<FunctionName>,
        app: AppId,
        context: &mut Context<Self>,
        done: impl FnOnce(Result<Value, String>) + 'static,
    ) {
        for ((of, _), earlier) in &mut self.earlier {
            if *of == user {
                names.iter().for_each(|name| _ = earlier.remove(name));
            }
        }
        let store = self.store.clone();
        let default = Kept { app, created: unix_seconds() };
        let (of, all, kept) = (user.clone(), names.clone(), default.clone());
        let stored = async move {
            for name in &all {
                store.put(&of, name, &kept).await?;
            }
            Ok::<(), crate::grants_store::GrantsError>(())
        };
        context.spawn(stored.into_actor(self).map(move |stored, actor, _| {
            done(match stored {
                Ok(()) => {
                    let told = names.iter().map(|name| listed(name, &default)).collect();
                    let defaults = actor.defaults.entry(user).or_default();
                    defaults.extend(names.into_iter().map(|name| (name, default.clone())));
                    Ok(told)
                }
                Err(error) => {
                    tracing::error!(%error, "a default was not stored");
                    Err(format!("it could not be stored, and holds for this conversation only: {error}"))
                }
            });
        }));
    }

    fn clear(&mut self, user: UserId, name: FunctionName, back: Told, context: &mut Context<Self>) {
        let of_user = self.defaults.get_mut(&user);
        // It is out of force at once, whatever the store says.
        if of_user.and_then(|defaults| defaults.remove(&name)).is_none() {
            _ = back.send(Err(format!("there is no default for {name}")));
            return;
        }
        let store = self.store.clone();
        let removed = async move { (store.remove(&user, &name).await, name) };
        context.spawn(removed.into_actor(self).map(move |(removed, name), _, _| {
            _ = back.send(removed.map(|()| json!({"cleared": name})).map_err(|error| {
                format!(
                    "the default for {name} is cleared until the hub starts again, but still stored: {error}"
                )
            }));
        }));
    }

    fn list(&self, user: &UserId) -> Value {
        let defaults = self.defaults.get(user).into_iter().flatten();
        defaults.map(|(name, default)| listed(name, default)).collect()
    }
}

fn listed(name: &FunctionName, default: &Kept) -> Value {
    json!({"functionality": name, "app": default.app, "created": default.created})
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
