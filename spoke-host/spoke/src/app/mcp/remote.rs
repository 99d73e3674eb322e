//! An MCP server on the web: the protocol's streamable HTTP, carried by the egress gateway.
//!
//! Answers: how does a message get to the server, and what comes back?
//! Never: connects; carries a token (the gateway adds it); holds more of an answer than one bounded message; keeps a
//! connection open that no call waits for.
//! Carries: I-12, I-16.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::id::WorkId;
use bus::message::egress::{FetchRequest, WebError, WebFailure};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use http::{HeaderName, HeaderValue};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
    StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

use crate::job::cut;
use crate::web::{self, Ask, Body, Web};

/// The largest message, bytes: as over a pipe.
const MAX_MESSAGE: usize = 1 << 20;

/// Longest words of a server that refuses, bytes.
const MAX_WORDS: usize = 300;

const SESSION: &str = "mcp-session-id";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Has a request carried to the web, by the gateway's rules, and the answer back.
pub type Fetch = Arc<dyn Fn(FetchRequest) -> BoxFuture<'static, Result<Fetched, WebFailure>> + Send + Sync>;

/// What a server answered. Whoever drops it has no more interest in the rest.
pub struct Fetched {
    /// As the server said.
    pub status: u16,
    /// As the gateway hands them on.
    pub headers: Vec<(String, String)>,
    /// Piece by piece, at the pace at which they are taken.
    pub body: BoxStream<'static, Result<Bytes, WebFailure>>,
}

/// Those who carry as an HTTP client.
#[derive(Clone)]
pub(super) struct Through {
    fetch: Fetch,
    /// For one request with its answer.
    limit: Duration,
}

pub(super) type Refused = StreamableHttpError<WebFailure>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// The transport to a server at this address; `limit` is for each request.
pub(super) fn transport(fetch: Fetch, url: &str, limit: Duration) -> StreamableHttpClientTransport<Through> {
    let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned());
    StreamableHttpClientTransport::with_client(Through { fetch, limit }, config)
}

/// The egress gateway, over the bus.
pub(super) fn by_gateway(web: Web) -> Fetch {
    Arc::new(move |request: FetchRequest| {
        let web = web.clone();
        Box::pin(async move {
            let limit = Duration::from_millis(request.limit_ms);
            let FetchRequest { method, url, headers, body, .. } = request;
            let answer = web.fetch(None, Ask { method, url, headers, body }, limit).await?;
            let (status, headers) = (answer.status, answer.headers().to_vec());
            Ok(Fetched { status, headers, body: answer.pieces() })
        })
    })
}

impl Fetched {
    /// The first header of this name, however it is written.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        web::header(&self.headers, name)
    }

    /// The body, up to `most` bytes of it. What is beyond is not waited for.
    ///
    /// # Errors
    /// If it breaks off before.
    pub async fn whole(self, most: usize) -> Result<Body, WebFailure> {
        web::whole(self.body, most).await
    }
}

impl Through {
    async fn send(
        &self,
        method: &str,
        url: &str,
        session: Option<&str>,
        more: &HashMap<HeaderName, HeaderValue>,
        mut headers: Vec<(String, String)>,
        body: Bytes,
    ) -> Result<Fetched, Refused> {
        headers.extend(session.map(|session| (SESSION.to_owned(), session.to_owned())));
        let more = more
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        headers.extend(more);
        let request = FetchRequest {
            id: WorkId::fresh(),
            task: None,
            method: method.to_owned(),
            url: url.to_owned(),
            headers,
            body,
            limit_ms: u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
        };
        (self.fetch)(request).await.map_err(StreamableHttpError::Client)
    }
}

impl StreamableHttpClient for Through {
    type Error = WebFailure;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _token: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Refused> {
        let headers = vec![
            ("content-type".to_owned(), JSON.to_owned()),
            ("accept".to_owned(), format!("{JSON}, {EVENTS}")),
        ];
        let body = Bytes::from(serde_json::to_vec(&message)?);
        let session = session_id.as_deref();
        let answer = self.send("POST", &uri, session, &custom_headers, headers, body).await?;
        let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
        let new_session = answer.header(SESSION).map(str::to_owned);
        let waits = matches!(message, ClientJsonRpcMessage::Request(_));
        match answer.status {
            202 | 204 => Ok(StreamableHttpPostResponse::Accepted),
            404 if session.is_some() => Err(StreamableHttpError::SessionExpired),
            200..=299 if kind.starts_with(EVENTS) => {
                Ok(StreamableHttpPostResponse::Sse(events(answer), new_session))
            }
            200..=299 if !waits => Ok(StreamableHttpPostResponse::Accepted),
            200..=299 => Ok(StreamableHttpPostResponse::Json(read(answer).await?, new_session)),
            // Some servers say with a status what they also say in the protocol.
            _ if kind.starts_with(JSON) && waits => {
                let status = answer.status;
                match read(answer).await {
                    Ok(error @ ServerJsonRpcMessage::Error(_)) => {
                        Ok(StreamableHttpPostResponse::Json(error, new_session))
                    }
                    _ => Err(refused(status, "")),
                }
            }
            status => {
                let words = answer.whole(MAX_WORDS).await.map_err(StreamableHttpError::Client)?;
                Err(refused(status, &String::from_utf8_lossy(&words.bytes)))
            }
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _token: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Refused> {
        self.send("DELETE", &uri, Some(&session_id), &custom_headers, Vec::new(), Bytes::new())
            .await
            .map(drop)
    }

    /// Only to go on with an answer that broke off. A standing connection for news is not kept: what the server offers
    /// is looked at anew instead.
    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _token: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Refused> {
        let Some(last) = last_event_id else { return Err(StreamableHttpError::ServerDoesNotSupportSse) };
        let headers = vec![("accept".to_owned(), EVENTS.to_owned()), ("last-event-id".to_owned(), last)];
        let session = session_id.as_deref();
        let answer = self.send("GET", &uri, session, &custom_headers, headers, Bytes::new()).await?;
        match answer.status {
            200..=299 => Ok(events(answer)),
            404 if session.is_some() => Err(StreamableHttpError::SessionExpired),
            status => Err(refused(status, "")),
        }
    }
}

/// Why a server does not answer, and what to do about it.
fn refused(status: u16, words: &str) -> Refused {
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut said = format!("it answered with HTTP status {status}");
    if !words.trim().is_empty() {
        said = format!("{said}: {}", cut(words.trim(), MAX_WORDS));
    }
    if matches!(status, 401 | 403) {
        said.push_str("; if it wants a sign-in, name it under [credentials] in the app's manifest, and run `secgpt apps authorize`");
    }
    StreamableHttpError::UnexpectedServerResponse(said.into())
}

/// One message.
async fn read(answer: Fetched) -> Result<ServerJsonRpcMessage, Refused> {
    let body = answer.whole(MAX_MESSAGE).await.map_err(StreamableHttpError::Client)?;
    if body.cut {
        return Err(StreamableHttpError::ResponseBodyTooLarge { max_size: MAX_MESSAGE });
    }
    serde_json::from_slice(&body.bytes).map_err(StreamableHttpError::Deserialize)
}

/// The server's events, each of bounded size.
fn events(answer: Fetched) -> Events {
    let pieces = unfold((answer.body, 0_usize, false), |(mut body, mut held, over)| async move {
        if over {
            return None;
        }
        match body.next().await? {
            Ok(bytes) => {
                held = held_after(held, &bytes);
                let piece = if MAX_MESSAGE < held {
                    Err(WebFailure::new(
                        WebError::TooLarge,
                        format!("the server sent an event of more than {MAX_MESSAGE} bytes"),
                    ))
                } else {
                    Ok(bytes)
                };
                let over = piece.is_err();
                Some((piece, (body, held, over)))
            }
            Err(failure) => Some((Err(failure), (body, held, true))),
        }
    });
    SseStream::from_bytes_stream(Box::pin(pieces)).boxed()
}

/// How much of an event that has not ended is held, after these bytes. An empty line ends one.
fn held_after(held: usize, bytes: &[u8]) -> usize {
    let ends = |window: &[u8]| window == b"\n\n" || window == b"\r\r" || window == b"\n\r";
    match bytes.windows(2).rposition(ends) {
        Some(at) => bytes.len().saturating_sub(at),
        None => held.saturating_add(bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_measured_from_the_last_empty_line() {
        assert_eq!(held_after(10, b"data: x"), 17);
        assert_eq!(held_after(10, b"data: x\n\n"), 2);
        assert_eq!(held_after(10, b"data: x\r\n\r\ndata"), 7);
    }

    #[test]
    fn a_server_that_wants_a_sign_in_is_said_to() {
        let said = |status| refused(status, "no\x1b token").to_string();
        assert!(said(401).contains("status 401: no  token") && said(401).contains("secgpt apps authorize"));
        assert!(!said(500).contains("authorize"));
    }
}
