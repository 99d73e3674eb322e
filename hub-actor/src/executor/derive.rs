//! Values that a quarantined conversation takes from an earlier step's result.
//!
//! Answers: which value does the plan's instruction find there, and what was in sight when it was chosen?
//! Never: shows a text that anybody may have written where the fields of the result will do; gives the conversation a
//! tool, or a process that somebody else will use.
//! Carries: I-17.

use std::sync::Arc;

use bus::message::task::{Failure, FailureCode};
use serde_json::{Value, json};

use super::work;
use crate::inquiry::Inquiry;
use crate::parts::Parts;
use crate::permission::label::Labels;
use crate::plan::sight::{fields, holds_text, of_derived};
use crate::plan::{Derivation, Derived, Recorded, Sight};

/// Takes one value. First from the fields of the result alone; where the value does not stand in one, from all of it, and then it
/// is known to be a text's.
pub async fn derive(
    parts: &Parts,
    inquiry: &Arc<Inquiry>,
    wanted: Derivation,
    source: Value,
    labels: Labels,
) -> Result<Derived, Failure> {
    let failed = |why: &str| {
        let (instruction, step) = (&wanted.instruction, &wanted.step);
        let detail = format!("{instruction:?} could not be taken from the result of step {step}: {why}");
        Failure::new(FailureCode::Model, detail)
    };
    let view = fields(&source);
    // Without texts there is nothing that a second look would show.
    let whole = holds_text(&source);
    if let Some(view) = &view {
        let first = ask(parts, inquiry, &wanted, view, labels.clone()).await;
        let sight = match &first {
            Ok(first) => of_derived(&first.value, wanted.schema.value(), view),
            Err(_) => None,
        };
        match (first, sight) {
            (Ok(recorded), Some(sight)) => return Ok(Derived { recorded, sight }),
            (Ok(recorded), None) if !whole => return Ok(Derived { recorded, sight: Sight::Made }),
            (Err(why), _) if !whole => return Err(failed(&why)),
            (Ok(_) | Err(_), _) => {}
        }
    }
    let recorded = ask(parts, inquiry, &wanted, &source, labels).await.map_err(|why| failed(&why))?;
    Ok(Derived { recorded, sight: Sight::Text })
}

/// One conversation in an empty spoke: nothing in sight but the instruction of the plan and the source.
async fn ask(
    parts: &Parts,
    inquiry: &Arc<Inquiry>,
    wanted: &Derivation,
    source: &Value,
    labels: Labels,
) -> Result<Recorded, String> {
    let question = json!({"instruction": wanted.instruction, "source": source}).to_string();
    let job = work::derive(parts, inquiry, question, wanted.schema.value(), labels);
    let ended = parts.spokes.run(job).await;
    let mut object = ended.result.map_err(|failure| failure.detail)?;
    let value = object.get_mut("value").map(Value::take).ok_or("the model gave no value")?;
    wanted.schema.check(&value)?;
    Ok(Recorded { value, labels: ended.labels })
}
