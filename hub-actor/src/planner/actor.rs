//! The planner actor: one model call from the user's words to a plan.
//!
//! Answers: what is to be done for this query?
//! Never: asks more than twice; shows the model anything but what [`super::prompt`] makes.
//! Carries: I-17.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use bus::client::{Bus, BusError};
use bus::limits::{SILENCE, TASK};
use bus::message::chat::{ChatReply, ChatRequest, EmbedReply, EmbedRequest};
use bus::message::task::{Failure, FailureCode};
use bus::subject::{Op, Service, Subject};
use tokio::sync::{Mutex, oneshot};

use super::prompt::{self, Refused};
use crate::inquiry::Inquiry;
use crate::instructions::Instructions;
use crate::mailbox::{self, Unanswered, tell};
use crate::memory::text::Conversation;
use crate::parts::Model;
use crate::plan::{Plan, Planned};
use crate::registry::{Catalogue, retrieval};
use bus::id::Functionality;

/// Candidate functionalities that the planner sees, where there are more than it can be shown.
const CANDIDATES: usize = 24;

/// How long an embedding may take before the words decide instead.
const EMBED: Duration = Duration::from_secs(5);

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Planner {
    address: Addr<PlannerActor>,
}

impl Planner {
    /// Starts the actor. `embeddings` says whether the gateway has a model for them.
    #[must_use]
    pub fn start(bus: &Bus, instructions: Arc<Instructions>, model: Model, embeddings: bool) -> Self {
        let vectors = Mutex::new(None);
        let desk = Desk { bus: bus.clone(), instructions, model, embeddings, vectors };
        Self { address: mailbox::start(PlannerActor { desk: Arc::new(desk) }) }
    }

    /// A plan, or a direct answer.
    ///
    /// # Errors
    /// If the model gives none that can be carried out; the sentence says why.
    pub async fn plan(
        &self,
        inquiry: &Arc<Inquiry>,
        conversation: Conversation,
        refused: Vec<Refused>,
    ) -> Result<Planned, Failure> {
        let (back, planned) = oneshot::channel();
        let message = Message { inquiry: Arc::clone(inquiry), conversation, refused, back };
        let lost = |error: Unanswered| Failure::new(FailureCode::Lost, error.to_string());
        tell(&self.address, message).map_err(lost)?;
        // Two calls at most, each with its own deadline.
        match tokio::time::timeout(TASK.saturating_mul(2).saturating_add(mailbox::LIMIT), planned).await {
            Ok(Ok(planned)) => planned,
            Ok(Err(_)) => Err(lost(Unanswered::Gone)),
            Err(_) => Err(lost(Unanswered::Late)),
        }
    }
}

struct Message {
    inquiry: Arc<Inquiry>,
    conversation: Conversation,
    refused: Vec<Refused>,
    back: oneshot::Sender<Result<Planned, Failure>>,
}

impl actix::Message for Message {
    type Result = ();
}

struct PlannerActor {
    desk: Arc<Desk>,
}

impl Actor for PlannerActor {
    type Context = Context<Self>;
}

impl Handler<Message> for PlannerActor {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Self::Context) {
        let desk = Arc::clone(&self.desk);
        let Message { inquiry, conversation, refused, mut back } = message;
        actix::spawn(async move {
            let planned = tokio::select! {
                planned = desk.plan(&inquiry, &conversation, &refused) => planned,
                // The query was cancelled.
                () = back.closed() => return,
            };
            // It may have been cancelled just now.
            let _ = back.send(planned);
        });
    }
}

/// What is needed to ask.
struct Desk {
    bus: Bus,
    instructions: Arc<Instructions>,
    model: Model,
    embeddings: bool,
    /// Of what was asked for last, and of which apps.
    vectors: Mutex<Option<(Catalogue, Arc<Vectors>)>>,
}

type Vectors = Vec<(Functionality, Vec<f32>)>;

impl Desk {
    async fn plan(
        &self,
        inquiry: &Inquiry,
        conversation: &Conversation,
        refused: &[Refused],
    ) -> Result<Planned, Failure> {
        let catalogue = &inquiry.catalogue;
        let candidates = self.candidates(catalogue, &inquiry.text).await;
        let asking = prompt::Asking {
            instructions: &self.instructions.planner,
            catalogue,
            candidates: &candidates,
            conversation,
            query: &inquiry.text,
            refused,
        };
        let request = prompt::request(asking, inquiry.id.clone());
        let said = self.ask(inquiry, &request).await?;
        let error = match Plan::parse(&said, catalogue) {
            Ok(planned) => return Ok(planned),
            Err(error) => error,
        };
        tracing::info!(query = %inquiry.id, %error, "the plan cannot be carried out; the planner is asked once more");
        let said = self.ask(inquiry, &prompt::again(request, &said, &error)).await?;
        Plan::parse(&said, catalogue).map_err(|error| {
            Failure::new(
                FailureCode::Model,
                format!("the model gave no plan that can be carried out: {error}"),
            )
        })
    }

    async fn candidates(&self, catalogue: &Catalogue, query: &str) -> Vec<Functionality> {
        let count = catalogue.functionalities().count();
        if self.embeddings && retrieval::ALL_UP_TO < count {
            match self.by_vectors(catalogue, query).await {
                Ok(candidates) => return candidates,
                Err(why) => tracing::warn!(why, "no embeddings; the words decide"),
            }
        }
        retrieval::candidates(catalogue, query, CANDIDATES)
    }

    async fn by_vectors(&self, catalogue: &Catalogue, query: &str) -> Result<Vec<Functionality>, String> {
        let documents = self.documents(catalogue).await?;
        let vectors = self.embed(vec![query.to_owned()]).await?;
        let vector = vectors.first().ok_or("no vector came")?;
        Ok(retrieval::by_vectors(&documents, vector, query, CANDIDATES))
    }

    /// What the apps offer, as vectors: asked for once for each list of apps.
    async fn documents(&self, catalogue: &Catalogue) -> Result<Arc<Vectors>, String> {
        let mut vectors = self.vectors.lock().await;
        if let Some((of, known)) = &*vectors
            && of.is(catalogue)
        {
            return Ok(Arc::clone(known));
        }
        let (names, texts): (Vec<_>, Vec<_>) = retrieval::documents(catalogue).into_iter().unzip();
        let new: Arc<Vectors> = Arc::new(names.into_iter().zip(self.embed(texts).await?).collect());
        *vectors = Some((catalogue.clone(), Arc::clone(&new)));
        Ok(new)
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, String> {
        let wanted = texts.len();
        let subject = Subject::HubOut { service: Service::Llm, op: Op::EMBED };
        let reply: EmbedReply = self
            .bus
            .request(&subject, &EmbedRequest { texts }, None, EMBED)
            .await
            .map_err(|error| error.to_string())?;
        let vectors = reply.vectors?;
        if vectors.len() == wanted {
            Ok(vectors)
        } else {
            Err(format!("{} vectors for {wanted} texts", vectors.len()))
        }
    }

    /// One call of the model: the whole text it said.
    async fn ask(&self, inquiry: &Inquiry, request: &ChatRequest) -> Result<String, Failure> {
        inquiry.ledger(|ledger| ledger.planner_calls = ledger.planner_calls.saturating_add(1));
        let failed = |error: BusError| {
            Failure::new(FailureCode::Model, format!("the model gateway does not answer: {error}"))
        };
        let subject = Subject::HubOut { service: Service::Llm, op: Op::CHAT };
        let mut answers =
            self.bus.request_many(&subject, request, Some(&inquiry.id)).await.map_err(failed)?;
        let deadline = tokio::time::Instant::now() + TASK;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let reply = tokio::select! {
                // The gateway gives a sign each second: one that was killed is not waited for.
                reply = answers.next::<ChatReply>(left.min(SILENCE)) => reply.map_err(failed)?,
                // The answer would have come on the connection that is gone.
                () = self.bus.lost() => {
                    let detail = "the connection to the bus broke while the model was asked";
                    return Err(Failure::new(FailureCode::Lost, detail));
                }
            };
            match reply {
                ChatReply::Token { .. } => {}
                ChatReply::Done { text, model, .. } => {
                    self.model.answered(&model);
                    return Ok(text);
                }
                ChatReply::Failed { detail, .. } => return Err(Failure::new(FailureCode::Model, detail)),
            }
        }
    }
}
