//! Asking for what apps can do, and for stored data.
//!
//! Answers: what came of a request to another app, or of the own model's wish?
//! Never: reaches another app itself; the hub decides on every request, and a refusal is an answer like any other.
//! Carries: I-05.

use bus::client::BusError;
use bus::id::FunctionName;
use bus::message::isc::{Probe, Probed, Recall, Request, Response};
use bus::message::task::{Failure, FailureCode};
use bus::subject::{Op, Service};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::job::Job;

/// What the model fills in when it asks for another app. Text where a model may write anything.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    app: String,
    functionality: String,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    why: String,
}

/// Asks, and waits for the hub's answer: it may have to ask a person first.
pub(crate) async fn ask(job: &Job, wanted: Wanted) -> Result<Value, Failure> {
    job.count_request()?;
    if wanted.app == "memory" {
        return recall(job, wanted).await;
    }
    // Some models write the whole name in both places.
    let function = wanted.functionality.rsplit(['.']).next().unwrap_or_default();
    let functionality = format!("{}.{function}", wanted.app);
    let args = if wanted.arguments.is_null() { json!({}) } else { wanted.arguments };
    match request(job, functionality.clone(), args, wanted.why).await {
        Err(failure) if failure.code == FailureCode::Arguments => {
            Err(with_words(job, failure, functionality).await)
        }
        result => result,
    }
}

/// What the app's own model wants of its own app. What a model was talked into by what it read is decided upon like
/// any other flow; the hub has this very spoke carry it out if it may be.
pub(crate) async fn own(job: &Job, function: &FunctionName, args: Value) -> Result<Value, Failure> {
    job.count_request()?;
    request(job, format!("{}.{function}", job.spoke.profile.app), args, String::new()).await
}

async fn request(job: &Job, functionality: String, args: Value, why: String) -> Result<Value, Failure> {
    let request = Request { task: job.id.clone(), functionality, args, why };
    let subject = job.spoke.subject(Service::Isc, Op::REQUEST);
    let answer: Response =
        job.spoke.bus.request(&subject, &request, Some(&job.id), job.left()).await.map_err(failed)?;
    answer.result
}

/// Stored data of the user.
async fn recall(job: &Job, wanted: Wanted) -> Result<Value, Failure> {
    let about = match &wanted.arguments {
        Value::String(about) => about.clone(),
        other => other.get("about").and_then(Value::as_str).unwrap_or_default().to_owned(),
    };
    if wanted.functionality != "recall" || about.is_empty() {
        let words = "of `memory` there is `recall`, with the argument {\"about\": \"what you need to know\"}";
        return Err(Failure::new(FailureCode::Arguments, words));
    }
    let request = Recall { task: job.id.clone(), about, why: wanted.why };
    let subject = job.spoke.subject(Service::Memory, Op::RECALL);
    let answer: Response =
        job.spoke.bus.request(&subject, &request, Some(&job.id), job.left()).await.map_err(failed)?;
    answer.result
}

/// Tells the model in which words to ask, so that it can mend its request.
async fn with_words(job: &Job, mut failure: Failure, functionality: String) -> Failure {
    let subject = job.spoke.subject(Service::Isc, Op::PROBE);
    let limit = bus::limits::PROMPT_REPLY.min(job.left());
    let probed = job.spoke.bus.request(&subject, &Probe { functionality }, Some(&job.id), limit).await;
    if let Ok(Probed::Found { request, .. }) = probed {
        failure.detail = format!("{}; the arguments have this schema: {request}", failure.detail);
    }
    failure
}

fn failed(error: BusError) -> Failure {
    match error {
        BusError::Timeout { .. } => {
            Failure::new(FailureCode::Timeout, "no answer to the request within the task's time")
        }
        BusError::Malformed(what) => Failure::new(FailureCode::Arguments, what.to_string()),
        other => Failure::new(FailureCode::Lost, format!("the hub does not answer: {other}")),
    }
}
