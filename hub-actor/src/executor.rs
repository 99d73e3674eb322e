//! Carries out a plan. Deterministic; not a model.
//!
//! Answers: what came of each step?
//! Never: does what is not in the plan; lets one step's failure, refusal or words stop an independent one; hands on
//! a result that does not fit its schema.
//! Carries: I-05, I-11, I-18, I-17.
//!
//! It has no mailbox: nobody but the session that runs it ever speaks to it, and it ends with its future.

pub mod answer;
pub mod derive;
pub mod progress;
pub mod unsupported;
pub mod work;

use std::sync::Arc;

use bus::message::task::{Failure, FailureCode};
use bus::message::user::{Happening, StepResult};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use crate::inquiry::Inquiry;
use crate::parts::Parts;
use crate::permission::actor::Asking;
use crate::permission::asking;
use crate::permission::label::Labels;
use crate::plan::{Plan, Resolved, Step, StepKind};
use progress::{Effect, Event, Progress};

/// Runs the plan to its end. What the steps return is listed in the inquiry, so that it is there even if the query
/// is cut short.
pub async fn carry_out(parts: &Parts, inquiry: &Arc<Inquiry>, plan: Arc<Plan>) {
    let mut progress = Progress::new(plan);
    let mut effects = inquiry.course(|course| progress.begin(course));
    let mut running = FuturesUnordered::new();
    loop {
        for effect in effects {
            match effect {
                Effect::Started(step) => {
                    inquiry.say(Happening::StepStarted { what: step.what(), step: step.id });
                }
                Effect::Finished(step, result) => finished(inquiry, step, result),
                effect @ (Effect::Derive { .. } | Effect::Permit(..) | Effect::Run(..)) => {
                    running.push(perform(parts, inquiry, effect));
                }
            }
        }
        match running.next().await {
            Some(Some(event)) => effects = inquiry.course(|course| progress.on(event, course)),
            Some(None) => effects = Vec::new(),
            None => return,
        }
    }
}

fn finished(inquiry: &Inquiry, step: Step, result: Result<Value, Failure>) {
    let result = result.map_err(|failure| failure.detail);
    let (value, error) = match result.clone() {
        Ok(value) => (value, None),
        Err(error) => (Value::Null, Some(error)),
    };
    let (app, functionality) = (step.app().to_string(), step.what());
    inquiry.ledger(|ledger| {
        ledger.results.push(StepResult { step: step.id.clone(), app, functionality, value, error });
    });
    inquiry.say(Happening::StepFinished { step: step.id, result });
}

async fn perform(parts: &Parts, inquiry: &Arc<Inquiry>, effect: Effect) -> Option<Event> {
    match effect {
        Effect::Derive { step, derivation, source, labels } => {
            let at = derivation.at.clone();
            let result = derive::derive(parts, inquiry, derivation, source, labels).await;
            Some(Event::Derived { step, at, result })
        }
        Effect::Permit(step, resolved) => {
            let result = permit(parts, inquiry, &step, &resolved).await.map(|()| resolved);
            Some(Event::Permitted { step: step.id, result })
        }
        Effect::Run(step, resolved) => {
            let result = run(parts, inquiry, &step, resolved).await;
            Some(Event::Ran { step: step.id, result })
        }
        Effect::Started(_) | Effect::Finished(..) => None,
    }
}

async fn permit(
    parts: &Parts,
    inquiry: &Arc<Inquiry>,
    step: &Step,
    resolved: &Resolved,
) -> Result<(), Failure> {
    if let StepKind::Call { functionality, .. } = &step.kind {
        let unknown =
            || Failure::new(FailureCode::Unknown, format!("there is no functionality {functionality}"));
        let spec = inquiry.catalogue.get(functionality).ok_or_else(unknown)?;
        spec.check_request(&resolved.args).map_err(|why| {
            let detail = format!("the arguments do not fit the request schema of {functionality}: {why}");
            Failure::new(FailureCode::Arguments, detail)
        })?;
    }
    let question = asking::of_step(inquiry, step, resolved);
    let asking = Asking { question, inquiry: Arc::clone(inquiry), apps_words: None, requests: None };
    parts.permission.permit(asking).await
}

async fn run(
    parts: &Parts,
    inquiry: &Arc<Inquiry>,
    step: &Step,
    resolved: Resolved,
) -> Result<(Value, Labels), Failure> {
    let given = resolved.labels.clone();
    let (value, labels) = match &step.kind {
        StepKind::Call { functionality, .. } => {
            let call = work::Call {
                functionality,
                args: resolved.args,
                labels: resolved.labels,
                step: Some(step.id.clone()),
                depth: 0,
                same: None,
            };
            let (result, labels) = work::call(parts, inquiry, call).await;
            (result?, labels)
        }
        StepKind::Delegate { app, request } => {
            let request = work::request(request, &resolved.args);
            let job = work::delegate(parts, inquiry, app, &request, step.id.clone(), resolved.labels).await?;
            let ended = parts.spokes.run(job).await;
            match ended.result? {
                Value::String(text) if !text.trim().is_empty() => (Value::String(text), ended.labels),
                _ => {
                    let detail = format!("the model of {app} gave no text");
                    return Err(Failure::new(FailureCode::Model, detail));
                }
            }
        }
    };
    Ok((value, labels.union(&given)))
}
