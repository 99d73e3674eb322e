//! A server of the OpenAI protocol that does what a test tells it, faults included.
//!
//! Answers: how does our side behave when the model's server does this?
//! Never: understands what it is asked; the scripted model does that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures_util::StreamExt;
use serde_json::{Value, json};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Says these words, as one answer or as a stream of words, whichever is asked for.
    Words(String),
    /// Sends this JSON object.
    Json(Value),
    /// Sends these JSON objects as a stream, and then says that it is done.
    Stream(Vec<Value>),
    /// Sends these JSON objects as a stream, and then breaks the connection.
    Cut(Vec<Value>),
    /// Sends this text with a status.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Does not answer.
    Hang,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
    /// When.
    pub at: std::time::Instant,
}

/// The server. It ends with the test's runtime.
pub struct ModelServer {
    /// With the `/v1`.
    pub base_url: String,
    state: Shared,
}

type Shared = Arc<Mutex<Told>>;

#[derive(Default)]
struct Told {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
}

impl ModelServer {
    /// Starts one on a free loopback port. Told nothing, it says "hello".
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start() -> Self {
        let state = Shared::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base_url, state }
    }

    /// Tells it what to do with the next requests, one each.
    pub fn tell(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    /// What it was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }
}

/// A piece of a stream.
#[must_use]
pub fn delta(delta: &Value) -> Value {
    json!({"object": "chat.completion.chunk", "model": "m-told", "choices": [{"index": 0, "delta": delta}]})
}

/// The last piece of a stream.
#[must_use]
pub fn finish(reason: &str) -> Value {
    json!({"model": "m-told", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

async fn answer(
    State(state): State<Shared>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let streamed = body["stream"] == true;
    let told = {
        let mut state = state.lock().unwrap();
        let at = std::time::Instant::now();
        state.seen.push(Seen { path: uri.path().to_owned(), headers, body, at });
        state.answers.pop_front().unwrap_or_else(|| Answer::Words("hello".into()))
    };
    match told {
        Answer::Words(words) if streamed => {
            let pieces = words.split_inclusive(' ').map(|word| delta(&json!({"content": word})));
            let usage = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}});
            stream(pieces.chain([finish("stop"), usage]).collect(), false)
        }
        Answer::Words(words) => json_response(&json!({
            "id": "x", "object": "chat.completion", "created": 0, "model": "m-told",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": words}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
        })),
        Answer::Json(value) => json_response(&value),
        Answer::Stream(pieces) => stream(pieces, false),
        Answer::Cut(pieces) => stream(pieces, true),
        Answer::Status(status, headers, text) => {
            let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(text.into()).unwrap()
        }
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Response::new(Body::empty())
        }
    }
}

fn json_response(value: &Value) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(value.to_string().into())
        .unwrap()
}

fn stream(pieces: Vec<Value>, cut: bool) -> Response<Body> {
    let mut events: Vec<Result<Bytes, std::io::Error>> =
        pieces.iter().map(|piece| Ok(format!("data: {piece}\n\n").into())).collect();
    // An error in the body makes the server close the connection before the body's end.
    events.push(if cut { Err(std::io::Error::other("cut")) } else { Ok("data: [DONE]\n\n".into()) });
    let events = futures_util::stream::iter(events).then(|event| async move {
        // Each piece travels by itself, as it would from a model that thinks.
        tokio::time::sleep(Duration::from_millis(2)).await;
        event
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .body(Body::from_stream(events))
        .unwrap()
}
