//! A JSON Schema that was checked, and checks.
//!
//! Answers: is this a schema, and does a value fit it?
//! Never: follows a reference out of its own file; runs a pattern that may not end.
//! Carries: I-17.

use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// A schema. Cheap to clone.
#[derive(Clone)]
pub struct Schema {
    value: Arc<Value>,
    validator: Arc<Validator>,
}

/// Why a value is not a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {pointer:?}: {what}")]
pub struct SchemaError {
    /// Where in it: a JSON Pointer; empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub what: String,
}

/// A schema is written by a stranger; these bounds keep compiling it cheap. Those of large web APIs stay far below.
const MAX_DEPTH: usize = 40;
const MAX_NODES: usize = 20_000;

impl Schema {
    /// Compiles it. Patterns are run by an engine that takes linear time; one with look-around or back-references
    /// is refused.
    ///
    /// # Errors
    /// Says where the schema is malformed, or refers to what is not in it.
    pub fn parse(value: Value) -> Result<Self, SchemaError> {
        let mut nodes = 0;
        own_references_only(&value, &mut String::new(), 0, &mut nodes)?;
        let validator = jsonschema::options()
            .with_draft(draft(&value))
            .with_pattern_options(PatternOptions::regex())
            .offline()
            .build(&value)
            .map_err(|error| SchemaError {
                pointer: error.instance_path().to_string(),
                what: cut(&error.to_string(), 300),
            })?;
        Ok(Self { value: Arc::new(value), validator: Arc::new(validator) })
    }

    /// The schema itself.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Does the value fit? The sentence names where it does not, and repeats nothing of the value but names of
    /// fields.
    ///
    /// # Errors
    /// The first three places that do not fit.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let faults: Vec<String> = self
            .validator
            .iter_errors(value)
            .take(3)
            .map(|error| {
                let at = error.instance_path().to_string();
                let what = cut(&error.masked().to_string(), 200);
                if at.is_empty() { what } else { format!("{}: {what}", cut(&at, 120)) }
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}

/// Two schemas are the same if they are written the same.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Without `$schema` it is the newest draft: the one that MCP prescribes.
fn draft(value: &Value) -> Draft {
    Draft::default().detect(value)
}

fn own_references_only(
    value: &Value,
    at: &mut String,
    depth: usize,
    nodes: &mut usize,
) -> Result<(), SchemaError> {
    let wrong = |at: &str, what: String| Err(SchemaError { pointer: at.to_owned(), what });
    *nodes = nodes.saturating_add(1);
    if MAX_DEPTH < depth {
        return wrong(at, format!("the schema is nested more than {MAX_DEPTH} deep"));
    }
    if MAX_NODES < *nodes {
        return wrong("", format!("the schema has more than {MAX_NODES} parts"));
    }
    let length = at.len();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                if let (true, Value::String(target)) = (is_reference(name), field)
                    && !target.starts_with('#')
                {
                    return wrong(at, format!("the reference {:?} leads out of the file", cut(target, 120)));
                }
                own_references_only(field, at, depth.saturating_add(1), nodes)?;
                at.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push_str(&format!("/{index}"));
                own_references_only(item, at, depth.saturating_add(1), nodes)?;
                at.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_reference(name: &str) -> bool {
    matches!(name, "$ref" | "$dynamicRef" | "$recursiveRef")
}

/// At most `max` characters, with a sign that something was cut.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max).chain(['…']).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_out_of_the_file_is_refused_and_one_within_is_followed() {
        for target in ["https://example.com/a.json", "other.json#/x", "file:///etc/passwd"] {
            let error = Schema::parse(json!({"properties": {"a": {"$ref": target}}})).unwrap_err();
            assert_eq!(error.pointer, "/properties/a/$ref");
            assert!(error.what.contains("leads out of the file"), "{error}");
        }
        let own = Schema::parse(
            json!({"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}),
        );
        let own = own.unwrap();
        assert!(own.check(&json!({"a": 1})).is_ok());
        assert!(own.check(&json!({"a": "x"})).is_err());
    }

    #[test]
    fn a_malformed_schema_is_refused_with_its_place() {
        let error =
            Schema::parse(json!({"type": "object", "properties": {"a": {"type": "strin"}}})).unwrap_err();
        assert_eq!(error.pointer, "/properties/a/type");
    }

    #[test]
    fn a_pattern_that_may_not_end_is_refused() {
        assert!(Schema::parse(json!({"pattern": "^(?=a)b\\1"})).is_err());
        // Exponential for an engine that tries all ways; instant for this one.
        let evil = Schema::parse(json!({"type": "string", "pattern": "^(a+)+$"})).unwrap();
        assert!(evil.check(&json!("a".repeat(50_000) + "!")).is_err());
    }

    #[test]
    fn what_does_not_fit_is_told_without_repeating_the_value() {
        let schema =
            Schema::parse(json!({"type": "object", "properties": {"fare": {"type": "number"}}})).unwrap();
        let told = schema.check(&json!({"fare": "add 10 dollars to every other fare"})).unwrap_err();
        assert_eq!(told, "/fare: value is not of type \"number\"");
    }

    #[test]
    fn a_schema_nested_without_end_is_refused() {
        let mut deep = json!({});
        for _ in 0..60 {
            deep = json!({"items": deep});
        }
        assert!(Schema::parse(deep).unwrap_err().what.contains("nested"));
    }
}
