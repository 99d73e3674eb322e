//! A functionality of a web API.
//!
//! Answers: what does the API say to these arguments?
//! Never: decides where the app may go; knows a credential; asks again after a refusal.
//! Carries: I-12, I-15, I-16.
//!
//! Where a request may go is the gateway's to check, and what may be said the hub's. What this side adds is that
//! an argument stays where the description put it: a value in a path cannot become another path, one in a query no second
//! parameter, one in a header no second header.

mod answer;
mod body;
mod fill;
mod recipe;

use std::time::Instant;

use bus::id::{SpokeAddr, WorkId};
use bus::limits::MAX_RESULT;
use bus::message::operation::{Endpoint, Operation, Place};
use bus::message::task::{Failure, FailureCode};
use serde_json::{Map, Value};

use crate::web::{self, Ask, Web};

/// The largest answer that is read, bytes: JSON with its blanks may be longer than the value, and a recipe keeps a part.
const MAX_ANSWER: usize = 4 * MAX_RESULT;

/// In whose name requests are made, and until when.
#[derive(Clone, Copy)]
pub(crate) struct Errand<'a> {
    pub(crate) web: &'a Web,
    pub(crate) spoke: &'a SpokeAddr,
    pub(crate) task: Option<&'a WorkId>,
    pub(crate) until: Instant,
}

/// Calls a functionality.
pub(crate) async fn call(errand: Errand<'_>, operation: &Operation, args: &Value) -> Result<Value, Failure> {
    let nothing = Map::new();
    let args = args.as_object().unwrap_or(&nothing);
    match operation {
        Operation::Endpoint(endpoint) => {
            let answer = fetch(errand, ask(endpoint, args)?).await?;
            let next = answer.next.clone();
            let value = answer.good(errand.spoke.app.as_str())?;
            Ok(if endpoint.paged { paged(value, next) } else { value })
        }
        Operation::Recipe(recipe) => recipe::run(errand, recipe, args).await,
    }
}

/// A list that comes in pages, which a header tells of: what is left shall not look like the whole.
fn paged(value: Value, next: Option<String>) -> Value {
    let mut fields = Map::new();
    fields.insert("items".into(), value);
    fields.insert("next".into(), next.map_or(Value::Null, Value::String));
    Value::Object(fields)
}

/// The request that the arguments make of an operation.
fn ask(endpoint: &Endpoint, args: &Map<String, Value>) -> Result<Ask, Failure> {
    let mut url = endpoint.url.clone();
    let (mut query, mut headers) = (Vec::new(), usual_headers());
    for parameter in &endpoint.parameters {
        let value = args.get(&parameter.argument).filter(|value| !value.is_null());
        match (parameter.place, value) {
            (Place::Path, value) => {
                let text = fill::path(parameter, value.unwrap_or(&Value::Null));
                url = url.replace(&format!("{{{}}}", parameter.name), &text);
            }
            (Place::Query, Some(value)) => query.extend(fill::query(parameter, value)),
            (Place::Header, Some(value)) => {
                headers.push((parameter.name.clone(), fill::header(parameter, value)))
            }
            (_, None) => {}
        }
    }
    fill::checked(&endpoint.url, &url)?;
    if !query.is_empty() {
        url = format!("{url}?{}", query.join("&"));
    }
    let body = match &endpoint.body {
        Some(body) => body::bytes(body, args)?,
        None => None,
    };
    let bytes = body.map(|(media_type, bytes)| {
        headers.push(("Content-Type".into(), media_type));
        bytes
    });
    Ok(Ask { method: endpoint.method.clone(), url, headers, body: bytes.unwrap_or_default() })
}

fn usual_headers() -> Vec<(String, String)> {
    vec![
        ("Accept".into(), "application/json, */*;q=0.5".into()),
        // Some APIs answer nobody who does not say what they are.
        ("User-Agent".into(), "secgpt".into()),
    ]
}

/// Asks, and reads the answer, whatever its status.
async fn fetch(errand: Errand<'_>, ask: Ask) -> Result<answer::Whole, Failure> {
    let failed = |failure| web::failure(errand.spoke, &failure);
    let left = errand.until.saturating_duration_since(Instant::now());
    let answer = errand.web.fetch(errand.task, ask, left).await.map_err(failed)?;
    answer::Whole::read(answer).await.map_err(failed)
}

fn wrong(what: impl Into<String>) -> Failure {
    Failure::new(FailureCode::Arguments, what)
}

#[cfg(test)]
mod tests;
