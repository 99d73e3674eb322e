//! The llm-gateway on the bus.
//!
//! Answers: which requests are served, how many at once, and with what are they answered?
//! Never: serves a spoke beyond its budget; keeps a caller waiting beyond the deadline; queues without a bound.
//! Carries: I-02, I-16.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus::client::{Bus, BusError};
use bus::envelope::{Incoming, Reply as ReplyTo};
use bus::id::{SpokeAddr, WorkId};
use bus::limits;
use bus::message::chat::{Budget, BudgetSet, ChatError, ChatReply, ChatRequest, EmbedReply, EmbedRequest};
use bus::pace::Paces;
use bus::service::Service;
use bus::subject::{Op, Service as To, Subject};
use gateway::ears::{Ears, HUB, Name, SPOKES};
use tokio::sync::{Semaphore, mpsc};

use crate::budget::{Denied, Ledger, Ticket};
use crate::provider::{Provider, Trouble};
use crate::reply::Reply;
use crate::request::estimate;

/// Calls of the model at once. More would mostly meet the server's own limit of the rate.
pub const AT_ONCE: usize = 64;

/// Calls that wait for their turn. Behind this many, a new one would mostly time out.
pub const WAITING: usize = 1024;

/// Who this process is.
pub const NAME: Name = Name {
    service: To::Llm,
    listed: "secgpt-llm",
    about: "Speaks to the model for the hub and for spokes, within their budgets",
};

/// Messages a second from one spoke, and at once. Its own limit is [`crate::budget::AT_ONCE`] calls of each task; what
/// comes faster than this is dropped unread, so that it costs next to nothing; a spoke that goes on is ended.
pub const PACE: (u32, u32) = (1000, 2000);

/// Spokes whose pace is remembered. Beyond this, those that were silent for a while are forgotten.
const PACES: usize = 4096;

/// The gateway. Cheap to clone; all clones share budgets and bounds.
#[derive(Clone)]
pub struct Gateway {
    bus: Bus,
    provider: Provider,
    model: String,
    ledger: Arc<Mutex<Ledger>>,
    /// A permit is a call that runs.
    running: Arc<Semaphore>,
    /// A permit is a call that runs or waits.
    admitted: Arc<Semaphore>,
    service: Service,
}

impl Gateway {
    /// Subscribes; what is sent after this returns is heard.
    ///
    /// # Errors
    /// If the bus does not take the subscriptions.
    pub async fn start(bus: Bus, provider: Provider, model: String) -> Result<(Self, Ears), BusError> {
        let (ears, service) = Ears::open(&bus, NAME, Paces::new(PACE, PACES)).await?;
        let gateway = Self {
            bus,
            provider,
            model,
            ledger: Arc::default(),
            running: Arc::new(Semaphore::new(AT_ONCE)),
            admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            service,
        };
        Ok((gateway, ears))
    }

    /// Serves until the connection is closed for good.
    pub async fn serve(self, mut ears: Ears) {
        while let Some(incoming) = ears.next().await {
            self.take(incoming).await;
        }
    }

    /// Who spoke is in the subject; what may be said there depends on it alone.
    async fn take(&self, incoming: Incoming) {
        match incoming.subject.clone() {
            Subject::SpokeOut { spoke, service: To::Llm, op: Op::CHAT } => {
                self.chat(Some(spoke), incoming).await
            }
            Subject::HubOut { service: To::Llm, op: Op::CHAT } => self.chat(None, incoming).await,
            Subject::HubOut { service: To::Llm, op: Op::BUDGET } => self.budget(incoming).await,
            Subject::HubOut { service: To::Llm, op: Op::EMBED } => self.embed(incoming).await,
            other => self.bus.drop_message(&other.to_string(), "the llm-gateway has no such operation").await,
        }
    }

    async fn budget(&self, incoming: Incoming) {
        let Some(budget) = self.bus.body::<Budget>(&incoming).await else { return };
        tracing::debug!(spoke = %budget.spoke, task = %budget.task, calls = budget.calls, "budget");
        self.ledger().announce(budget, Instant::now());
        self.bus.respond(&incoming, &BudgetSet {}).await;
    }

    /// `spoke` is who asks; nobody, if it is the hub.
    async fn chat(&self, spoke: Option<SpokeAddr>, incoming: Incoming) {
        let began = Instant::now();
        let deadline = began + self.provider.timeout();
        let Some(request) = self.bus.body::<ChatRequest>(&incoming).await else { return };
        if incoming.reply == ReplyTo::None {
            let why = "nobody would hear the answer: no reply subject";
            return self.bus.drop_message(&incoming.subject.to_string(), why).await;
        }
        let Ok(admitted) = Arc::clone(&self.admitted).try_acquire_owned() else {
            let detail = format!("{WAITING} model calls are waiting already; try again later");
            return self.fail(&incoming, Trouble { code: ChatError::Busy, detail }).await;
        };
        let ticket = match self.open(spoke.as_ref(), &request) {
            Ok(ticket) => ticket,
            Err(denied) => {
                let trouble = Trouble { code: ChatError::Budget, detail: denied.to_string() };
                return self.fail(&incoming, trouble).await;
            }
        };
        let gateway = self.clone();
        tokio::spawn(async move {
            let model = ticket.as_ref().and_then(|ticket| ticket.model.clone());
            let model = model.unwrap_or_else(|| gateway.model.clone());
            let result = gateway.call_with_signs(&incoming, &request, &model, deadline).await;
            // What failed after the server had begun has cost something; the request alone is counted.
            let used = match &result {
                Ok(reply) => reply.usage.prompt.saturating_add(reply.usage.completion),
                Err(_) => estimate(&request),
            };
            if let Some(ticket) = ticket {
                gateway.ledger().settle(ticket, used);
            }
            drop(admitted);
            gateway.note(spoke.as_ref(), &request.task, &model, began.elapsed(), &result);
            match result {
                Ok(Reply { text, calls, usage, model: answered }) => {
                    let done = ChatReply::Done { text, calls, usage, model: answered.unwrap_or(model) };
                    gateway.bus.respond(&incoming, &done).await;
                }
                Err(trouble) => gateway.fail(&incoming, trouble).await,
            }
        });
    }

    /// The hub has no budget; a spoke has what the hub announced for it.
    fn open(&self, spoke: Option<&SpokeAddr>, request: &ChatRequest) -> Result<Option<Ticket>, Denied> {
        let Some(spoke) = spoke else { return Ok(None) };
        self.ledger().open(spoke, &request.task, estimate(request), Instant::now()).map(Some)
    }

    /// Asks, and shows meanwhile that this process is there: who asks takes silence for its end.
    async fn call_with_signs(
        &self,
        incoming: &Incoming,
        request: &ChatRequest,
        model: &str,
        deadline: Instant,
    ) -> Result<Reply, Trouble> {
        let mut call = std::pin::pin!(self.call(incoming, request, model, deadline));
        loop {
            match tokio::time::timeout(limits::HEARTBEAT, &mut call).await {
                Ok(result) => return result,
                Err(_) => self.bus.respond(incoming, &ChatReply::Token { text: String::new() }).await,
            }
        }
    }

    /// Waits for a turn, asks, and hands words on as they come.
    async fn call(
        &self,
        incoming: &Incoming,
        request: &ChatRequest,
        model: &str,
        deadline: Instant,
    ) -> Result<Reply, Trouble> {
        let turn = tokio::time::timeout_at(deadline.into(), self.running.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let detail = format!("{AT_ONCE} other model calls were running all the time; try again later");
            return Err(Trouble { code: ChatError::Busy, detail });
        };
        let (words, mut heard) = mpsc::channel(64);
        let mut answer = std::pin::pin!(self.provider.chat(request, model, deadline, words));
        loop {
            tokio::select! {
                biased;
                Some(text) = heard.recv() => self.bus.respond(incoming, &ChatReply::Token { text }).await,
                result = &mut answer => {
                    while let Ok(text) = heard.try_recv() {
                        self.bus.respond(incoming, &ChatReply::Token { text }).await;
                    }
                    return result;
                }
            }
        }
    }

    async fn embed(&self, incoming: Incoming) {
        let began = Instant::now();
        let Some(request) = self.bus.body::<EmbedRequest>(&incoming).await else { return };
        let gateway = self.clone();
        tokio::spawn(async move {
            let deadline = began + gateway.provider.timeout();
            let vectors = match gateway.provider.embed(request.texts, deadline).await {
                Ok(vectors) => Ok(vectors),
                Err(trouble) => Err(trouble.detail),
            };
            gateway.service.note(HUB, began.elapsed(), vectors.as_ref().err().map(String::as_str));
            gateway.bus.respond(&incoming, &EmbedReply { vectors }).await;
        });
    }

    async fn fail(&self, incoming: &Incoming, trouble: Trouble) {
        tracing::warn!(subject = %incoming.subject, code = ?trouble.code, detail = trouble.detail, "no answer");
        let Trouble { code, detail } = trouble;
        self.bus.respond(incoming, &ChatReply::Failed { code, detail }).await;
    }

    fn note(
        &self,
        spoke: Option<&SpokeAddr>,
        task: &WorkId,
        model: &str,
        took: Duration,
        result: &Result<Reply, Trouble>,
    ) {
        let endpoint = if spoke.is_some() { SPOKES } else { HUB };
        self.service.note(endpoint, took, result.as_ref().err().map(|trouble| trouble.detail.as_str()));
        let caller = spoke.map_or_else(|| "hub".to_owned(), ToString::to_string);
        if let Ok(reply) = result {
            let (prompt, completion) = (reply.usage.prompt, reply.usage.completion);
            tracing::info!(caller, %task, model, ?took, prompt, completion, calls = reply.calls.len(), "answered");
        }
    }

    /// No task panics while it holds the budgets; if one did, they would still be whole.
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
