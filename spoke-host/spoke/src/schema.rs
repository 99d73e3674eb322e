//! Do arguments and results fit the schemas?
//!
//! Answers: does this value fit, and if not, in one sentence, why?
//! Never: fetches a schema from anywhere; a reference to another document is an error of the manifest.
//! A validator is made when it is first needed, since most spokes use one functionality or none.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bus::id::FunctionName;
use bus::message::profile::Function;
use bus::message::task::{Failure, FailureCode};
use jsonschema::Validator;
use serde_json::Value;

use crate::job::cut;

/// Longest explanation, bytes: it may quote the value.
const MAX_WORDS: usize = 500;

/// The validators of an app's functionalities.
pub(crate) struct Schemas(BTreeMap<FunctionName, Pair>);

#[derive(Default)]
struct Pair {
    request: OnceLock<Result<Validator, String>>,
    response: OnceLock<Result<Validator, String>>,
}

impl Schemas {
    pub(crate) fn new(functions: &[Function]) -> Self {
        Self(functions.iter().map(|function| (function.name.clone(), Pair::default())).collect())
    }

    /// Do these arguments fit the functionality's request schema?
    pub(crate) fn request(&self, function: &Function, args: &Value) -> Result<(), Failure> {
        let Some(pair) = self.0.get(&function.name) else { return Ok(()) };
        check(pair.request.get_or_init(|| compile(&function.request)), args).map_err(|why| {
            let words = format!("the arguments do not fit the request schema of {}: {why}", function.name);
            Failure::new(FailureCode::Arguments, words)
        })
    }

    /// Does this result fit the functionality's response schema, if it has one?
    pub(crate) fn response(&self, function: &Function, result: &Value) -> Result<(), Failure> {
        let (Some(pair), Some(schema)) = (self.0.get(&function.name), &function.response) else {
            return Ok(());
        };
        check(pair.response.get_or_init(|| compile(schema)), result).map_err(|why| {
            let words = format!("the result of {} does not fit its response schema: {why}", function.name);
            Failure::new(FailureCode::Result, words)
        })
    }
}

/// Does a value fit a schema that is used once?
pub(crate) fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    check(&compile(schema), value)
}

fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::validator_for(schema)
        .map_err(|error| format!("its schema is not usable: {}", cut(&error.to_string(), MAX_WORDS)))
}

fn check(validator: &Result<Validator, String>, value: &Value) -> Result<(), String> {
    let validator = validator.as_ref().map_err(Clone::clone)?;
    validator.validate(value).map_err(|error| {
        let place = error.instance_path().to_string();
        let words = cut(&error.to_string(), MAX_WORDS);
        if place.is_empty() { words } else { format!("at {place}: {words}") }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
        assert_eq!(fits(&schema, &json!({"a": 1})), Ok(()));
        assert!(fits(&schema, &json!({"a": "x"})).unwrap_err().contains("/a"));
        assert!(fits(&schema, &json!({})).unwrap_err().contains("required"));
    }

    #[test]
    fn a_schema_from_elsewhere_is_not_fetched() {
        let why = fits(&json!({"$ref": "http://127.0.0.1:1/x.json"}), &json!(1)).unwrap_err();
        assert!(why.contains("not usable"), "{why}");
    }
}
