//! An answer, read within its limits.
//!
//! Answers: what comes next of the body?
//! Never: holds more of it than one piece; passes a credential on that the server sent back.
//! Carries: I-15, I-16.

use std::error::Error;

use bus::message::egress::{BODY_CHUNK, WebError, WebFailure};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use crate::header;
use crate::limit::Limits;
use crate::redact::Blanker;
use crate::url_rule::{Permitted, Target};

/// The head of an answer, and its body to be read.
pub struct Answer {
    /// As the server said.
    pub status: u16,
    /// Where it came from.
    pub permitted: Permitted,
    /// Without those that an app does not get to see.
    pub headers: Vec<(String, String)>,
    /// The rest.
    pub body: Body,
}

/// A body under way.
pub struct Body {
    response: reqwest::Response,
    host: Target,
    blanker: Blanker,
    deadline: Instant,
    limits: Limits,
    /// A stream of events may be silent for as long as the whole may take.
    patient: bool,
    taken: u64,
    left: Bytes,
    /// The server sends no more.
    over: bool,
    /// And what was held back is out too.
    ended: bool,
}

/// Pieces up to this size take others along that are there already, bytes.
const SMALL: usize = GATHERED / 4;

/// Until they are this large together, bytes: to gather costs a copy, so what is large already goes on as it came.
const GATHERED: usize = 64 << 10;

impl Answer {
    pub(super) fn new(
        response: reqwest::Response,
        permitted: Permitted,
        blanker: Blanker,
        deadline: Instant,
        limits: Limits,
    ) -> Result<Self, WebFailure> {
        let size: usize =
            response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if limits.head_bytes < size {
            return Err(too_large(format!(
                "the answer's headers are larger than {} bytes",
                limits.head_bytes
            )));
        }
        let patient = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let headers = header::of_answer(response.headers())
            .into_iter()
            .map(|(name, value)| (name, blanker.text(&value)))
            .collect();
        Ok(Self {
            status: response.status().as_u16(),
            headers,
            body: Body {
                response,
                host: permitted.host.clone(),
                blanker,
                deadline,
                limits,
                patient,
                taken: 0,
                left: Bytes::new(),
                over: false,
                ended: false,
            },
            permitted,
        })
    }
}

impl Body {
    /// The next piece, of at most [`BODY_CHUNK`] bytes; `None` when it is complete.
    ///
    /// # Errors
    /// If it breaks off, is too slow or too large.
    pub async fn next(&mut self) -> Result<Option<Bytes>, WebFailure> {
        loop {
            if !self.left.is_empty() {
                return Ok(Some(self.left.split_to(BODY_CHUNK.min(self.left.len()))));
            }
            if self.ended {
                return Ok(None);
            }
            if self.over {
                self.ended = true;
                self.left = self.blanker.rest();
                continue;
            }
            let idle = Instant::now() + self.limits.idle;
            let by = if self.patient { self.deadline } else { self.deadline.min(idle) };
            let piece = timeout_at(by, self.response.chunk())
                .await
                .map_err(|_| {
                    WebFailure::new(WebError::Timeout, format!("{} did not send the rest in time", self.host))
                })?
                .map_err(|error| of_error(&error, &self.host))?;
            match piece {
                None => self.over = true,
                Some(piece) => {
                    let piece = self.with_what_is_there(piece)?;
                    self.left = self.blanker.next(piece);
                }
            }
        }
    }

    /// Adds what has come already: a server that sends a byte at a time must not cause a message for each.
    fn with_what_is_there(&mut self, piece: Bytes) -> Result<Bytes, WebFailure> {
        self.count(&piece)?;
        if SMALL < piece.len() {
            return Ok(piece);
        }
        let mut all = BytesMut::from(piece);
        while all.len() < GATHERED {
            match self.response.chunk().now_or_never() {
                None => break,
                Some(Err(error)) => return Err(of_error(&error, &self.host)),
                Some(Ok(None)) => {
                    self.over = true;
                    break;
                }
                Some(Ok(Some(piece))) => {
                    self.count(&piece)?;
                    all.extend_from_slice(&piece);
                }
            }
        }
        Ok(all.freeze())
    }

    fn count(&mut self, piece: &Bytes) -> Result<(), WebFailure> {
        self.taken = self.taken.saturating_add(piece.len() as u64);
        let limit = self.limits.body_bytes;
        match self.taken <= limit {
            true => Ok(()),
            false => Err(too_large(format!("the answer is larger than {limit} bytes, decompressed"))),
        }
    }

    /// All of it, if it is not larger than that.
    ///
    /// # Errors
    /// As [`Body::next`], and if it is larger.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>, WebFailure> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if most < whole.len() + piece.len() {
                return Err(too_large(format!("the answer is larger than {most} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

fn too_large(detail: String) -> WebFailure {
    WebFailure::new(WebError::TooLarge, detail)
}

/// What the client says, sorted. Its own text may hold the URL, so it goes to the log without, and not to the app.
pub(super) fn of_error(error: &reqwest::Error, host: &Target) -> WebFailure {
    let tls = error.source().and_then(tls_error);
    let (code, detail) = if let Some(tls) = tls {
        (WebError::Tls, format!("no TLS with {host}: {tls}"))
    } else if error.is_timeout() {
        (WebError::Timeout, format!("{host} did not answer in time"))
    } else if error.is_connect() {
        (WebError::Connect, format!("no connection to {host}"))
    } else if error.is_decode() || error.is_body() {
        (WebError::Cut, format!("the answer of {host} broke off, or is not compressed as it says"))
    } else {
        (WebError::Nonsense, format!("{host} ended the connection, or does not speak HTTP"))
    };
    tracing::debug!(%host, ?code, cause = ?error.source(), "failed");
    WebFailure::new(code, detail)
}

/// The TLS error among the causes. It may sit inside an input-output error, which does not name it as its source.
fn tls_error(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(found) = cause.downcast_ref::<rustls::Error>() {
        return Some(found.to_string());
    }
    let inside = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.and_then(|inside| tls_error(inside)).or_else(|| tls_error(cause.source()?))
}
