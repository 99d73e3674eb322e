//! What a template sees of a request: the fields of the view, the facts in it, and functions to speak of apps.
//!
//! Answers: `mentions(app)`, `has(full)`, `can(full)`, `done(full)`, `refused(full)`, `value(full)`, `values(full)`,
//! `every(fact)`, `look(fact, text)`, `found(fact, text)`; and writes calls and steps: `use(full, arguments, why)`,
//! `use_text(full, text, why)`, `step(full, arguments, after)`, `delegate(app, request, after)`, `guess()`,
//! `named_call()`. `full` is `app.functionality`.
//! Never: writes a call of a tool that is not offered.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, Serde};
use serde_json::json;

use super::guess;
use crate::model::script::{Fact, groups};
use crate::model::view::{REQUEST_APP, Source, View};

type Facts = Arc<BTreeMap<String, Fact>>;

/// The scope of one request.
pub fn of(view: &Arc<View>, facts: &Facts) -> Value {
    let mut scope: BTreeMap<String, Value> = BTreeMap::new();
    let mut add = |name: &str, value: Value| scope.insert(name.to_owned(), value);
    if let Ok(fields) = serde_json::to_value(view.as_ref()) {
        for (name, field) in fields.as_object().into_iter().flatten() {
            add(name, Value::from(Serde(field)));
        }
    }
    add("facts", Value::from_object(Found { view: Arc::clone(view), facts: Arc::clone(facts) }));
    let (seen, known) = (Arc::clone(view), Arc::clone(facts));
    add("every", Value::from_function(move |name: &str| every(&seen, &known, name)));
    let known = Arc::clone(facts);
    add("look", Value::from_function(move |name: &str, text: &str| look(&known, name, text)));
    let known = Arc::clone(facts);
    add("found", Value::from_function(move |name: &str, text: &str| found(&known, name, text)));

    let named: Vec<&String> = view.apps.iter().filter(|app| mentions(&view.query, app)).collect();
    add("mentioned_apps", Value::from(Serde(named)));
    let seen = Arc::clone(view);
    add("mentions", Value::from_function(move |app: &str| mentions(&seen.query, app)));
    let seen = Arc::clone(view);
    add("has", Value::from_function(move |full: &str| has(&seen, full)));
    let seen = Arc::clone(view);
    add("can", Value::from_function(move |full: &str| seen.asks || has(&seen, full)));
    let seen = Arc::clone(view);
    add(
        "done",
        Value::from_function(move |full: &str| seen.results.iter().any(|result| result.full == full)),
    );
    let seen = Arc::clone(view);
    add("refused", Value::from_function(move |full: &str| refused(&seen, full)));
    let seen = Arc::clone(view);
    add("value", Value::from_function(move |full: &str| values(&seen, full).pop()));
    let seen = Arc::clone(view);
    add("values", Value::from_function(move |full: &str| values(&seen, full)));

    let seen = Arc::clone(view);
    let call = move |full: &str, arguments: Value, why: Option<&str>| call(&seen, full, &arguments, why);
    add("use", Value::from_function(call));
    let seen = Arc::clone(view);
    let call_text = move |full: &str, text: &str, why: &str| written(&seen, full, arguments_of(text), why);
    add("use_text", Value::from_function(call_text));
    add("step", Value::from_function(step));
    add("delegate", Value::from_function(delegate));
    let seen = Arc::clone(view);
    let guessed = move || {
        let call = guess::call(&seen).map(|(full, arguments)| written(&seen, &full, arguments, "A guess."));
        call.unwrap_or_default()
    };
    add("guess", Value::from_function(guessed));
    let seen = Arc::clone(view);
    let named = move || match guess::named(&seen) {
        Some((full, arguments)) => Value::from(Serde(json!({"full": full, "arguments": arguments}))),
        None => Value::from(()),
    };
    add("named_call", Value::from_function(named));
    Value::from(scope)
}

/// `facts.name`: where a fact is first found, and by whom it was said; nothing, if it is nowhere.
#[derive(Debug)]
struct Found {
    view: Arc<View>,
    facts: Facts,
}

impl Object for Found {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        every(&self.view, &self.facts, key.as_str()?).into_iter().next()
    }
}

/// Every place where a fact stands, one for each part of the context.
fn every(view: &View, facts: &Facts, name: &str) -> Vec<Value> {
    let Some(fact) = facts.get(name) else { return Vec::new() };
    let looked_at = view.segments.iter().filter(|segment| fact.sources.contains(&segment.source));
    looked_at
        .filter_map(|segment| {
            let (pattern, start) = fact
                .patterns
                .iter()
                .find_map(|pattern| Some((pattern, pattern.find(&segment.text)?.start())))?;
            let mut found = groups(pattern, &segment.text)?;
            let fields = found.as_object_mut()?;
            let by = segment.by.clone().or_else(|| speaker(view, segment.text.get(..start)?));
            fields.insert("by".to_owned(), json!(by));
            fields.insert("from_system".to_owned(), json!(segment.source == Source::System));
            Some(Value::from(Serde(&found)))
        })
        .collect()
}

/// Instructions tell of several apps, each under its name: the last one named before the place is speaking.
fn speaker(view: &View, before: &str) -> Option<String> {
    let last = view.apps.iter().filter_map(|app| Some((before.rfind(app.as_str())?, app))).max();
    last.map(|(_, app)| app.clone())
}

fn look(facts: &Facts, name: &str, text: &str) -> Option<Value> {
    let found = facts.get(name)?.patterns.iter().find_map(|pattern| groups(pattern, text))?;
    Some(Value::from(Serde(&found)))
}

/// Every place in one text.
fn found(facts: &Facts, name: &str, text: &str) -> Vec<Value> {
    let Some(fact) = facts.get(name) else { return Vec::new() };
    let places =
        fact.patterns.iter().flat_map(|pattern| pattern.find_iter(text).map(move |at| (pattern, at)));
    places
        .filter_map(|(pattern, at)| groups(pattern, at.as_str()))
        .map(|one| Value::from(Serde(one)))
        .collect()
}

/// Is the app named in the text, with `_`, with a space, or written together? As a word of its own: an "email" does
/// not name the app "mail".
pub fn mentions(text: &str, app: &str) -> bool {
    let (text, app) = (text.to_lowercase(), app.to_lowercase());
    let is_apart =
        |letter: Option<char>| !letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let stands = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let (before, after) = (text.get(..at), text.get(at.saturating_add(name.len())..));
            is_apart(before.and_then(|text| text.chars().next_back()))
                && is_apart(after.and_then(|text| text.chars().next()))
        })
    };
    [app.clone(), app.replace(['_', '-'], " "), app.replace(['_', '-'], "")].iter().any(|name| stands(name))
}

fn has(view: &View, full: &str) -> bool {
    view.offers.iter().any(|offer| offer.full == full)
}

fn refused(view: &View, full: &str) -> bool {
    view.results.iter().any(|result| result.full == full && result.error.is_some())
}

fn values(view: &View, full: &str) -> Vec<Value> {
    let good = view.results.iter().filter(|result| result.full == full && result.error.is_none());
    good.map(|result| Value::from(Serde(&result.value))).collect()
}

fn call(view: &View, full: &str, arguments: &Value, why: Option<&str>) -> String {
    written(view, full, pruned(arguments), why.unwrap_or("It is needed for the request."))
}

/// Arguments that stand as JSON in a text, perhaps with its quotation marks escaped.
fn arguments_of(text: &str) -> serde_json::Value {
    let parsed = serde_json::from_str(text).or_else(|_| serde_json::from_str(&text.replace("\\\"", "\"")));
    parsed.unwrap_or_else(|_| json!({}))
}

/// A call of the app's own tool, or of the tool that asks other apps; nothing, if neither is offered.
fn written(view: &View, full: &str, arguments: serde_json::Value, why: &str) -> String {
    let (tool, arguments) = if has(view, full) && view.tools {
        (full.replacen('.', "__", 1), arguments)
    } else if let (true, Some((app, functionality))) = (view.asks, full.split_once('.')) {
        let asked = json!({ "app": app, "functionality": functionality, "arguments": arguments, "why": why });
        (REQUEST_APP.to_owned(), asked)
    } else {
        return String::new();
    };
    format!("{}\n", json!({ "tool": tool, "arguments": arguments }))
}

fn step(full: &str, arguments: Value, after: Option<Vec<String>>) -> String {
    let after = after.unwrap_or_default();
    format!(
        "{}\n",
        json!({ "kind": "call", "functionality": full, "args": pruned(&arguments), "after": after })
    )
}

fn delegate(app: &str, request: &str, after: Option<Vec<String>>) -> String {
    let after = after.unwrap_or_default();
    format!("{}\n", json!({ "kind": "delegate", "app": app, "request": request, "after": after }))
}

/// Arguments without those that have no value.
fn pruned(arguments: &Value) -> serde_json::Value {
    match to_json(arguments) {
        serde_json::Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
            serde_json::Value::Object(fields)
        }
        other => other,
    }
}

/// The other way round; what is undefined is null.
pub fn to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}
