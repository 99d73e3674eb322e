//! An app that is nothing but instructions for a model.
//!
//! Answers: what does such an app answer to a call?
//! Never: shows its instructions to any conversation but its own.

use bus::message::chat::{NamedSchema, Turn};
use bus::message::profile::Function;
use bus::message::task::Failure;
use serde_json::{Value, json};

use crate::converse;
use crate::job::Job;

/// One turn of the app's own model: the description is what it is told, the arguments are what is said to it.
pub(crate) async fn call(job: &Job, function: &Function, args: &Value) -> Result<Value, Failure> {
    let turns =
        vec![Turn::System { text: job.spoke.profile.description.clone() }, Turn::User { text: words(args) }];
    match &function.response {
        Some(schema) if !is_text(schema) => {
            let schema = NamedSchema { name: function.name.to_string(), schema: schema.clone() };
            converse::run(job, turns, Some(schema), false).await
        }
        _ => Ok(json!({"text": converse::run(job, turns, None, false).await?})),
    }
}

/// A single text is said as it is; anything else as JSON.
fn words(args: &Value) -> String {
    match args.as_object().map(|fields| fields.iter().collect::<Vec<_>>()).as_deref() {
        Some([(_, Value::String(text))]) => text.clone(),
        _ => args.to_string(),
    }
}

/// Does the schema ask for `{"text": …}` and no more? Then the model may answer in plain words.
fn is_text(schema: &Value) -> bool {
    let is_string = schema.pointer("/properties/text/type").is_some_and(|kind| kind == "string");
    let others = schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|required| required.iter().any(|name| name != "text"));
    is_string && !others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_text_is_said_as_it_is() {
        assert_eq!(words(&json!({"text": "hello"})), "hello");
        assert_eq!(words(&json!({"text": "hello", "tone": "dry"})), r#"{"text":"hello","tone":"dry"}"#);
        assert_eq!(words(&json!({"days": 3})), r#"{"days":3}"#);
    }

    #[test]
    fn only_a_schema_of_a_single_text_is_answered_in_plain_words() {
        assert!(is_text(
            &json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]})
        ));
        assert!(!is_text(&json!({"properties": {"text": {"type": "string"}}, "required": ["text", "mood"]})));
        assert!(!is_text(&json!({"properties": {"fare": {"type": "number"}}})));
    }
}
