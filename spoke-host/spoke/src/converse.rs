//! One turn of a model without tools.
//!
//! Answers: what does the model make of these turns, and has its answer the form that was asked for?
//! Never: hands on an answer of another form; asks more than twice.

use bus::message::chat::{NamedSchema, Turn};
use bus::message::task::{Failure, FailureCode};
use serde_json::Value;

use crate::job::Job;
use crate::model::{self, Question};
use crate::schema;

/// The answer: text as a JSON string, or the object that the schema asks for.
pub(crate) async fn run(
    job: &Job,
    mut turns: Vec<Turn>,
    schema: Option<NamedSchema>,
    stream: bool,
) -> Result<Value, Failure> {
    let Some(wanted) = &schema else {
        let said = model::ask(job, Question { turns: &turns, tools: &[], schema: None, stream }).await?;
        return Ok(Value::String(said.text));
    };
    let mut why = String::new();
    for _ in 0..2 {
        let question = Question { turns: &turns, tools: &[], schema: Some(wanted), stream };
        let said = model::ask(job, question).await?;
        match read(&said.text, &wanted.schema) {
            Ok(value) => return Ok(value),
            Err(wrong) => {
                turns.push(Turn::Assistant { text: said.text, calls: Vec::new() });
                turns.push(Turn::User {
                    text: format!(
                        "This was not understood: {wrong}. Answer again, with the JSON object alone."
                    ),
                });
                why = wrong;
            }
        }
    }
    Err(Failure::new(FailureCode::Model, format!("the model twice gave an answer of another form: {why}")))
}

fn read(text: &str, schema: &Value) -> Result<Value, String> {
    let value = serde_json::from_str(unfenced(text)).map_err(|error| format!("it is not JSON ({error})"))?;
    schema::fits(schema, &value)?;
    Ok(value)
}

/// Many models put JSON into a Markdown fence, asked or not.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_with_and_without_a_fence() {
        let schema = json!({"type": "object", "required": ["value"]});
        for text in ["{\"value\": 1}", "```json\n{\"value\": 1}\n```", " ```\n{\"value\":1}```\n"] {
            assert_eq!(read(text, &schema).unwrap(), json!({"value": 1}), "{text}");
        }
        assert!(read("the value is 1", &schema).unwrap_err().contains("not JSON"));
        assert!(read("{}", &schema).unwrap_err().contains("value"));
    }
}
