//! A schema of a description, taken out of it.
//!
//! Answers: how does it stand by itself, with all that it refers to, as a schema of JSON Schema 2020-12?
//! Never: leaves a reference that leads nowhere; ends in a circle.
//! Carries: I-17.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{OpenApiError, missing};

/// Of which kind the description's schemas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenAPI 3.0: a dialect of its own, with `nullable`.
    Three0,
    /// OpenAPI 3.1: JSON Schema 2020-12.
    Three1,
}

/// What a schema may hold that says nothing about values.
const NOISE: [&str; 5] = ["example", "examples", "externalDocs", "xml", "discriminator"];

/// The schema with what it refers to, each at the place in it that the reference names.
pub(super) fn whole(root: &Value, dialect: Dialect, schema: Value) -> Result<Value, OpenApiError> {
    let mut whole = schema;
    let (mut wanted, mut taken) = (Vec::new(), BTreeSet::new());
    references(&whole, &mut wanted);
    while let Some(target) = wanted.pop() {
        let Some(pointer) = target.strip_prefix('#') else { return Err(missing(&target)) };
        if pointer.is_empty() || pointed(&whole, pointer).is_some() {
            continue;
        }
        let decoded = percent_decoded(pointer);
        let pointer = if root.pointer(pointer).is_some() { pointer } else { decoded.as_str() };
        let place = place(pointer);
        let found = pointed(root, place).ok_or_else(|| missing(&target))?;
        if taken.insert(place.to_owned()) {
            references(found, &mut wanted);
            put(&mut whole, place, found.clone());
        }
        if pointed(&whole, pointer).is_none() {
            return Err(missing(&target));
        }
    }
    Ok(modern(whole, dialect))
}

/// Parts of a value.
pub(super) fn parts(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(parts).sum::<usize>().saturating_add(1),
        Value::Array(items) => items.iter().map(parts).sum::<usize>().saturating_add(1),
        _ => 1,
    }
}

/// A component is taken whole, also where the reference leads deeper into it.
fn place(pointer: &str) -> &str {
    let in_component = pointer.strip_prefix("/components/schemas/").and_then(|rest| rest.find('/'));
    let end = in_component.map(|length| length.saturating_add("/components/schemas/".len()));
    end.and_then(|end| pointer.get(..end)).unwrap_or(pointer)
}

/// What a pointer leads to. In a reference it is percent-encoded, being part of a URL.
pub(super) fn pointed<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    root.pointer(pointer).or_else(|| root.pointer(&percent_decoded(pointer)))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits =
            (byte == b'%').then(|| [ahead.next(), ahead.next()].map(|digit| char::from(digit?).to_digit(16)));
        match digits {
            Some([Some(high), Some(low)]) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Puts a value at a place, making what is on the way.
fn put(whole: &mut Value, pointer: &str, value: Value) {
    let mut at = whole;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let Value::Object(fields) = at else { return };
        at = fields.entry(token).or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value;
}

fn references(value: &Value, targets: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                targets.push(target.to_owned());
            }
            fields
                .iter()
                .filter(|(name, _)| !NOISE.contains(&name.as_str()))
                .for_each(|(_, field)| references(field, targets));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, targets)),
        _ => {}
    }
}

/// As JSON Schema 2020-12, without what says nothing about values.
fn modern(schema: Value, dialect: Dialect) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let mut fields: Map<String, Value> = fields
        .into_iter()
        .filter(|(name, _)| !NOISE.contains(&name.as_str()) && !name.starts_with("x-"))
        .map(|(name, field)| {
            let field = match (name.as_str(), field) {
                (
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                    Value::Object(named),
                ) => each(named, dialect),
                // Here lies what references lead to.
                ("components" | "paths", place) => below(place, dialect),
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                    Value::Array(list.into_iter().map(|one| modern(one, dialect)).collect())
                }
                (
                    "items"
                    | "additionalProperties"
                    | "not"
                    | "contains"
                    | "if"
                    | "then"
                    | "else"
                    | "propertyNames"
                    | "unevaluatedProperties",
                    one,
                ) => modern(one, dialect),
                (_, field) => field,
            };
            (name, field)
        })
        .collect();
    if dialect == Dialect::Three0 {
        from_three0(&mut fields);
    }
    Value::Object(fields)
}

fn each(named: Map<String, Value>, dialect: Dialect) -> Value {
    Value::Object(named.into_iter().map(|(name, one)| (name, modern(one, dialect))).collect())
}

/// Parts of the description that were brought along: every object in them is taken for a schema, where its place does
/// not say that it is a list of named ones.
fn below(place: Value, dialect: Dialect) -> Value {
    let Value::Object(places) = place else { return place };
    let named = |(name, value): (String, Value)| {
        let value = match (name.as_str(), value) {
            ("schemas", Value::Object(named)) => each(named, dialect),
            ("schema", schema) => modern(schema, dialect),
            (_, deeper) => below(deeper, dialect),
        };
        (name, value)
    };
    Value::Object(places.into_iter().map(named).collect())
}

fn from_three0(fields: &mut Map<String, Value>) {
    if fields.remove("nullable") == Some(Value::Bool(true)) {
        if let Some(kind) = fields.get_mut("type")
            && kind.is_string()
        {
            *kind = json!([kind, "null"]);
        }
        if let Some(Value::Array(values)) = fields.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
    for (limit, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match fields.get(exclusive) {
            Some(Value::Bool(true)) => match fields.remove(limit) {
                Some(value) => _ = fields.insert(exclusive.to_owned(), value),
                None => _ = fields.remove(exclusive),
            },
            Some(Value::Bool(false)) => _ = fields.remove(exclusive),
            _ => {}
        }
    }
}
