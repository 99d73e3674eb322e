//! The model, asked over the bus.
//!
//! Answers: what does the model say next?
//! Never: holds a key or knows a provider; decides what a task may spend, which the gateway does.
//! Carries: I-16.

use bus::client::BusError;
use bus::limits::SILENCE;
use bus::message::chat::{ChatError, ChatReply, ChatRequest, NamedSchema, Tool, ToolCall, Turn};
use bus::message::task::{Failure, FailureCode};
use bus::subject::{Op, Service};

use crate::job::{Job, cut};

/// What is asked of the model.
pub(crate) struct Question<'a> {
    pub(crate) turns: &'a [Turn],
    pub(crate) tools: &'a [Tool],
    pub(crate) schema: Option<&'a NamedSchema>,
    /// Hand pieces of the answer on as they come?
    pub(crate) stream: bool,
}

/// What it said.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
}

/// One turn, within what is left of the task's time.
pub(crate) async fn ask(job: &Job, question: Question<'_>) -> Result<Said, Failure> {
    let spoke = &job.spoke;
    let _place =
        spoke.chats.acquire().await.map_err(|_| Failure::new(FailureCode::Lost, "the spoke is ending"))?;
    job.count_model_call();
    let request = ChatRequest {
        task: job.id.clone(),
        turns: question.turns.to_vec(),
        tools: question.tools.to_vec(),
        schema: question.schema.cloned(),
        stream: question.stream,
    };
    let subject = spoke.subject(Service::Llm, Op::CHAT);
    let mut answers = spoke.bus.request_many(&subject, &request, Some(&job.id)).await.map_err(failed)?;
    loop {
        let left = job.left();
        let heard = answers.next(left.min(SILENCE)).await;
        match heard.map_err(|error| if SILENCE < left { silent(error) } else { failed(error) })? {
            ChatReply::Token { text } if question.stream && !text.is_empty() => job.token(text).await,
            ChatReply::Token { .. } => {}
            ChatReply::Done { text, calls, .. } => return Ok(Said { text, calls }),
            ChatReply::Failed { code: ChatError::Budget, detail } => {
                return Err(Failure::new(FailureCode::Budget, cut(&detail, 2000)));
            }
            ChatReply::Failed { detail, .. } => {
                return Err(Failure::new(FailureCode::Model, cut(&detail, 2000)));
            }
        }
    }
}

/// The gateway gives a sign each second while it waits for the model.
fn silent(error: BusError) -> Failure {
    match error {
        BusError::Timeout { .. } => {
            let words = format!("nothing was heard of the model gateway for {} s", SILENCE.as_secs());
            Failure::new(FailureCode::Model, words)
        }
        other => failed(other),
    }
}

fn failed(error: BusError) -> Failure {
    match error {
        BusError::NoResponder(_) => {
            Failure::new(FailureCode::Model, "no model gateway is there; is llm-gateway running?")
        }
        BusError::Timeout { .. } => Failure::new(FailureCode::Timeout, "the model did not answer in time"),
        BusError::Malformed(what) => Failure::new(FailureCode::Model, format!("the conversation: {what}")),
        other => Failure::new(FailureCode::Lost, other.to_string()),
    }
}
