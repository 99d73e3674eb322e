//! Descriptions, good and bad, become functionalities.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Instant;

use bus::message::operation::{Content, Encoding, Place, Style};
use serde_json::json;

use super::*;
use crate::Schema;

fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

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

fn with(path: &str, item: Value) -> Value {
    let mut api = api();
    api["paths"] = json!({path: item});
    api
}

fn operation(api: &Value, wanted: &str) -> Result<Operation, String> {
    Api::read(api).and_then(|api| api.operation(&name(wanted))).map_err(|error| error.to_string())
}

#[test]
fn an_operation_becomes_a_request_and_its_schemas() {
    let get = operation(&api(), "notes_get").unwrap();
    assert_eq!(get.endpoint.method, "GET");
    assert_eq!(get.endpoint.url, "https://notes.example.com/v1/notes/{id}");
    let places: Vec<Place> = get.endpoint.parameters.iter().map(|parameter| parameter.place).collect();
    assert_eq!(places, [Place::Path, Place::Query]);
    let request = Schema::parse(get.request).unwrap();
    assert!(request.check(&json!({"id": "7", "verbose": true})).is_ok());
    assert!(request.check(&json!({"verbose": true})).is_err());
    assert!(get.response.unwrap()["components"]["schemas"]["Person"].is_object());
}

#[test]
fn a_schema_brings_the_components_it_needs_and_no_others() {
    let put = operation(&api(), "notes_put").unwrap();
    let components = put.request["components"]["schemas"].as_object().unwrap();
    assert_eq!(components.keys().collect::<Vec<_>>(), ["Person"]);
    let request = Schema::parse(put.request).unwrap();
    assert!(request.check(&json!({"id": "7", "text": "x", "by": {"name": "y"}})).is_ok());
    assert!(request.check(&json!({"id": "7", "by": {"name": 1}})).is_err());
}

#[test]
fn the_fields_of_a_body_are_arguments_and_any_other_body_is_one() {
    let content = |schema: Value| {
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        let api = with("/x/{id}", json!({"post": {"operationId": "x", "requestBody": body}}));
        let found = operation(&api, "x").unwrap();
        (found.endpoint.body.unwrap().content, found.request)
    };
    let (fields, request) = content(
        json!({"properties": {"a": {}, "b": {"readOnly": true}, "c": {"$ref": "#/$defs/C"}}, "required": ["a", "b"],
        "$defs": {"C": {"type": "integer"}}}),
    );
    assert_eq!(fields, Content::Fields(vec!["a".into(), "c".into()]));
    assert_eq!(request["required"], json!(["id", "a"]));
    let request = Schema::parse(request).unwrap();
    assert!(request.check(&json!({"id": "1", "a": null, "c": 1})).is_ok());
    assert!(request.check(&json!({"id": "1", "a": null, "c": "1"})).is_err());
    assert_eq!(content(json!({"type": "object", "properties": {}})).0, Content::Fields(vec![]));
    let one = Content::Argument("body".into());
    for schema in [
        json!({"type": "array", "items": {}}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"properties": {"a": {}}, "additionalProperties": true}),
        json!({"oneOf": [{"type": "object"}]}),
        json!({"properties": {"id": {}}}),
    ] {
        assert_eq!(content(schema.clone()).0, one, "{schema}");
    }
}

#[test]
fn of_several_bodies_the_one_that_says_most_is_taken() {
    let body = |types: &[&str]| {
        let content: serde_json::Map<String, Value> =
            types.iter().map(|name| ((*name).to_owned(), json!({"schema": {"type": "string"}}))).collect();
        let api = with("/x", json!({"post": {"operationId": "x", "requestBody": {"content": content}}}));
        operation(&api, "x").unwrap().endpoint.body.unwrap()
    };
    let json = body(&["text/plain", "application/xml", "application/merge-patch+json"]);
    assert_eq!((json.encoding, json.media_type.as_str()), (Encoding::Json, "application/merge-patch+json"));
    assert_eq!(body(&["multipart/form-data", "application/x-www-form-urlencoded"]).encoding, Encoding::Form);
    assert_eq!(body(&["application/pdf"]).encoding, Encoding::Base64);
    assert_eq!(body(&["*/*"]).media_type, "application/json");
}

#[test]
fn parameters_keep_their_styles_and_the_operations_own_word_counts() {
    let api = with(
        "/x/{a}{b}",
        json!({
            "parameters": [{"name": "q", "in": "query", "schema": {"type": "integer"}}],
            "get": {"operationId": "x", "parameters": [
                {"name": "q", "in": "query", "required": true, "explode": false, "schema": {"type": "array"}},
                {"name": "f", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                {"name": "j", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}},
                {"name": "a", "in": "path", "style": "label"},
                {"name": "q", "in": "header", "schema": {"type": "string"}},
                {"name": "Authorization", "in": "header"}, {"name": "session", "in": "cookie"}]},
        }),
    );
    let found = operation(&api, "x").unwrap();
    let seen: Vec<(&str, Style, bool)> =
        found.endpoint.parameters.iter().map(|p| (p.argument.as_str(), p.style, p.explode)).collect();
    assert_eq!(
        seen,
        [
            ("q", Style::Form, false),
            ("f", Style::DeepObject, false),
            ("j", Style::Json, false),
            ("a", Style::Label, false),
            ("q_header", Style::Simple, false),
            ("b", Style::Simple, false),
        ]
    );
    assert_eq!(found.request["required"], json!(["q", "a", "b"]));
}

#[test]
fn schemas_of_three_zero_mean_what_they_meant_there() {
    let mut api = with(
        "/x",
        json!({"get": {"operationId": "x", "parameters": [
            {"name": "n", "in": "query", "schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": true, "nullable": true, "example": 1}},
            {"name": "e", "in": "query", "schema": {"type": "string", "enum": ["a"], "nullable": true}},
            {"name": "o", "in": "query", "schema": {"$ref": "#/components/schemas/Old"}}]}}),
    );
    api["openapi"] = json!("3.0.3");
    api["components"]["schemas"]["Old"] =
        json!({"type": "object", "properties": {"example": {"type": "string", "nullable": true}}});
    let request = Schema::parse(operation(&api, "x").unwrap().request).unwrap();
    for good in [json!({"n": 1}), json!({"n": null}), json!({"e": null}), json!({"o": {"example": null}})] {
        assert_eq!(request.check(&good), Ok(()), "{good}");
    }
    for bad in [json!({"n": 0}), json!({"e": "b"}), json!({"o": {"example": 1}})] {
        assert!(request.check(&bad).is_err(), "{bad}");
    }
}

#[test]
fn recursion_ends() {
    let mut api = api();
    api["components"]["schemas"]["Person"]["properties"]["friends"] =
        json!({"type": "array", "items": {"$ref": "#/components/schemas/Person"}});
    api["components"]["schemas"]["Person"]["properties"]["notes"] =
        json!({"$ref": "#/components/schemas/Note"});
    let request = Schema::parse(operation(&api, "notes_put").unwrap().request).unwrap();
    let deep = json!({"id": "1", "by": {"friends": [{"friends": [{"name": 7}]}]}});
    assert!(request.check(&deep).unwrap_err().contains("/by/friends/0/friends/0/name"));
    let round = with(
        "/x",
        json!({"get": {"operationId": "x", "parameters": [{"$ref": "#/components/parameters/a"}]}}),
    );
    let mut round = round;
    round["components"]["parameters"] =
        json!({"a": {"$ref": "#/components/parameters/b"}, "b": {"$ref": "#/components/parameters/a"}});
    assert_eq!(operation(&round, "x").unwrap_err(), "the operation x: a reference leads back to itself");
}

#[test]
fn a_missing_reference_is_named() {
    for (target, wanted) in [
        ("#/components/schemas/Gone", "the reference \"#/components/schemas/Gone\" leads to nothing"),
        ("#/components/schemas/Note/properties/gone", "leads to nothing"),
        ("other.yaml#/Note", "leads out of the description"),
        ("https://example.com/Note", "leads out of the description"),
    ] {
        let mut api = api();
        api["components"]["schemas"]["Person"] = json!({"properties": {"boss": {"$ref": target}}});
        let told = operation(&api, "notes_put").unwrap_err();
        assert!(told.contains(wanted) && told.contains("notes_put"), "{told}");
    }
    // What nobody uses may be broken.
    let mut api = api();
    api["components"]["schemas"]["Unused"] = json!({"$ref": "#/gone"});
    assert!(operation(&api, "notes_put").is_ok());
}

#[test]
fn references_elsewhere_than_to_components_are_followed() {
    let target = "#/paths/~1b%20c/get/responses/200/content/application~1json/schema";
    let list = json!({"type": "array", "items": {"$ref": target}});
    let body = json!({"content": {"application/json": {"schema": list}}});
    let mut api = with("/a", json!({"post": {"operationId": "x", "requestBody": body}}));
    api["paths"]["/b c"] = json!({"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "integer", "nullable": 1}}}}}}});
    let request = Schema::parse(operation(&api, "x").unwrap().request).unwrap();
    assert!(request.check(&json!({"body": [1]})).is_ok());
    assert!(request.check(&json!({"body": ["x"]})).is_err());
}

#[test]
fn two_operations_of_one_name_are_neither() {
    let mut api = api();
    api["paths"]["/other"] = json!({"get": {"operationId": "notes/get"}, "delete": {}});
    let told = operation(&api, "notes_get").unwrap_err();
    assert_eq!(
        told,
        "the openapi description has two operations named notes_get: GET /notes/{id} and GET /other"
    );
    let api = Api::read(&api).unwrap();
    let names: Vec<&str> = api.names().map(FunctionName::as_str).collect();
    assert_eq!(names, ["notes_put", "delete_other"], "and one without an id is named by method and path");
    assert_eq!(api.effect(&name("delete_other")), Some(Effect::Irreversible));
    assert_eq!(api.effect(&name("notes_put")), Some(Effect::Write));
}

#[test]
fn what_is_no_description_is_told_apart() {
    let told = |api: Value| Api::read(&api).unwrap_err().to_string();
    assert!(told(json!({"swagger": "2.0"})).contains("Swagger 2.0"));
    assert!(told(json!({"openapi": "4.0"})).contains("3.0 and 3.1"));
    assert!(told(json!([])).contains("no OpenAPI"));
    let told = |servers: Value| {
        let mut api = api();
        api["servers"] = servers;
        operation(&api, "notes_get").unwrap_err()
    };
    assert!(told(json!([])).contains("names no server"));
    assert!(told(json!([{"url": "/v1"}])).contains("not an absolute address"));
    assert!(told(json!([{"url": "https://{tenant}.example.com"}])).contains("not an absolute address"));
    let mut filled = api();
    filled["servers"] =
        json!([{"url": "https://{tenant}.example.com", "variables": {"tenant": {"default": "me"}}}]);
    assert_eq!(Api::read(&filled).unwrap().server().unwrap(), "https://me.example.com");
}

#[test]
fn a_list_that_comes_in_pages_has_a_place_for_the_next() {
    let list = json!({"type": "array", "items": {"$ref": "#/components/schemas/Note"}});
    let response = json!({"headers": {"Link": {}}, "content": {"application/json": {"schema": list}}});
    let found = operation(
        &with("/notes", json!({"get": {"operationId": "all", "responses": {"200": response}}})),
        "all",
    )
    .unwrap();
    assert!(found.endpoint.paged);
    let response = Schema::parse(found.response.unwrap()).unwrap();
    assert!(response.check(&json!({"items": [{"text": "a"}], "next": null})).is_ok());
    assert!(response.check(&json!([])).is_err());
}

#[test]
fn a_description_of_ten_megabytes_is_read_in_moments() {
    let mut api = api();
    let words = "x".repeat(4_000);
    for n in 0..2_600 {
        let about = json!({"operationId": format!("op{n}"), "description": words, "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}}}});
        api["paths"][format!("/things/{n}")] = json!({"get": about});
    }
    let text = api.to_string();
    assert!(10 << 20 < text.len(), "{}", text.len());
    let begun = Instant::now();
    let api: Value = serde_json::from_str(&text).unwrap();
    let api = Api::read(&api).unwrap();
    for n in 0..2_600 {
        assert!(api.operation(&name(&format!("op{n}"))).is_ok());
    }
    // Far more than it takes, even where nothing is optimised; a walk through all for each would take minutes.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn a_result_that_is_described_at_enormous_length_is_not_checked() {
    let mut api = api();
    let many: serde_json::Map<String, Value> = (0..6_000).map(|n| (format!("f{n}"), json!({}))).collect();
    api["components"]["schemas"]["Person"] = json!({"type": "object", "properties": many});
    assert_eq!(operation(&api, "notes_get").unwrap().response, None);
}
