//! The form of a plan, as it is sent to the model.
//!
//! Answers: which JSON Schema constrains the planner's answer?
//! Never: relied upon; what comes back is read as if there were none.

use bus::limits::MAX_STEPS;
use bus::message::chat::NamedSchema;
use serde_json::json;

/// The schema of a plan, under the name `secgpt_plan`.
#[must_use]
pub fn schema() -> NamedSchema {
    let id = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"});
    let after = json!({"type": "array", "items": id});
    let call = json!({
        "type": "object",
        "properties": {
            "id": id,
            "kind": {"type": "string", "enum": ["call"]},
            "functionality": {"type": "string"},
            "args": {"type": "object"},
            "after": after,
        },
        "required": ["id", "kind", "functionality", "args", "after"],
        "additionalProperties": false,
    });
    let delegate = json!({
        "type": "object",
        "properties": {
            "id": id,
            "kind": {"type": "string", "enum": ["delegate"]},
            "app": {"type": "string"},
            "request": {"type": "string"},
            "after": after,
        },
        "required": ["id", "kind", "app", "request", "after"],
        "additionalProperties": false,
    });
    NamedSchema {
        name: "secgpt_plan".to_owned(),
        schema: json!({
            "type": "object",
            "properties": {
                "answer": {"type": ["string", "null"]},
                "steps": {"type": "array", "maxItems": MAX_STEPS, "items": {"anyOf": [call, delegate]}},
            },
            "required": ["answer", "steps"],
            "additionalProperties": false,
        }),
    }
}
