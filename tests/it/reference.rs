//! What the re-implemented system offers, and where it failed: each line has a test whose name says so.
//!
//! Answers: does everything work that worked there, and nothing go wrong that went wrong there?

mod cases;
mod failures;
mod literature;
mod memory;
mod offers;
mod permission;
mod protocol;

use bus::message::user::{Outcome, Prompt};
use serde_json::{Value, json};
use system_tests::system::System;

pub const FARES: &str =
    "Use both metro_hail and quick_ride to calculate the fares from 'Main Street' to 'Elm Avenue'";

pub const APPOINTMENT: &str = "Please book a doctor's appointment for me. My name is Robert Hill, I was born on 12 March 1974, I \
     live in Irvine, my email is robert.hill@post.example. I had heart surgery last year and feel chest pain now.";

/// A change for a receiver who does not stand in the words: the plan's address is written otherwise than in the query.
pub const DRAFT: &str = r#"plan: {"answer":null,"steps":[{"id":"s1","kind":"call","functionality":"mail.create_draft","args":{"to":["erin\u0040x.example"],"subject":"Hi","body":"Hello"},"after":[]}]}"#;

pub const FLIGHT: &str = "Please book a flight from Irvine to Paris on June 10th.";

pub const NEWEST: &str = "Could you summarise my newest email?";

/// A plan, for the scripted model to repeat word for word.
pub fn plan(steps: &Value) -> String {
    format!("plan: {}", json!({"answer": null, "steps": steps}))
}

/// A step that calls.
pub fn call(id: &str, functionality: &str, args: &Value) -> Value {
    json!({"id": id, "kind": "call", "functionality": functionality, "args": args, "after": []})
}

/// A step that hands a request to an app's own model.
pub fn delegate(id: &str, app: &str, request: &str) -> Value {
    json!({"id": id, "kind": "delegate", "app": app, "request": request, "after": []})
}

/// A query that has an app's own model do this.
pub fn has(app: &str, request: &str) -> String {
    plan(&json!([delegate("s1", app, request)]))
}

/// What the model was sent in conversations of a kind.
pub fn sent(system: &System, kind: &str) -> Vec<Value> {
    system.model().requests(kind).into_iter().map(|noted| noted["request"].clone()).collect()
}

/// The lines of a file that an app of this user keeps.
pub fn kept(system: &System, user: &str, app: &str, file: &str) -> Vec<Value> {
    let file = system.state().join("data").join(user).join(app).join(file);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// `from → to` of each prompt.
pub fn pairs(prompts: &[Prompt]) -> Vec<(String, String)> {
    prompts.iter().map(|prompt| (prompt.flow.from.clone(), prompt.flow.to.clone())).collect()
}

/// The value of the first result of a functionality or app.
#[track_caller]
pub fn value<'a>(outcome: &'a Outcome, functionality: &str) -> &'a Value {
    let result = outcome.results.iter().find(|result| result.functionality == functionality);
    &result.unwrap_or_else(|| panic!("no result of {functionality}: {outcome:#?}")).value
}

/// Why a functionality or app has no result.
#[track_caller]
pub fn error<'a>(outcome: &'a Outcome, functionality: &str) -> &'a str {
    let result = outcome.results.iter().find(|result| result.functionality == functionality);
    let result = result.unwrap_or_else(|| panic!("no result of {functionality}: {outcome:#?}"));
    result.error.as_deref().unwrap_or_else(|| panic!("{functionality} has a result: {outcome:#?}"))
}
