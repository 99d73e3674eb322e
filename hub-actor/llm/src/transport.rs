//! The way to the model's server: attempts, until one is answered or there is no use in another.
//!
//! Answers: with what did the server answer, or why not?
//! Never: follows a redirect with the key; prints the key; waits beyond the caller's deadline.
//! Carries: I-15.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};

use crate::retry::{Outcome, pause, wish};

/// The most that is read of an answer that is an error, bytes.
const ERROR_BODY: usize = 16 << 10;

/// The most that a whole answer may say it is, bytes: the longest turn, escaped in JSON, with room for a server's
/// own fields.
const BODY: u64 = 8 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection, in spite of all attempts.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// An answer that is no success, after all attempts that were worth it.
    #[error("status {status}")]
    Status {
        /// Of HTTP.
        status: u16,
        /// The server's own words, if it said any.
        said: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The connection broke before the answer began.
    #[error("the connection broke: {0}")]
    Broke(String),
    /// The answer is larger than any turn.
    #[error("an answer of {0} bytes")]
    TooLarge(u64),
}

/// Carries the requests of one call, to one deadline. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    client: reqwest::Client,
    /// Marked as sensitive, so that `Debug` prints `Sensitive`.
    authorization: Option<HeaderValue>,
    deadline: Instant,
}

impl Transport {
    /// For one call.
    #[must_use]
    pub fn new(client: reqwest::Client, authorization: Option<HeaderValue>, deadline: Instant) -> Self {
        Self { client, authorization, deadline }
    }

    async fn carry(self, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut request = factory.build().await?;
            self.authorize(request.headers_mut());
            let (outcome, wish, failure) = match self.client.execute(request).await {
                Ok(response) if response.status().is_success() => {
                    return match response.content_length() {
                        Some(size) if BODY < size => Err(boxed(Failure::TooLarge(size))),
                        _ => Ok(response),
                    };
                }
                Ok(response) => {
                    let status = response.status().as_u16();
                    let after = response.headers().get(RETRY_AFTER);
                    let wish = after.and_then(|value| wish(value.to_str().ok()?, SystemTime::now()));
                    let said = said(response).await;
                    (Outcome::Status(status), wish, Failure::Status { status, said, attempts: attempt })
                }
                Err(error) if error.is_connect() => {
                    (Outcome::NoConnection, None, Failure::NoConnection(innermost(&error.without_url())))
                }
                // The server may have begun to work on it; once more would be paid for twice.
                Err(error) => return Err(boxed(Failure::Broke(innermost(&error.without_url())))),
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            match pause(outcome, attempt, left, wish, jitter()) {
                Some(pause) => {
                    tracing::info!(attempt, ?outcome, ?pause, "the model's server is asked again");
                    tokio::time::sleep(pause).await;
                }
                None => return Err(boxed(failure)),
            }
        }
    }

    /// The protocol's library sends an empty key where there is none; some servers refuse that.
    fn authorize(&self, headers: &mut HeaderMap) {
        headers.remove(AUTHORIZATION);
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
    }
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        Box::pin(self.clone().carry(factory))
    }
}

fn boxed(failure: Failure) -> OpenAIError {
    OpenAIError::Boxed(Box::new(failure))
}

/// The words of an error answer: the message of the protocol's error object, or the text.
async fn said(mut response: reqwest::Response) -> String {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if ERROR_BODY <= body.len() {
                break;
            }
        }
    };
    // A server that does not come to an end with its error has said enough.
    let _ = tokio::time::timeout(Duration::from_secs(2), read).await;
    let json: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").or(Some(error))?.as_str()
    });
    message.map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned)
}

/// The cause at the bottom says the most: `Connection refused`, `invalid peer certificate`.
#[must_use]
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// From 0 to 1, different each time.
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(Instant::now());
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
