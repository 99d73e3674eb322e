//! Functionalities out of an OpenAPI 3 description.
//!
//! Answers: what does an operation take and give, and which web request does it become?
//! Never: fetches anything; follows a reference out of the description.
//! Carries: I-17.
//!
//! An operation for a spoke is `{"method", "url", "path": [parameter…], "query": […], "header": […], "body": bool}`: the
//! url has `{parameter}` where a path parameter goes, and with `body` the argument of that name is sent as JSON.

use std::collections::BTreeSet;

use bus::id::FunctionName;
use serde_json::{Map, Value, json};

/// One operation of the description.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// In the API's own words; for the app's own model only.
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub request: Value,
    /// JSON Schema of the first successful response with a JSON body.
    pub response: Option<Value>,
    /// The web request that it becomes.
    pub operation: Value,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The name of a functionality for an `operationId`: characters that a name may not have become `_`.
#[must_use]
pub fn name_of(operation_id: &str) -> Option<FunctionName> {
    let mut name = String::new();
    for c in operation_id.chars() {
        let c = if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    FunctionName::parse(name.trim_matches('_')).ok()
}

/// The names of all operations, in the order of the description.
#[must_use]
pub fn names(api: &Value) -> Vec<FunctionName> {
    operations(api).filter_map(|found| name_of(found.id)).collect()
}

/// The operation of this name; `None` if there is none, or the description has no server to send it to.
#[must_use]
pub fn operation(api: &Value, name: &FunctionName) -> Option<Operation> {
    let found = operations(api).find(|found| name_of(found.id).as_ref() == Some(name))?;
    let server = api.pointer("/servers/0/url").and_then(Value::as_str)?;
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let (mut path, mut query, mut header) = (Vec::new(), Vec::new(), Vec::new());
    let shared = found.item.get("parameters").and_then(Value::as_array);
    let own = found.operation.get("parameters").and_then(Value::as_array);
    for parameter in shared.into_iter().chain(own).flatten() {
        let parameter = resolved(api, parameter);
        let (Some(name), Some(place)) = (text(parameter, "name"), text(parameter, "in")) else { continue };
        match place {
            "path" => path.push(name),
            "query" => query.push(name),
            "header" => header.push(name),
            // Cookies are credentials, and those are the gateway's.
            _ => continue,
        }
        properties.insert(name.to_owned(), parameter.get("schema").cloned().unwrap_or_else(|| json!({})));
        if place == "path" || parameter.get("required") == Some(&Value::Bool(true)) {
            required.push(name);
        }
    }
    let body = found.operation.get("requestBody").map(|body| resolved(api, body));
    let body_schema = body.and_then(json_content);
    if let Some(schema) = body_schema {
        properties.insert("body".to_owned(), schema.clone());
        if body.and_then(|body| body.get("required")) == Some(&Value::Bool(true)) {
            required.push("body");
        }
    }
    let request = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let responses = found.operation.get("responses").and_then(Value::as_object);
    let success = responses.and_then(|all| all.iter().find(|(code, _)| code.starts_with('2')));
    let response = success.and_then(|(_, response)| json_content(resolved(api, response))).cloned();
    let described = text(found.operation, "description").or_else(|| text(found.operation, "summary"));
    Some(Operation {
        description: described.map(str::to_owned),
        operation: json!({
            "method": found.method.to_ascii_uppercase(),
            "url": format!("{}{}", server.trim_end_matches('/'), found.path),
            "path": path, "query": query, "header": header,
            "body": body_schema.is_some(),
        }),
        request: with_components(api, request),
        response: response.map(|response| with_components(api, response)),
    })
}

struct Found<'a> {
    id: &'a str,
    method: &'a str,
    path: &'a str,
    item: &'a Value,
    operation: &'a Value,
}

fn operations(api: &Value) -> impl Iterator<Item = Found<'_>> {
    let paths = api.get("paths").and_then(Value::as_object);
    paths.into_iter().flatten().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| {
            let operation = item.get(method)?;
            Some(Found { id: text(operation, "operationId")?, method, path, item, operation })
        })
    })
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn json_content(value: &Value) -> Option<&Value> {
    value.pointer("/content/application~1json/schema")
}

/// What a reference within the description leads to; one step, as parameters and bodies have it.
fn resolved<'a>(api: &'a Value, value: &'a Value) -> &'a Value {
    let target = text(value, "$ref").and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| api.pointer(pointer)).unwrap_or(value)
}

/// Adds the components that the schema refers to, and those that these refer to, under the names they have.
fn with_components(api: &Value, mut schema: Value) -> Value {
    let (mut wanted, mut taken) = (Vec::new(), BTreeSet::new());
    references(&schema, &mut wanted);
    let mut components = Map::new();
    while let Some(name) = wanted.pop() {
        if let (true, Some(found)) = (
            taken.insert(name.clone()),
            api.get("components").and_then(|all| all.get("schemas")).and_then(|all| all.get(&name)),
        ) {
            references(found, &mut wanted);
            components.insert(name, found.clone());
        }
    }
    if let (false, Value::Object(fields)) = (components.is_empty(), &mut schema) {
        fields.insert("components".to_owned(), json!({"schemas": components}));
    }
    schema
}

fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) =
                text(value, "$ref").and_then(|target| target.strip_prefix("#/components/schemas/"))
            {
                // A pointer deeper into a component still needs the component.
                names.extend(name.split('/').next().map(str::to_owned));
            }
            fields.values().for_each(|field| references(field, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Schema;

    fn api() -> Value {
        json!({
            "openapi": "3.1.0",
            "servers": [{"url": "https://notes.example.com/v1/"}],
            "paths": {"/notes/{id}": {
                "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
                "get": {"operationId": "notes.get", "parameters": [{"name": "verbose", "in": "query", "schema": {"type": "boolean"}}],
                        "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}}}},
                "put": {"operationId": "notes.put", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}}},
            }},
            "components": {"schemas": {
                "Note": {"type": "object", "properties": {"text": {"type": "string"}, "by": {"$ref": "#/components/schemas/Person"}}},
                "Person": {"type": "object", "properties": {"name": {"type": "string"}}},
                "Unused": {"type": "string"},
            }},
        })
    }

    #[test]
    fn an_operation_becomes_a_request_and_its_schemas() {
        let get = operation(&api(), &FunctionName::parse("notes_get").unwrap()).unwrap();
        assert_eq!(
            get.operation,
            json!({"method": "GET", "url": "https://notes.example.com/v1/notes/{id}",
            "path": ["id"], "query": ["verbose"], "header": [], "body": false})
        );
        let request = Schema::parse(get.request).unwrap();
        assert!(request.check(&json!({"id": "7", "verbose": true})).is_ok());
        assert!(request.check(&json!({"verbose": true})).is_err());
        assert_eq!(names(&api()).len(), 2);
    }

    #[test]
    fn a_schema_brings_the_components_it_needs_and_no_others() {
        let put = operation(&api(), &FunctionName::parse("notes_put").unwrap()).unwrap();
        let names: Vec<&str> = put
            .request
            .pointer("/components/schemas")
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(names, ["Note", "Person"]);
        let request = Schema::parse(put.request).unwrap();
        assert!(request.check(&json!({"id": "7", "body": {"text": "x", "by": {"name": "y"}}})).is_ok());
        assert!(request.check(&json!({"id": "7", "body": {"by": {"name": 1}}})).is_err());
    }
}
