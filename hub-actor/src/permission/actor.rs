//! The permission actor: every flow comes by here.
//!
//! Answers: may this flow proceed? Asks the user where [`super::decide`] says so.
//! Never: decides by a rule of its own; lets a flow proceed that is not recorded; waits for a person for ever.
//! Carries: I-05, I-06, I-07, I-08.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use bus::client::Bus;
use bus::id::{SessionId, UserId, WorkId};
use bus::message::task::{Failure, FailureCode};
use bus::message::user::{Consent, Flow, Happening, Verdict};
use bus::subject::{Leaf, Op, Subject};
use serde_json::Value;
use tokio::sync::oneshot;

use super::decide::{Decision, decide};
use super::grant::{Grant, GrantId, Grants, Scope};
use super::policy::Policy;
use super::prompts::{Answered, Asked, Open, Prompts, answered};
use super::question::Question;
use super::stats::AllStats;
use crate::audit::Audit;
use crate::grants_store::GrantsStore;
use crate::inquiry::Inquiry;
use crate::mailbox::{self, Unanswered, ask, hand, tell};

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Permission {
    address: Addr<PermissionActor>,
    audit: Audit,
    timeout: Duration,
}

/// How long others of a kind have to join a prompt. What a plan asks for in one go comes within a few of these;
/// nobody notices the wait.
const GATHER: Duration = Duration::from_millis(15);

/// A flow that wants to proceed.
pub struct Asking {
    /// What is asked.
    pub question: Question,
    /// For which query.
    pub inquiry: Arc<Inquiry>,
    /// Why an app asks, in its own words.
    pub apps_words: Option<String>,
    /// The requests of the app's task; none for the plan's own flows.
    pub requests: Option<Requests>,
}

/// Requests of a task, and how many it may make.
pub struct Requests {
    /// Made so far, those aside that a standing grant covered: nobody is bothered by them, and the spoke's rate
    /// holds them.
    pub made: Arc<AtomicU32>,
    /// By the app's manifest.
    pub most: u32,
}

impl Permission {
    /// Starts the actor. `timeout` is how long a person has to answer.
    #[must_use]
    pub fn start(bus: &Bus, policy: Policy, grants: Grants, store: GrantsStore, timeout: Duration) -> Self {
        let audit = Audit::new(bus.clone());
        let actor = PermissionActor {
            policy,
            grants,
            prompts: Prompts::default(),
            apps_words: HashMap::new(),
            stats: AllStats::default(),
            store: Arc::new(store),
            timeout,
            bus: bus.clone(),
            audit: audit.clone(),
        };
        Self { address: mailbox::start(actor), audit, timeout }
    }

    /// Returns when the flow may proceed: decided, by a person if need be, recorded, and listed.
    ///
    /// # Errors
    /// If it may not; the sentence says why.
    pub async fn permit(&self, asking: Asking) -> Result<(), Failure> {
        let refused = |why: &str| Failure::new(FailureCode::Refused, why);
        let inquiry = Arc::clone(&asking.inquiry);
        let (answer, flow) = oneshot::channel();
        tell(&self.address, Message::Ask(Box::new(asking), answer))
            .map_err(|error| refused(&error.to_string()))?;
        // The actor's own deadline for a person comes first.
        let flow = match tokio::time::timeout(self.timeout.saturating_add(mailbox::LIMIT), flow).await {
            Ok(Ok(flow)) => flow,
            Ok(Err(_)) | Err(_) => return Err(refused("It was not decided, so it is refused.")),
        };
        inquiry.note(&flow);
        if let Err(error) = self.audit.decision(&inquiry.id, &inquiry.user, &flow).await {
            tracing::error!(%error, to = flow.to, "a decision was not recorded");
            return Err(refused("The decision could not be recorded, so it is refused."));
        }
        match flow.decision {
            Verdict::Allow => Ok(()),
            Verdict::Ask | Verdict::Deny => Err(refused(&flow.reason)),
        }
    }

    /// Writes a flow to the audit that was refused before it could be a question.
    pub async fn record(&self, inquiry: &Inquiry, flow: &Flow) {
        if let Err(error) = self.audit.decision(&inquiry.id, &inquiry.user, flow).await {
            tracing::error!(%error, to = flow.to, "a refusal was not recorded");
        }
    }

    /// A user answered a prompt. Late, second and foreign answers are dropped and recorded.
    ///
    /// # Errors
    /// If the actor has ended.
    pub async fn consent(&self, user: UserId, consent: Consent) -> Result<(), Unanswered> {
        hand(&self.address, Message::Consent(user, consent)).await
    }

    /// A query of this user is over.
    pub fn query_ended(&self, user: UserId, query: WorkId) {
        self.tell(Message::QueryEnded(user, query));
    }

    /// How often this user was asked, and about what.
    ///
    /// # Errors
    /// If the actor does not answer.
    pub async fn stats(&self, user: UserId) -> Result<Value, Unanswered> {
        ask(&self.address, |back| Message::Stats(user, back)).await
    }

    /// A conversation is over.
    pub fn session_ended(&self, user: UserId, session: SessionId) {
        self.tell(Message::SessionEnded(user, session));
    }

    /// All grants of a user, for people.
    ///
    /// # Errors
    /// If the actor does not answer.
    pub async fn list(&self, user: UserId) -> Result<Value, Unanswered> {
        ask(&self.address, |back| Message::List(user, back)).await
    }

    /// Takes a grant of this user back, in the store first.
    ///
    /// # Errors
    /// In a sentence.
    pub async fn revoke(&self, user: UserId, grant: GrantId) -> Result<(), String> {
        let revoked = ask(&self.address, |back| Message::Revoke(user, grant, back)).await;
        revoked.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Has a grant of this user's end so many days from now. Returns when that will be, Unix seconds.
    ///
    /// # Errors
    /// In a sentence.
    pub async fn end_in(&self, user: UserId, grant: GrantId, days: u32) -> Result<u64, String> {
        let ended = ask(&self.address, |back| Message::EndIn(user, grant, days, back)).await;
        ended.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn tell(&self, message: Message) {
        if let Err(error) = tell(&self.address, message) {
            tracing::error!(%error, "the permission actor was not told");
        }
    }
}

enum Message {
    Ask(Box<Asking>, oneshot::Sender<Flow>),
    Consent(UserId, Consent),
    QueryEnded(UserId, WorkId),
    Stats(UserId, oneshot::Sender<Value>),
    SessionEnded(UserId, SessionId),
    List(UserId, oneshot::Sender<Value>),
    Revoke(UserId, GrantId, oneshot::Sender<Result<(), String>>),
    EndIn(UserId, GrantId, u32, oneshot::Sender<Result<u64, String>>),
}

impl actix::Message for Message {
    type Result = ();
}

struct PermissionActor {
    policy: Policy,
    grants: Grants,
    prompts: Prompts,
    /// Why the apps ask, in their words, until the prompt is shown.
    apps_words: HashMap<WorkId, Option<String>>,
    stats: AllStats,
    store: Arc<GrantsStore>,
    timeout: Duration,
    bus: Bus,
    audit: Audit,
}

impl Actor for PermissionActor {
    type Context = Context<Self>;
}

impl Handler<Message> for PermissionActor {
    type Result = ();

    fn handle(&mut self, message: Message, context: &mut Self::Context) {
        // Who asked may have gone meanwhile; an answer that nobody takes is no error.
        match message {
            Message::Ask(asking, answer) => self.ask(*asking, answer, context),
            Message::Consent(user, consent) => self.consent(&user, &consent, context),
            Message::Stats(user, back) => _ = back.send(self.stats.of(&user)),
            Message::QueryEnded(user, query) => {
                self.stats.query_ended(&user, &query);
                self.prompts.query_ended(&query);
                self.grants.query_ended(&query);
            }
            Message::SessionEnded(user, session) => self.grants.session_ended(&user, &session),
            Message::List(user, back) => _ = back.send(crate::admin::grants(self.grants.of_user(&user))),
            Message::Revoke(user, grant, back) => self.revoke(user, grant, back, context),
            Message::EndIn(user, grant, days, back) => self.end_in(&user, &grant, days, back, context),
        }
    }
}

impl PermissionActor {
    fn ask(&mut self, asking: Asking, answer: oneshot::Sender<Flow>, context: &mut Context<Self>) {
        let Asking { question, inquiry, apps_words, requests } = asking;
        self.expire(context);
        let decision = decide(&self.policy, &self.grants, &question);
        let by_grant = matches!(&decision, Decision::Allow { by, .. } if by.starts_with("grant:"));
        if let Some(requests) = requests
            && !by_grant
            && requests.most <= requests.made.fetch_add(1, Ordering::Relaxed)
        {
            let reason = format!("The app's task has made {} requests, the most it may.", requests.most);
            _ = answer.send(question.flow_with(Verdict::Deny, "limit:requests", &reason));
            return;
        }
        self.stats.decided(&question, &decision);
        if !matches!(decision, Decision::Ask { .. }) {
            _ = answer.send(question.flow(&decision));
            return;
        }
        match self.prompts.ask(&question, &decision, &inquiry, answer) {
            Asked::Shared => {}
            Asked::No { by, reason, answer } => {
                _ = answer.send(question.flow_with(Verdict::Deny, by, &reason));
            }
            Asked::Soon(id) => {
                self.apps_words.insert(id.clone(), apps_words);
                context.run_later(GATHER, move |actor, context| actor.show(&id, context));
            }
        }
    }

    /// Puts a prompt before the person, with all that is asked in the same breath.
    fn show(&mut self, id: &WorkId, context: &mut Context<Self>) {
        let words = self.apps_words.remove(id).flatten();
        let (policy, grants, limit) = (&self.policy, &self.grants, milliseconds(self.timeout));
        let shown =
            self.prompts.show(id, words.as_deref(), limit, |question| decide(policy, grants, question));
        // It may be moot by now.
        let Some((prompt, open)) = shown else { return };
        self.stats.shown(open);
        let inquiry = Arc::clone(&open.inquiry);
        inquiry.ledger(|ledger| ledger.prompts = ledger.prompts.saturating_add(1));
        inquiry.say(Happening::Waiting { prompt: id.clone() });
        let (bus, query, user, shown) =
            (self.bus.clone(), inquiry.id.clone(), inquiry.user.clone(), id.clone());
        let show = async move {
            let subject = Subject::UserIn { user, leaf: Leaf::Prompt };
            bus.publish_labelled(&subject, &prompt, Some(&query), &prompt.flow.labels).await
        };
        context.spawn(show.into_actor(self).map(move |result, actor, _| {
            if let Err(error) = result {
                actor.not_shown(&shown, &error.to_string());
            }
        }));
        let id = id.clone();
        context.run_later(self.timeout, move |actor, _| actor.expired(&id));
    }

    fn expired(&mut self, prompt: &WorkId) {
        let reason = format!("Nobody answered within {} s, so it is refused.", self.timeout.as_secs());
        self.unanswered(prompt, &reason);
    }

    fn not_shown(&mut self, prompt: &WorkId, why: &str) {
        self.unanswered(prompt, &format!("The question could not be shown ({why}), so it is refused."));
    }

    fn unanswered(&mut self, prompt: &WorkId, reason: &str) {
        if let Some(open) = self.prompts.expired(prompt) {
            self.stats.unanswered(&open);
            open.settle(|_, question| question.flow_with(Verdict::Deny, "timeout", reason));
        }
    }

    fn consent(&mut self, user: &UserId, consent: &Consent, context: &mut Context<Self>) {
        let Some(open) = self.prompts.answered(user, &consent.prompt) else {
            let subject = Subject::UserOut { user: user.clone(), op: Op::CONSENT };
            self.audit.dropped(&subject, "no such prompt of this user is open");
            return;
        };
        let answered = answered(&open, consent);
        self.stats.answered(&open, &answered);
        let grant = answered.grant(&open, consent, GrantId::fresh(), unix_seconds());
        match grant {
            None => open.settle(|place, question| answered.flow(place, question)),
            Some(grant) if grant.scope == Scope::Always => self.keep(grant, open, answered, context),
            Some(grant) => self.remember(grant, open, &answered),
        }
    }

    /// Writes the grant before the flow proceeds. If it cannot be written, the answer holds for this once.
    fn keep(&mut self, grant: Grant, open: Open, mut answered: Answered, context: &mut Context<Self>) {
        let store = Arc::clone(&self.store);
        let kept = async move {
            let kept = store.put(&grant).await;
            (kept, grant)
        };
        context.spawn(kept.into_actor(self).map(move |(kept, grant), actor, _| match kept {
            Ok(()) => actor.remember(grant, open, &answered),
            Err(error) => {
                tracing::error!(%error, "a grant was not stored");
                answered.yes =
                    "You allowed it for always, but that could not be stored; it holds for this once.";
                open.settle(|place, question| answered.flow(place, question));
            }
        }));
    }

    fn remember(&mut self, grant: Grant, open: Open, answered: &Answered) {
        self.grants.add(grant);
        open.settle(|place, question| answered.flow(place, question));
        let (policy, grants) = (&self.policy, &self.grants);
        for (other, decisions) in self.prompts.settled_by(|question| decide(policy, grants, question)) {
            other.settle(|place, question| match decisions.get(place) {
                Some(decision) => question.flow(decision),
                None => question.flow_with(Verdict::Deny, "policy:none", "It was not decided."),
            });
        }
    }

    /// Grants whose time is up end here: a decision has no clock.
    fn expire(&mut self, context: &mut Context<Self>) {
        for grant in self.grants.expire(unix_seconds()) {
            let store = Arc::clone(&self.store);
            let removed = async move { store.remove(&grant.user, &grant.id).await };
            context.spawn(removed.into_actor(self).map(|removed, _, _| {
                if let Err(error) = removed {
                    // It is out of force, and is looked at again when the hub starts.
                    tracing::warn!(%error, "a grant whose time is up is still stored");
                }
            }));
        }
    }

    fn end_in(
        &mut self,
        user: &UserId,
        id: &GrantId,
        days: u32,
        back: oneshot::Sender<Result<u64, String>>,
        context: &mut Context<Self>,
    ) {
        // It ends in this hub, whatever the store says.
        let grant = match self.grants.end_in(user, id, days, unix_seconds()) {
            Ok(grant) => grant,
            Err(why) => {
                _ = back.send(Err(why));
                return;
            }
        };
        let store = Arc::clone(&self.store);
        let kept = async move { store.put(&grant).await.map(|()| grant.expires.unwrap_or_default()) };
        context.spawn(kept.into_actor(self).map(move |kept, _, _| {
            _ = back.send(kept.map_err(|error| {
                format!("the grant ends then if the hub is not started again before, as its end could not be stored: {error}")
            }));
        }));
    }

    fn revoke(
        &mut self,
        user: UserId,
        id: GrantId,
        back: oneshot::Sender<Result<(), String>>,
        context: &mut Context<Self>,
    ) {
        let Some(grant) = self.grants.of_user(&user).iter().find(|grant| grant.id == id).cloned() else {
            _ = back.send(Err(format!("there is no grant {id}")));
            return;
        };
        // It is out of force at once, whatever the store says.
        self.grants.revoke(&user, &id);
        if grant.scope != Scope::Always {
            _ = back.send(Ok(()));
            return;
        }
        let store = Arc::clone(&self.store);
        let deleted = async move { store.remove(&user, &id).await.map_err(|error| (error, grant)) };
        context.spawn(deleted.into_actor(self).map(move |deleted, _, _| {
            _ = back.send(deleted.map_err(|(error, grant)| {
                format!("grant {} is revoked until the hub starts again, but still stored: {error}", grant.id)
            }));
        }));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
