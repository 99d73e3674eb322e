//! Functionalities as they are described: in a line of text to the planner, in a JSON Schema to a tool loop.
//!
//! Answers: which functionalities, with which parameters?
//! Never: takes a line for a signature that does not have the whole form.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Offer, Parameter};

/// `app.name(parameter: type, optional?: type) -> effect`, at the start of a line, perhaps as a list item.
static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^[ \t`*-]*(?P<app>[A-Za-z0-9_-]+)\.(?P<name>[A-Za-z0-9_-]+)\((?P<parameters>[^\n]*?)\)\s*->",
    )
    .ok()
});

/// All signatures in a text.
pub fn parse_all(text: &str) -> Vec<Offer> {
    let Some(line) = LINE.as_ref() else { return Vec::new() };
    line.captures_iter(text)
        .filter_map(|found| {
            let (app, name) = (found.name("app")?.as_str(), found.name("name")?.as_str());
            Some(Offer {
                full: format!("{app}.{name}"),
                app: app.to_owned(),
                name: name.to_owned(),
                parameters: parameters(found.name("parameters")?.as_str()),
            })
        })
        .collect()
}

/// The parameters that a JSON Schema of an object describes.
pub fn from_schema(schema: &Value) -> Vec<Parameter> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Parameter {
            name: name.clone(),
            kind: schema.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
            required: required.contains(&name.as_str()),
        })
        .collect()
}

fn parameters(text: &str) -> Vec<Parameter> {
    split(text)
        .into_iter()
        .filter_map(|part| {
            let (name, kind) = part.split_once(':').unwrap_or((part, ""));
            let name = name.trim();
            let (name, required) = name.strip_suffix('?').map_or((name, true), |name| (name, false));
            (!name.is_empty()).then(|| Parameter {
                name: name.to_owned(),
                kind: kind.trim().to_owned(),
                required,
            })
        })
        .collect()
}

/// Parts at the commas that stand in no bracket.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth = depth.saturating_add(1),
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}
