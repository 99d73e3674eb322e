//! What an MCP server wants of its client while it works: a turn of its app's model, or a yes of the user.
//!
//! Answers: may it have that?
//! Never: allows what the manifest does not name; lets a wish pass, or be refused, that is not recorded.
//! Carries: I-02, I-05, I-06, I-18.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bus::envelope::Incoming;
use bus::id::{Functionality, SpokeAddr};
use bus::message::isc::{Response, Wanted, Wish};
use bus::message::task::{Failure, FailureCode};
use bus::message::user::Verdict;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{refuse, requests};
use crate::parts::Parts;
use crate::permission::actor::Asking;
use crate::permission::asking;
use crate::permission::question::Question;
use crate::spokes::book::Caller;

/// Answers a wish. The task waits meanwhile, and its end ends this.
pub(super) async fn heard(
    parts: &Parts,
    spoke: &SpokeAddr,
    incoming: &Incoming,
    place: OwnedSemaphorePermit,
) {
    let Some(wish) = parts.bus.body::<Wish>(incoming).await else { return };
    let caller = match parts.spokes.caller(spoke, &wish.task).await {
        Ok(caller) => caller,
        Err(unheard) => return refuse(parts, incoming, unheard).await,
    };
    drop(place);
    let mut ended = caller.ended.clone();
    let result = tokio::select! {
        biased;
        result = granted(parts, spoke, &caller, wish) => result,
        _ = ended.changed() => return,
    };
    parts.bus.respond(incoming, &Response { result: result.map(|()| Value::Null) }).await;
}

async fn granted(parts: &Parts, spoke: &SpokeAddr, caller: &Caller, wish: Wish) -> Result<(), Failure> {
    let refused = |why: String| Err(Failure::new(FailureCode::Refused, why));
    let Some(manifest) = caller.inquiry.catalogue.app(&spoke.app) else {
        return refused("a spoke without an app may not ask for anything".into());
    };
    let (may, line) = match wish.wanted {
        Wanted::Sampling => (manifest.wishes.sampling, "sampling"),
        Wanted::Elicitation => (manifest.wishes.elicitation, "elicitation"),
    };
    // Names that no manifest can give to a functionality, so that no grant for one settles the other.
    let Ok(functionality) = Functionality::parse(&format!("{}.mcp-{line}", spoke.app)) else {
        return refused("the app has no such name".into());
    };
    let question = asking::of_wish(&caller.inquiry, caller, functionality, &wish);
    if !may {
        let why = format!(
            "{} may not ask for that; `[mcp] {line} = true` in its manifest would let it.",
            spoke.app
        );
        return denied(parts, spoke, caller, &question, &why).await;
    }
    let asking = Asking {
        question,
        inquiry: Arc::clone(&caller.inquiry),
        apps_words: Some(wish.words),
        requests: Some(requests(spoke, caller)),
    };
    parts.permission.permit(asking).await
}

/// Refused by the manifest: told, listed and recorded, as often as the task may ask at all.
async fn denied(
    parts: &Parts,
    spoke: &SpokeAddr,
    caller: &Caller,
    question: &Question,
    why: &str,
) -> Result<(), Failure> {
    let most = requests(spoke, caller).most;
    if caller.asked.fetch_add(1, Ordering::Relaxed) < most {
        let flow = question.flow_with(Verdict::Deny, "manifest", why);
        caller.inquiry.note(&flow);
        parts.permission.record(&caller.inquiry, &flow).await;
    }
    Err(Failure::new(FailureCode::Refused, why))
}
