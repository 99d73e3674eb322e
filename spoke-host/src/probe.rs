//! What this machine can enforce.
//!
//! Answers: which features of the kernel are there, and what is to be done about those that are not?
//! Never: changes anything.

use jail::probe::{Feature, State, features};
use serde_json::{Value, json};

/// All features, as a JSON array for `secgpt doctor`.
///
/// # Errors
/// If it cannot be written as JSON, which cannot be.
pub fn as_json() -> Result<String, serde_json::Error> {
    let features: Vec<Value> = features().iter().map(one).collect();
    serde_json::to_string(&features)
}

/// What is missing of that which is needed, a sentence each.
pub(crate) fn missing() -> Vec<String> {
    features()
        .iter()
        .filter(|feature| feature.required)
        .filter_map(|feature| match &feature.state {
            State::Ok => None,
            State::Missing { what, why, what_to_do } => {
                Some(format!("{}: {what}: {why}; {what_to_do}", feature.name))
            }
        })
        .collect()
}

fn one(feature: &Feature) -> Value {
    let (ok, detail, hint) = match &feature.state {
        State::Ok => (true, String::new(), None),
        State::Missing { what, why, what_to_do } => (false, format!("{what}: {why}"), Some(what_to_do)),
    };
    json!({
        "feature": feature.name,
        "ok": ok,
        "required": feature.required,
        "detail": detail,
        "hint": hint,
    })
}
