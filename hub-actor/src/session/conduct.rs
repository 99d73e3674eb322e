//! A query from its acceptance to its end.
//!
//! Answers: what is the outcome of this query?
//! Never: ends without an outcome; takes longer than its deadline; shows the planner what apps said.
//! Carries: I-18, I-17.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus::id::AppId;
use bus::message::user::{Ending, Happening, Outcome, StepResult, Verdict};
use manifest::ManifestError;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Cut;
use crate::choosing::NoneOfThem;
use crate::executor::unsupported::unsupported;
use crate::executor::{self, answer, work};
use crate::inquiry::Inquiry;
use crate::memory::actor::Exchange;
use crate::memory::text::{Conversation, users_words};
use crate::parts::{Outages, Parts};
use crate::permission::label::{Label, Labels};
use crate::plan::{Plan, Planned, StepKind};
use crate::planner::prompt::Refused;
use crate::spokes::book::Need;
use crate::spokes::empty;
use crate::spokes::task::By;

/// How long a query may take, prompts included.
const DEADLINE: Duration = Duration::from_secs(600);

/// When the end is said again after an outage. A client that comes back tries once a second.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];

/// How a query ended, before it is put into words for the client.
struct Ended {
    ending: Ending,
    answer: Option<String>,
    error: Option<String>,
}

impl Ended {
    fn answered(text: String) -> Self {
        Self { ending: Ending::Answered, answer: Some(text), error: None }
    }

    fn failed(error: impl Into<String>) -> Self {
        Self { ending: Ending::Failed, answer: None, error: Some(error.into()) }
    }
}

/// Works on a query and tells its user the end. Returns what was refused, for a new plan.
pub async fn conduct(
    parts: &Parts,
    inquiry: &Arc<Inquiry>,
    refused: Vec<Refused>,
    cut: oneshot::Receiver<Cut>,
) -> Vec<Refused> {
    let outages = parts.outages.count();
    let ended = tokio::select! {
        biased;
        ended = attempt(parts, inquiry, refused) => ended,
        Ok(cut) = cut => Ended::failed(match cut {
            Cut::Cancelled => "the query was cancelled",
            Cut::Stopping => "secgpt is stopping",
        }),
        () = tokio::time::sleep(DEADLINE) => {
            Ended::failed(format!("the query was not answered within {} minutes", DEADLINE.as_secs() / 60))
        }
    };
    let mut outcome = outcome(parts, inquiry, ended);
    let refused = outcome
        .flows
        .iter()
        .filter(|flow| flow.decision == Verdict::Deny)
        .map(|flow| Refused { to: flow.to.clone(), reason: flow.reason.clone() })
        .collect();
    if !inquiry.private
        && let Err(why) = parts.memory.keep(exchange(inquiry, &outcome)).await
    {
        add_hint(&mut outcome, format!("nothing of this query was remembered: {why}"));
    }
    tracing::info!(query = %inquiry.id, outcome = ?outcome.outcome, ms = outcome.elapsed_ms, error = outcome.error, "a query ended");
    inquiry.say_last(Happening::Answered(Box::new(outcome.clone()))).await;
    actix::spawn(say_again(parts.outages.clone(), outages, Arc::clone(inquiry), outcome));
    refused
}

/// If the bus was lost while the query was worked on, its user's client may have come back later than the hub, and
/// have missed the end. Clients take the first end that they hear.
async fn say_again(outages: Outages, before: u64, inquiry: Arc<Inquiry>, outcome: Outcome) {
    for pause in AGAIN {
        tokio::time::sleep(pause).await;
        if outages.count() == before {
            return;
        }
        inquiry.say_last(Happening::Answered(Box::new(outcome.clone()))).await;
    }
}

async fn attempt(parts: &Parts, inquiry: &Arc<Inquiry>, refused: Vec<Refused>) -> Ended {
    let conversation =
        if inquiry.private { Conversation::default() } else { remembered(parts, inquiry).await };
    inquiry.said_before(&users_words(&conversation));
    inquiry.say(Happening::Planning);
    let not_again: Vec<String> = refused.iter().map(|refused| refused.to.clone()).collect();
    let plan = match parts.planner.plan(inquiry, conversation, refused).await {
        Err(failure) => return Ended::failed(failure.detail),
        Ok(Planned::Answer(text)) => return Ended::answered(text),
        Ok(Planned::Steps(plan)) => plan,
    };
    let plan = match parts.choosing.settle(inquiry, plan, &not_again).await {
        Ok(plan) => Arc::new(plan),
        Err(NoneOfThem) => {
            return Ended::failed("you chose none of the apps that could do it, so nothing was done");
        }
    };
    inquiry.course(|course| course.plan = Arc::clone(&plan));
    inquiry.say(Happening::Planned { plan: plan.to_json() });
    if plan.only_delegate().is_some() {
        executor::carry_out(parts, inquiry, Arc::clone(&plan)).await;
        return of_delegate(inquiry);
    }
    // The spoke that will compose the answer is started while the steps run.
    let composer = parts.spokes.place(Need {
        user: inquiry.user.clone(),
        session: inquiry.session.clone(),
        query: None,
        app: empty(),
        hash: String::new(),
        fresh: true,
    });
    let mut composer = std::pin::pin!(composer);
    let mut carried_out = std::pin::pin!(executor::carry_out(parts, inquiry, Arc::clone(&plan)));
    let composer_is_there = tokio::select! {
        biased;
        () = &mut carried_out => None,
        placed = &mut composer => {
            carried_out.await;
            Some(placed)
        }
    };
    sort_results(inquiry, &plan);
    let ledger = inquiry.ledger(|ledger| ledger.clone());
    if ledger.results.iter().all(|result| result.error.is_some()) {
        // One that is still being started is stopped when nobody takes it.
        if let Some(Ok(spoke)) = composer_is_there {
            parts.spokes.release(spoke);
        }
        let (ending, error) = answer::unanswered(&ledger);
        return Ended { ending, answer: None, error: Some(error) };
    }
    let composer = match composer_is_there {
        Some(placed) => placed,
        None => composer.await,
    };
    let by = composer.map(By::Waiting).map_err(|failure| failure.detail);
    compose(parts, inquiry, &ledger.results, by).await
}

async fn remembered(parts: &Parts, inquiry: &Inquiry) -> Conversation {
    match parts.memory.conversation(&inquiry.user).await {
        Ok(conversation) => conversation,
        Err(why) => {
            inquiry.ledger(|ledger| ledger.memory_trouble = Some(why));
            Conversation::default()
        }
    }
}

/// The text of an app's own model is the answer of a plan that consists of nothing else.
fn of_delegate(inquiry: &Inquiry) -> Ended {
    let ledger = inquiry.ledger(|ledger| ledger.clone());
    match ledger.results.first() {
        Some(StepResult { value: Value::String(text), error: None, .. }) => Ended::answered(text.clone()),
        Some(_) | None => {
            let (ending, error) = answer::unanswered(&ledger);
            Ended { ending, answer: None, error: Some(error) }
        }
    }
}

async fn compose(
    parts: &Parts,
    inquiry: &Arc<Inquiry>,
    results: &[StepResult],
    by: Result<By, String>,
) -> Ended {
    let text = match by {
        Err(why) => Err(why),
        Ok(by) => {
            let mut labels = Labels::of(Label::User);
            results
                .iter()
                .filter_map(|result| AppId::parse(&result.app).ok())
                .for_each(|app| labels.insert(Label::App(app)));
            let question = answer::question(&inquiry.text, results);
            let job = work::compose(parts, inquiry, question, by, labels);
            match parts.spokes.run(job).await.result {
                Ok(Value::String(text)) if !text.trim().is_empty() => Ok(text),
                Ok(_) => Err("it gave no text".to_owned()),
                Err(failure) => Err(failure.detail),
            }
        }
    };
    match text {
        Ok(text) => Ended::answered(text),
        Err(why) => {
            let answer = answer::without_model(results, &why);
            Ended { ending: Ending::Answered, answer: Some(answer), error: None }
        }
    }
}

/// In the order of the plan, whichever came first.
fn sort_results(inquiry: &Inquiry, plan: &Plan) {
    let place = |result: &StepResult| plan.steps.iter().position(|step| step.id == result.step);
    inquiry.ledger(|ledger| ledger.results.sort_by_key(place));
}

fn outcome(parts: &Parts, inquiry: &Inquiry, ended: Ended) -> Outcome {
    let plan = inquiry.course(|course| Arc::clone(&course.plan));
    sort_results(inquiry, &plan);
    let ledger = inquiry.ledger(|ledger| ledger.clone());
    let mut hints = Vec::new();
    if let Some(trouble) = ledger.memory_trouble {
        hints.push(format!("this query was worked on without conversation memory: {trouble}"));
    }
    hints.extend(not_used(&parts.apps.problems(), &inquiry.text));
    if 0 < ledger.flows_left_out {
        hints.push(format!("{} more flows are in the audit", ledger.flows_left_out));
    }
    let answer = ended.answer.as_deref().unwrap_or_default();
    let unsupported = unsupported(answer, inquiry.words(), &ledger.results);
    let mut outcome = Outcome {
        answer: ended.answer,
        session: inquiry.session.clone(),
        outcome: ended.ending,
        plan: if plan.steps.is_empty() { json!({"steps": []}) } else { plan.to_json() },
        results: ledger.results,
        flows: ledger.flows,
        choices: ledger.choices,
        unsupported,
        model_calls: [
            ("planner".to_owned(), ledger.planner_calls),
            ("spokes".to_owned(), ledger.spoke_calls),
        ]
        .into_iter()
        .collect(),
        prompts: ledger.prompts,
        elapsed_ms: u64::try_from(inquiry.received.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: ended.error,
        hint: (!hints.is_empty()).then(|| hints.join("; ")),
        model: parts.model.note(),
    };
    answer::fit(&mut outcome);
    outcome
}

/// Apps that the query names and that are not used, each with the reason: else the user would only learn that nobody
/// can do it.
fn not_used(problems: &[ManifestError], query: &str) -> Vec<String> {
    let words: Vec<String> = query
        .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))
        .map(str::to_ascii_lowercase)
        .collect();
    let names = |problem: &&ManifestError| {
        let app = problem.file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
        app.is_some_and(|app| words.iter().any(|word| *word == app))
    };
    let told = |problem: &ManifestError| match &problem.hint {
        Some(hint) => format!("{}: {hint}", problem.what),
        None => problem.to_string(),
    };
    problems.iter().filter(names).map(told).collect()
}

fn add_hint(outcome: &mut Outcome, hint: String) {
    outcome.hint = Some(match outcome.hint.take() {
        Some(others) => format!("{others}; {hint}"),
        None => hint,
    });
}

/// What is to be remembered of it.
fn exchange(inquiry: &Inquiry, outcome: &Outcome) -> Exchange {
    let plan = inquiry.course(|course| Arc::clone(&course.plan));
    let delegated = plan
        .steps
        .iter()
        .filter_map(|step| {
            let StepKind::Delegate { app, request } = &step.kind else { return None };
            let result = outcome.results.iter().find(|result| result.step == step.id)?;
            let text = result.value.as_str()?;
            Some((app.clone(), request.clone(), text.to_owned()))
        })
        .collect();
    Exchange {
        user: inquiry.user.clone(),
        session: inquiry.session.clone(),
        query: inquiry.text.clone(),
        answer: outcome.answer.clone(),
        apps: !plan.steps.is_empty(),
        delegated,
    }
}
