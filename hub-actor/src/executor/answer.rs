//! What the user is told in the end.
//!
//! Answers: how do these results become an answer, and how did the query end?
//! Never: hides a result or lets one app's words stand for another's; each result is listed beside the answer under
//! its app's name, whatever the answer says.
//! Carries: I-17.

use bus::envelope::Message;
use bus::limits::MAX_RESULT;
use bus::message::user::{Ending, Event, Happening, Outcome, StepResult, Verdict};
use serde_json::{Value, json};

use crate::inquiry::Ledger;

/// The results of a composing conversation together, bytes: they must fit one message beside the instructions.
const TOGETHER: usize = 2 * MAX_RESULT;

/// The request to the model that puts results together. Results that do not fit are named as such.
#[must_use]
pub fn question(query: &str, results: &[StepResult]) -> String {
    let mut room = TOGETHER;
    let results: Vec<Value> = results
        .iter()
        .map(|result| {
            let StepResult { step, app, functionality, value, error } = result;
            let size = value.to_string().len();
            match (error, room.checked_sub(size)) {
                (Some(error), _) => {
                    json!({"step": step, "app": app, "functionality": functionality, "error": error})
                }
                (None, Some(left)) => {
                    room = left;
                    json!({"step": step, "app": app, "functionality": functionality, "value": value})
                }
                (None, None) => {
                    let error = "the result is too large to be summarised; it is shown beside the answer";
                    json!({"step": step, "app": app, "functionality": functionality, "error": error})
                }
            }
        })
        .collect();
    json!({"query": query, "results": results}).to_string()
}

/// The answer without a model: each result on a line of its own, and why there are no better words.
#[must_use]
pub fn without_model(results: &[StepResult], why: &str) -> String {
    let mut lines = vec![format!("The model could not put the results together ({why}). They are:")];
    lines.extend(results.iter().map(|result| match (&result.error, &result.value) {
        (Some(error), _) => format!("{}: no result: {error}", result.functionality),
        (None, Value::String(text)) => format!("{}: {text}", result.functionality),
        (None, value) => format!("{}: {value}", result.functionality),
    }));
    lines.join("\n")
}

/// How a query ended that has no answer: refused if a refusal kept it from one, else failed; and why.
#[must_use]
pub fn unanswered(ledger: &Ledger) -> (Ending, String) {
    // A reason that holds for several is said once, behind all their names.
    let mut reasons: Vec<(Vec<&str>, String)> = Vec::new();
    for result in &ledger.results {
        let Some(error) = &result.error else { continue };
        // Whose spoke it is stands in the name already.
        let error = error.replacen(&format!("the spoke of {} ", result.app), "the spoke ", 1);
        match reasons.iter_mut().find(|(_, reason)| *reason == error) {
            Some((names, _)) if names.contains(&result.functionality.as_str()) => {}
            Some((names, _)) => names.push(&result.functionality),
            None => reasons.push((vec![&result.functionality], error)),
        }
    }
    let reasons: Vec<String> =
        reasons.iter().map(|(names, reason)| format!("{}: {reason}", names.join(", "))).collect();
    let refused = ledger.flows.iter().any(|flow| flow.from == "plan" && flow.decision == Verdict::Deny);
    let ending = if refused { Ending::Refused } else { Ending::Failed };
    let reason = if reasons.is_empty() { "no step gave a result".to_owned() } else { reasons.join("; ") };
    (ending, reason)
}

/// Makes an outcome fit one message: the largest results, then the flows' arguments, give way to a sentence. The
/// audit has them.
pub fn fit(outcome: &mut Outcome) {
    const ROOM: usize = <Event as Message>::MAX - (64 << 10);
    let size = |outcome: &Outcome| {
        let what = Happening::Answered(Box::new(outcome.clone()));
        serde_json::to_vec(&what).map_or(usize::MAX, |bytes| bytes.len())
    };
    while ROOM < size(outcome) {
        let largest = outcome
            .results
            .iter_mut()
            .map(|result| (result.value.to_string().len(), result))
            .max_by_key(|(size, _)| *size)
            .filter(|(size, _)| 1024 < *size);
        if let Some((size, result)) = largest {
            result.value = Value::Null;
            result.error =
                Some(format!("the result of {size} bytes is too large to be shown with the others"));
            continue;
        }
        let args = outcome.flows.iter_mut().filter(|flow| 256 < flow.args.to_string().len());
        let mut cut = 0;
        for flow in args {
            flow.args = json!("too large to be shown here; the audit has it");
            cut += 1;
        }
        if cut == 0 {
            outcome.flows.truncate(outcome.flows.len() / 2);
            if outcome.flows.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
