//! Requests from app to app, and for stored data.
//!
//! Answers: who asks whom for what, and what does the one who asks get?
//! Never: lets anything pass that the permission actor has not allowed, or that does not fit its schema; takes who
//! asks from anything but the subject; tells an app of another more than the answer.
//! Carries: I-02, I-05, I-18, I-16.

mod wish;

use std::rc::Rc;
use std::sync::Arc;

use bus::envelope::Incoming;
use bus::id::{Functionality, SpokeAddr};
use bus::message::isc::{Probe, Probed, Recall, Request, Response};
use bus::message::task::{Failure, FailureCode};
use bus::subject::{Op, Service, Subject};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::executor::work;
use crate::parts::Parts;
use crate::permission::actor::{Asking, Requests};
use crate::permission::asking;
use crate::permission::label::{Label, Labels};
use crate::spokes::book::{Caller, NotHandled, Unheard};

/// How many requests of apps may lead to one another. Deeper is a circle.
const DEPTH: u8 = 4;

/// Handles what a spoke says to the services `isc` and `memory`. Does not wait: each request goes its own way. `place` is
/// given back when the book of spokes has heard of it, which bounds how many each spoke may have.
pub fn heard(parts: &Rc<Parts>, incoming: Incoming, place: OwnedSemaphorePermit) {
    let Subject::SpokeOut { spoke, service, op } = incoming.subject.clone() else { return };
    // Shared, not copied: this is the way that every call from app to app takes.
    let parts = Rc::clone(parts);
    actix::spawn(async move {
        match (service, op) {
            (Service::Isc, Op::REQUEST) => request(&parts, &spoke, &incoming, place).await,
            (Service::Isc, Op::WISH) => wish::heard(&parts, &spoke, &incoming, place).await,
            // What is answered at once keeps its place until it is.
            (Service::Isc, Op::PROBE) => probe(&parts, &spoke, &incoming).await,
            (Service::Memory, Op::RECALL) => recall(&parts, &spoke, &incoming, place).await,
            _ => dropped(&parts, &incoming, "this service has no such operation").await,
        }
    });
}

async fn request(parts: &Parts, spoke: &SpokeAddr, incoming: &Incoming, place: OwnedSemaphorePermit) {
    let Some(request) = parts.bus.body::<Request>(incoming).await else { return };
    let caller = match parts.spokes.caller(spoke, &request.task).await {
        Ok(caller) => caller,
        Err(unheard) => return refuse(parts, incoming, unheard).await,
    };
    drop(place);
    let mut ended = caller.ended.clone();
    let task = request.task.clone();
    let answered = tokio::select! {
        biased;
        answered = answer(parts, spoke, &caller, request) => answered,
        // The task has ended: nobody waits for the answer, and what is done for it ends with this.
        _ = ended.changed() => return,
    };
    match answered {
        Ok((result, labels)) => {
            parts.bus.respond_labelled(incoming, &Response { result }, &task, &labels.to_strings()).await;
        }
        Err(failure) => parts.bus.respond(incoming, &Response { result: Err(failure) }).await,
    }
}

/// A value, or an app's own words on why there is none; and where it came from.
type Labelled = (Result<Value, Failure>, Labels);

async fn answer(
    parts: &Parts,
    spoke: &SpokeAddr,
    caller: &Caller,
    request: Request,
) -> Result<Labelled, Failure> {
    let fail = |code, detail: String| Err(Failure::new(code, detail));
    let catalogue = &caller.inquiry.catalogue;
    if catalogue.app(&spoke.app).is_none() {
        return fail(FailureCode::Refused, "a spoke without an app may not ask for anything".into());
    }
    let unknown = |name: &str| {
        let name: String = name.chars().take(100).collect();
        Failure::new(FailureCode::Unknown, format!("there is no functionality {name:?}"))
    };
    let functionality =
        Functionality::parse(&request.functionality).map_err(|_| unknown(&request.functionality))?;
    let spec = catalogue.get(&functionality).ok_or_else(|| unknown(&request.functionality))?;
    if DEPTH <= caller.depth {
        return fail(
            FailureCode::Refused,
            format!("requests of apps led to one another {DEPTH} times already"),
        );
    }
    if let Err(why) = spec.check_request(&request.args) {
        let why = format!("the arguments do not fit the request schema of {functionality}: {why}");
        return fail(FailureCode::Arguments, why);
    }
    let own = functionality.app == spoke.app;
    let question = asking::of_request(
        &caller.inquiry,
        &spoke.app,
        &caller.labels,
        &functionality,
        &request.args,
        caller.step.clone(),
    );
    let labels = question.labels.clone();
    let asking = Asking {
        question,
        inquiry: Arc::clone(&caller.inquiry),
        apps_words: Some(request.why),
        requests: Some(requests(spoke, caller)),
    };
    parts.permission.permit(asking).await?;
    let call = work::Call {
        functionality: &functionality,
        args: request.args,
        labels,
        step: caller.step.clone(),
        depth: caller.depth.saturating_add(1),
        same: own.then(|| spoke.clone()),
    };
    let (result, labels) = work::call(parts, &caller.inquiry, call).await;
    // Noted before the answer is sent: from now on the process may carry it, be it a value or an app's own words on
    // why there is none.
    let labels = labels.with(Label::App(functionality.app));
    parts.spokes.label(spoke.clone(), labels.clone());
    Ok((result, labels))
}

/// A probe tells the words, not whether the request will be allowed. It tells them only to a spoke that runs, and
/// the same to each.
async fn probe(parts: &Parts, spoke: &SpokeAddr, incoming: &Incoming) {
    let Some(probe) = parts.bus.body::<Probe>(incoming).await else { return };
    if let Err(why) = parts.spokes.probing(spoke).await {
        return dropped(parts, incoming, &why.to_string()).await;
    }
    let functionality = Functionality::parse(&probe.functionality).ok();
    let probed =
        match functionality.and_then(|functionality| parts.apps.catalogue().get(&functionality).cloned()) {
            Some(spec) => Probed::Found {
                request: spec.request.value().clone(),
                response: spec.response.map(|schema| schema.value().clone()),
            },
            None => Probed::NotFound,
        };
    parts.bus.respond(incoming, &probed).await;
}

async fn recall(parts: &Parts, spoke: &SpokeAddr, incoming: &Incoming, place: OwnedSemaphorePermit) {
    let Some(recall) = parts.bus.body::<Recall>(incoming).await else { return };
    let caller = match parts.spokes.caller(spoke, &recall.task).await {
        Ok(caller) => caller,
        Err(unheard) => return refuse(parts, incoming, unheard).await,
    };
    drop(place);
    let mut ended = caller.ended.clone();
    let task = recall.task.clone();
    let answered = tokio::select! {
        biased;
        answered = stored(parts, spoke, &caller, recall) => answered,
        _ = ended.changed() => return,
    };
    match answered {
        Ok((value, labels)) => {
            let response = Response { result: Ok(value) };
            parts.bus.respond_labelled(incoming, &response, &task, &labels.to_strings()).await;
        }
        Err(failure) => parts.bus.respond(incoming, &Response { result: Err(failure) }).await,
    }
}

/// Stored data: the user sees exactly the items that are given, and they are given as seen.
async fn stored(
    parts: &Parts,
    spoke: &SpokeAddr,
    caller: &Caller,
    recall: Recall,
) -> Result<(Value, Labels), Failure> {
    let inquiry = &caller.inquiry;
    let nothing = || json!({"items": []});
    if inquiry.private || inquiry.catalogue.app(&spoke.app).is_none() {
        return Ok((nothing(), Labels::none()));
    }
    let items = parts.memory.items(&inquiry.user, &recall.about).await.map_err(|why| {
        inquiry.ledger(|ledger| ledger.memory_trouble = Some(why.clone()));
        Failure::new(FailureCode::Lost, why)
    })?;
    if items.is_empty() {
        return Ok((nothing(), Labels::none()));
    }
    let question = asking::of_data(inquiry, &spoke.app, &items, caller.step.clone());
    let (value, labels) = (question.args.clone(), question.labels.clone());
    let asking = Asking {
        question,
        inquiry: Arc::clone(inquiry),
        apps_words: Some(recall.why),
        requests: Some(requests(spoke, caller)),
    };
    parts.permission.permit(asking).await?;
    parts.spokes.label(spoke.clone(), labels.clone());
    Ok((value, labels))
}

fn requests(spoke: &SpokeAddr, caller: &Caller) -> Requests {
    let most = caller.inquiry.catalogue.app(&spoke.app).map_or(0, |manifest| manifest.limits.requests);
    Requests { made: Arc::clone(&caller.asked), most }
}

async fn refuse(parts: &Parts, incoming: &Incoming, unheard: Unheard) {
    let failure = match unheard {
        // The spoke was stopped for it; that is in the audit already.
        Unheard::Dropped(NotHandled::Flood) => return,
        Unheard::Dropped(why) => return dropped(parts, incoming, &why.to_string()).await,
        Unheard::TooManyOpen => Failure::new(FailureCode::Refused, "too many requests of this app are open"),
        Unheard::NotAllowed => {
            Failure::new(FailureCode::Refused, "this work of the hub's own may not ask for anything")
        }
    };
    parts.bus.respond(incoming, &Response { result: Err(failure) }).await;
}

async fn dropped(parts: &Parts, incoming: &Incoming, why: &str) {
    parts.bus.drop_message(&incoming.subject.to_string(), why).await;
}
