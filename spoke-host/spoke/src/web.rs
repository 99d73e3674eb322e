//! The web, as far as a spoke reaches it: by asking the egress gateway.
//!
//! Answers: what does a server say to this request?
//! Never: connects; carries a credential, which the gateway adds; holds more of an answer than was asked for; waits
//! past its limit.
//! Carries: I-12, I-16.
//!
//! [`Web::fetch`] gives the head as soon as it is there. Then [`Answer::chunk`] gives the body piece by piece, at the pace
//! at which they are taken (the gateway reads no further than a window ahead), or [`Answer::body`] a bounded whole.
//! An answer that is dropped before its end is stopped at the gateway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::client::{Answers, Bus, BusError};
use bus::id::{SpokeAddr, WorkId};
use bus::message::egress::{FetchControl, FetchReply, FetchRequest, Untold, WebError, WebFailure};
use bus::message::task::{Failure, FailureCode};
use bus::subject::{Op, Service, Subject};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, StreamExt, unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fetches at once: the gateway has room for so many of a spoke. Others wait in line, within their limits.
const AT_ONCE: usize = 16;

/// Asks the gateway. Cheap to clone; all clones share the room that the spoke has.
#[derive(Clone)]
pub(crate) struct Web {
    bus: Bus,
    addr: SpokeAddr,
    room: Arc<Semaphore>,
}

/// What is asked of a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    /// In capitals.
    pub(crate) method: String,
    /// Absolute, `https:` or `http:`.
    pub(crate) url: String,
    /// Those of the connection are the gateway's, see [`FetchRequest`].
    pub(crate) headers: Vec<(String, String)>,
    /// Empty for none.
    pub(crate) body: Bytes,
}

/// What the server said; its body is still to come.
pub(crate) struct Answer {
    /// As the server said; redirects were followed.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    stream: Stream,
}

/// A body that was read to a bound.
#[derive(Debug, PartialEq)]
pub struct Body {
    /// At most as many as were asked for.
    pub bytes: Bytes,
    /// Was there more?
    pub cut: bool,
}

impl Web {
    pub(crate) fn new(bus: Bus, addr: SpokeAddr) -> Self {
        Self { bus, addr, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Asks a server in a task's name. `limit` is for all of the answer, body included.
    pub(crate) async fn fetch(
        &self,
        task: Option<&WorkId>,
        ask: Ask,
        limit: Duration,
    ) -> Result<Answer, WebFailure> {
        let until = Instant::now() + limit;
        let room = tokio::time::timeout(limit, Arc::clone(&self.room).acquire_owned())
            .await
            .map_err(|_| late(limit))?
            .map_err(|_| late(limit))?;
        let request = FetchRequest {
            id: WorkId::fresh(),
            task: task.cloned(),
            method: ask.method,
            url: ask.url,
            headers: ask.headers,
            body: ask.body,
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        };
        let subject = Subject::SpokeOut { spoke: self.addr.clone(), service: Service::Egress, op: Op::FETCH };
        let answers =
            self.bus.request_many(&subject, &request, task).await.map_err(|error| not_asked(&error))?;
        let web = self.clone();
        let mut stream = Stream {
            web,
            id: request.id,
            answers,
            until,
            limit,
            taken: 0,
            untold: Untold::default(),
            over: false,
            _room: room,
        };
        match stream.next().await? {
            FetchReply::Head { status, headers, .. } => Ok(Answer { status, headers, stream }),
            _ => Err(stream.disorder()),
        }
    }

    async fn control(&self, control: &FetchControl) {
        let subject = Subject::SpokeOut { spoke: self.addr.clone(), service: Service::Egress, op: Op::CHUNK };
        // If it is lost, the gateway's own clocks end the fetch.
        let _ = self.bus.publish(&subject, control, None).await;
    }
}

impl Answer {
    /// The first header of this name, however it is written.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// All headers that the gateway hands on.
    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The next piece of the body; `None` after the last.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, WebFailure> {
        if self.stream.over {
            return Ok(None);
        }
        match self.stream.next().await? {
            FetchReply::Chunk { seq, bytes } if seq == self.stream.taken => {
                self.stream.took(bytes.len()).await;
                Ok(Some(bytes))
            }
            FetchReply::End { .. } => Ok(None),
            _ => Err(self.stream.disorder()),
        }
    }

    /// The body as a stream, which ends with the first failure.
    pub(crate) fn pieces(self) -> BoxStream<'static, Result<Bytes, WebFailure>> {
        let pieces = unfold(Some(self), |answer| async {
            let mut answer = answer?;
            match answer.chunk().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(answer))),
                Ok(None) => None,
                Err(failure) => Some((Err(failure), None)),
            }
        });
        pieces.boxed()
    }

    /// The body, up to `most` bytes of it.
    pub(crate) async fn body(self, most: usize) -> Result<Body, WebFailure> {
        whole(self.pieces(), most).await
    }
}

/// The first header of this name, however it is written.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A body, up to `most` bytes of it. What is beyond is not waited for.
pub(crate) async fn whole(
    mut pieces: BoxStream<'static, Result<Bytes, WebFailure>>,
    most: usize,
) -> Result<Body, WebFailure> {
    let mut all = BytesMut::new();
    while let Some(bytes) = pieces.next().await.transpose()? {
        let room = most.saturating_sub(all.len());
        all.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        if room < bytes.len() {
            return Ok(Body { bytes: all.freeze(), cut: true });
        }
    }
    Ok(Body { bytes: all.freeze(), cut: false })
}

/// What the gateway says of one fetch.
struct Stream {
    web: Web,
    id: WorkId,
    answers: Answers,
    until: Instant,
    limit: Duration,
    /// Chunks.
    taken: u32,
    untold: Untold,
    over: bool,
    _room: OwnedSemaphorePermit,
}

impl Stream {
    async fn next(&mut self) -> Result<FetchReply, WebFailure> {
        let left = self.until.saturating_duration_since(Instant::now());
        let reply = match self.answers.next(left).await {
            Ok(reply) => reply,
            Err(BusError::Timeout { .. }) => {
                return Err(late(self.limit));
            }
            Err(error) => return Err(not_asked(&error)),
        };
        if let FetchReply::End { .. } | FetchReply::Failed(_) = reply {
            self.over = true;
        }
        match reply {
            FetchReply::Failed(failure) => Err(failure),
            reply => Ok(reply),
        }
    }

    async fn took(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(1);
        if self.untold.took(bytes) {
            self.web.control(&FetchControl::Taken { id: self.id.clone(), chunks: self.taken }).await;
        }
    }

    fn disorder(&self) -> WebFailure {
        WebFailure::new(WebError::Flow, "the pieces of the answer came out of order")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (web, id) = (self.web.clone(), self.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { web.control(&FetchControl::Stop { id }).await });
        }
    }
}

fn late(limit: Duration) -> WebFailure {
    WebFailure::new(WebError::Timeout, format!("it was not there within {:.1} s", limit.as_secs_f64()))
}

fn not_asked(error: &BusError) -> WebFailure {
    match error {
        BusError::NoResponder(_) => WebFailure::new(WebError::Stopped, "the egress-gateway does not run"),
        error => WebFailure::new(WebError::Request, format!("the egress-gateway was not asked: {error}")),
    }
}

/// What a task is told when the web did not answer it: the gateway's sentence, under the app's name.
pub(crate) fn failure(spoke: &SpokeAddr, failure: &WebFailure) -> Failure {
    let code = match failure.code {
        WebError::Timeout => FailureCode::Timeout,
        WebError::Request => FailureCode::Arguments,
        _ => FailureCode::App,
    };
    Failure::new(code, format!("{} got no answer from the web: {}", spoke.app, failure.detail))
}
