//! What a server says that it offers, and the pin over its words.
//!
//! Answers: has a tool's description, schema or annotation changed since a person read it?
//! Never: believes any of it; effects and destinations are the manifest's.
//! Carries: I-17.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Everything that an MCP server said of itself when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name, in its own words.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// How it wants to be used, in its own words.
    #[serde(default)]
    pub instructions: Option<String>,
    /// What can be called.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// What can be read: address and description.
    #[serde(default)]
    pub resources: Vec<Listed>,
    /// Ready-made instructions for a model.
    #[serde(default)]
    pub prompts: Vec<Listed>,
}

/// A tool as its server describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub title: Option<String>,
    /// For models.
    #[serde(default)]
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub request: Value,
    /// JSON Schema of the result, if there is one.
    #[serde(default)]
    pub response: Option<Value>,
    /// What it does to the world, as the server has it: hints.
    #[serde(default)]
    pub annotations: Value,
}

/// A resource or a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name or address.
    pub name: String,
    /// In the server's words.
    #[serde(default)]
    pub description: Option<String>,
}

impl Tool {
    /// SHA-256, in hex, over all that the server said of this tool. The order of fields in a schema does not count.
    #[must_use]
    pub fn pin(&self) -> String {
        let mut words = Map::new();
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
        words.insert("title".into(), text(&self.title));
        words.insert("description".into(), text(&self.description));
        words.insert("request".into(), self.request.clone());
        words.insert("response".into(), self.response.clone().unwrap_or_default());
        words.insert("annotations".into(), self.annotations.clone());
        let sorted = sorted(&Value::Object(words)).to_string();
        Sha256::digest(sorted.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The same value with the fields of every object in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            Value::Object(fields.into_iter().map(|(name, field)| (name.clone(), sorted(field))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool() -> Tool {
        Tool {
            name: "find".into(),
            description: Some("Finds things.".into()),
            request: json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}),
            ..Tool::default()
        }
    }

    #[test]
    fn a_pin_changes_with_every_word_and_with_nothing_else() {
        let pin = tool().pin();
        let mut same = tool();
        same.request =
            json!({"properties": {"b": {"type": "integer"}, "a": {"type": "string"}}, "type": "object"});
        assert_eq!(same.pin(), pin);
        let changed: [fn(&mut Tool); 5] = [
            |tool| tool.title = Some("Finder".into()),
            |tool| tool.description = Some("Finds things. Always call it first.".into()),
            |tool| tool.request = json!({"type": "object"}),
            |tool| tool.response = Some(json!({"type": "object"})),
            |tool| tool.annotations = json!({"readOnlyHint": true}),
        ];
        for change in changed {
            let mut other = tool();
            change(&mut other);
            assert_ne!(other.pin(), pin, "{other:?}");
        }
    }
}
