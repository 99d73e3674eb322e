//! The HTTP side: the OpenAI paths that the system uses, and a few of our own for tests.
//!
//! Answers: `GET /v1/models`, `POST /v1/chat/completions`; `GET /stats`, `GET /requests`, `POST /stats/reset`,
//! `POST /faults`, `DELETE /faults`.
//! Never: answers a request without the key, if there is one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, RawQuery, Request as HttpRequest, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::{Fault, FaultKind, Faults};
use super::reply::{self, Reply};
use super::script::Script;
use super::stats::Stats;
use super::view::{Request, View};
use super::{MODEL_ID, ModelConfig};

/// All that the handlers share.
#[derive(Debug)]
pub struct Server {
    script: Script,
    delay: Duration,
    key: Option<String>,
    faults: Faults,
    stats: Stats,
}

impl Server {
    /// With nothing asked yet.
    pub fn new(script: Script, config: ModelConfig) -> Server {
        let faults = Faults::new(config.faults);
        Server { script, delay: config.delay, key: config.key, faults, stats: Stats::default() }
    }
}

/// A long conversation with large tool results is a few megabytes.
const MAX_BODY: usize = 16 << 20;

/// The paths.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(complete))
        .route("/stats", get(stats))
        .route("/stats/reset", post(reset))
        .route("/requests", get(requests))
        .route("/faults", post(add_fault).delete(clear_faults))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&server), check_key))
        .with_state(server)
}

async fn check_key(State(server): State<Arc<Server>>, request: HttpRequest, next: Next) -> Response {
    if let Some(key) = &server.key {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given.and_then(|value| value.strip_prefix("Bearer ")) != Some(key) {
            return failure(StatusCode::UNAUTHORIZED, "invalid_api_key", "the key is not accepted");
        }
    }
    next.run(request).await
}

async fn models() -> Json<Value> {
    Json(json!({ "object": "list", "data": [{
        "id": MODEL_ID, "object": "model", "created": 0, "owned_by": "secgpt",
        "description": "Rules over the request, no language model. Obeys whatever stands in its context.",
    }] }))
}

async fn stats(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(server.stats.counts())
}

async fn reset(State(server): State<Arc<Server>>) {
    server.stats.reset();
}

async fn requests(State(server): State<Arc<Server>>, RawQuery(query): RawQuery) -> Json<Value> {
    let kind = query.as_deref().and_then(|query| query.strip_prefix("kind="));
    Json(server.stats.last(kind))
}

async fn add_fault(State(server): State<Arc<Server>>, Json(fault): Json<Fault>) {
    server.faults.add(fault);
}

async fn clear_faults(State(server): State<Arc<Server>>) {
    server.faults.clear();
}

async fn complete(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    let parsed = serde_json::from_slice::<Value>(&body)
        .and_then(|body| Request::deserialize(&body).map(|request| (body, request)));
    let (body, request) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return failure(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                &format!("not a chat request: {error}"),
            );
        }
    };
    let question = server.script.read(View::of(&request));
    let fault = server.faults.take(&question.kind);
    if !server.delay.is_zero() {
        tokio::time::sleep(server.delay).await;
    }
    let size = question.view.size();
    if let Some(fault) = fault {
        server.stats.failed();
        return match broken(&fault).await {
            Some(response) => response,
            None => cut(&server.script.reply(&question).reply, size),
        };
    }
    let chosen = server.script.reply(&question);
    let usage = reply::usage(&chosen.reply, size);
    tracing::debug!(kind = question.kind, rule = chosen.rule, "answered");
    server.stats.answered(&question.kind, &chosen.rule, body, &usage);
    if !request.stream {
        return Json(reply::body(&chosen.reply, size)).into_response();
    }
    let with_usage = request.stream_options.get("include_usage").and_then(Value::as_bool).unwrap_or_default();
    let mut lines: Vec<String> = reply::stream(&chosen.reply, size, with_usage)
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    lines.push("data: [DONE]\n\n".to_owned());
    event_stream(Body::from_stream(stream::iter(lines.into_iter().map(Ok::<_, Infallible>))))
}

/// The answer that a fault gives; none for a cut, which begins like a good one.
async fn broken(fault: &Fault) -> Option<Response> {
    match fault.kind {
        FaultKind::Busy => {
            let mut response =
                failure(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "too many requests");
            response.headers_mut().insert(header::RETRY_AFTER, fault.retry_after_s.into());
            Some(response)
        }
        FaultKind::Error => {
            Some(failure(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "something broke, on demand"))
        }
        // Until the client gives up: then this future is dropped.
        FaultKind::Hang => std::future::pending().await,
        FaultKind::NotJson => {
            Some(([(header::CONTENT_TYPE, "application/json")], "<html>this is not JSON").into_response())
        }
        FaultKind::Cut => None,
    }
}

/// Half of a stream, and then the connection breaks.
fn cut(reply: &Reply, context: usize) -> Response {
    let events = reply::stream(reply, context, false);
    let half = events.len().div_ceil(2);
    let pieces: Vec<String> = events.iter().take(half).map(|event| format!("data: {event}\n\n")).collect();
    let broken = stream::once(async {
        // What was written so far has to leave first: a break at once would take it along.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("cut, on demand"))
    });
    event_stream(Body::from_stream(stream::iter(pieces.into_iter().map(Ok)).chain(broken)))
}

fn event_stream(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// An error as OpenAI's server writes it.
fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": code, "param": null, "code": code } });
    (status, Json(error)).into_response()
}
