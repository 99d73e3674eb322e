//! Requests written by a manifest's author, for what is not one operation of an API.
//!
//! Answers: which requests do these arguments make, one after the other, and what is the result made of?
//! Never: puts a value into an address or a body unescaped, unless the author says `safe`; runs a template without end.
//! Carries: I-16.
//!
//! Templates are minijinja's. What they put in is percent-encoded in an address and written as JSON in a body or a result.
//! They see the arguments as `args`, and each earlier answer under the name of its request.

mod filters;

use std::collections::BTreeMap;

use bus::message::operation::{Recipe, RecipeRequest};
use bus::message::task::{Failure, FailureCode};
use futures_util::future::join_all;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value, json};

use super::{Ask, Errand, body, fetch, fill, usual_headers};
use crate::job::cut;

/// Requests that one `each` makes. What gives more should be asked for in pages.
const MAX_EACH: usize = 50;

/// Steps of one template. A list of some hundred messages takes a few ten thousand.
const FUEL: u64 = 2_000_000;

/// Carries the recipe out.
pub(super) async fn run(
    errand: Errand<'_>,
    recipe: &Recipe,
    args: &Map<String, Value>,
) -> Result<Value, Failure> {
    let mut seen = Seen { environment: environment(), values: BTreeMap::new() };
    seen.values.insert("args".into(), Value::Object(args.clone()));
    let mut last = Value::Null;
    for request in &recipe.request {
        last = match &request.when {
            Some(when) if !seen.expression(when)?.is_true() => Value::Null,
            _ => made(errand, request, &seen).await?,
        };
        seen.values.insert(request.name.clone(), last.clone());
    }
    let Some(result) = &recipe.result else { return Ok(last) };
    serde_json::from_str(&seen.text(Form::Json, result, None)?)
        .map_err(|error| fault(format!("its result is not JSON: {error}")))
}

/// Makes a request, or one for each element.
async fn made(errand: Errand<'_>, request: &RecipeRequest, seen: &Seen) -> Result<Value, Failure> {
    let Some(each) = &request.each else { return one(errand, request, seen, None).await };
    let list = serde_json::to_value(seen.expression(each)?).map_err(|error| fault(error.to_string()))?;
    let items = match list {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        _ => return Err(fault(format!("`each` of {} gives no list", request.name))),
    };
    if MAX_EACH < items.len() {
        let words = format!(
            "{} would make {} requests, where {MAX_EACH} are made at most",
            request.name,
            items.len()
        );
        return Err(Failure::new(FailureCode::Result, words));
    }
    let answers = join_all(items.iter().map(|item| one(errand, request, seen, Some(item)))).await;
    let mut list = Vec::with_capacity(items.len());
    for (item, answer) in items.iter().zip(answers) {
        match answer {
            Ok(answer) => list.push(json!({"of": item, "answer": answer})),
            // A refusal of one; a gateway that does not answer, say, is a fault of all.
            Err(failure) if request.skip_errors && failure.code != FailureCode::Timeout => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Value::Array(list))
}

async fn one(
    errand: Errand<'_>,
    request: &RecipeRequest,
    seen: &Seen,
    each: Option<&Value>,
) -> Result<Value, Failure> {
    let mut headers = usual_headers();
    for (name, value) in &request.headers {
        headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        headers.push((name.clone(), seen.text(Form::Plain, value, each)?));
    }
    let bytes = match &request.body {
        Some(template) => {
            let text = seen.text(Form::Json, template, each)?;
            let value: Value = serde_json::from_str(&text)
                .map_err(|error| fault(format!("the body of {} is not JSON: {error}", request.name)))?;
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                headers.push(("Content-Type".into(), "application/json".into()));
            }
            body::bounded(value.to_string().into_bytes())?
        }
        None => bytes::Bytes::new(),
    };
    // A long address may be written on several lines.
    let url: String = seen.text(Form::Url, &request.url, each)?.lines().map(str::trim).collect();
    fetch(errand, Ask { method: request.method.clone(), url, headers, body: bytes })
        .await?
        .good(errand.spoke.app.as_str())
}

/// What templates see.
struct Seen {
    environment: Environment<'static>,
    values: BTreeMap<String, Value>,
}

/// What a template becomes.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Url,
    Plain,
}

impl Form {
    /// By which the environment knows how to escape.
    fn name(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Url => "url",
            Form::Plain => "plain",
        }
    }
}

impl Seen {
    fn text(&self, form: Form, template: &str, each: Option<&Value>) -> Result<String, Failure> {
        let context = match each {
            Some(each) => {
                let mut with = self.values.clone();
                with.insert("each".into(), each.clone());
                minijinja::Value::from(Serde(with))
            }
            None => minijinja::Value::from(Serde(&self.values)),
        };
        self.environment
            .render_named_str(form.name(), template, context)
            .map_err(|error| template_fault(&error))
    }

    fn expression(&self, text: &str) -> Result<minijinja::Value, Failure> {
        let context = minijinja::Value::from(Serde(&self.values));
        let compiled = self.environment.compile_expression(text).map_err(|error| template_fault(&error))?;
        compiled.eval(context).map_err(|error| template_fault(&error))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|form| match form {
        "json" => AutoEscape::Json,
        "url" => AutoEscape::Custom("url".into()),
        _ => AutoEscape::None,
    });
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::Custom(_) => out.write_str(&in_address(value)?).map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    });
    filters::add(&mut environment);
    environment
}

/// A value as a part of an address.
fn in_address(value: &minijinja::Value) -> Result<String, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(String::new());
    }
    let text = value.to_string();
    if value.is_safe() {
        return Ok(text);
    }
    // As a segment it would lead to another path, however it is encoded.
    if matches!(text.as_str(), "." | "..") {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("{text:?} cannot be a part of the address"),
        ));
    }
    Ok(fill::encoded(&text))
}

fn template_fault(error: &Error) -> Failure {
    fault(match error.line() {
        Some(line) => format!("{error}, line {line}"),
        None => error.to_string(),
    })
}

fn fault(what: impl AsRef<str>) -> Failure {
    Failure::new(
        FailureCode::Result,
        format!("the recipe in the app's manifest failed: {}", cut(what.as_ref(), 500)),
    )
}

#[cfg(test)]
mod tests;
