//! One fetch of a spoke, from its request to the last chunk.
//!
//! Answers: what is recorded, attached and sent back, and in which order?
//! Never: sends beyond the window; records a path, a header or a body.
//! Carries: I-08, I-15, I-16.

use std::sync::Mutex;
use std::time::Duration;

use bus::envelope::Incoming;
use bus::id::{SpokeAddr, UserId};
use bus::message::audit::WebOutcome;
use bus::message::egress::{FetchReply, FetchRequest, MAX_REQUEST_BODY, WebError, WebFailure};
use bus::secret::Secret;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::flow::Sent;
use super::{Gateway, Place, Subjected};
use crate::app_rules::AppRules;
use crate::credential::Freshness;
use crate::fetch::{self, Answer, Ask, Attached, Hop};
use crate::header;
use crate::url_rule::{self, Permitted};

/// Where a request has come, for the audit of how it ended.
#[derive(Clone, Default)]
struct Trail {
    host: String,
    port: u16,
    attached: Option<Attached>,
}

/// The parts of a request that can be read without rules.
struct Read {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    limit: Duration,
}

impl Gateway {
    pub(super) async fn run_fetch(
        &self,
        spoke: &SpokeAddr,
        request: FetchRequest,
        incoming: &Incoming,
        mut place: Place,
    ) -> Result<(), WebFailure> {
        let said = Subjected {
            spoke: spoke.clone(),
            task: request.task.clone(),
            // Cut: it is recorded even if it is no method.
            method: request.method.chars().take(20).collect(),
        };
        let sent = request.body.len() as u64;
        let trail = Mutex::new(Trail::default());
        let stopped = place.stopped();
        let answer = tokio::select! {
            answer = self.answer(&said, request, &trail) => answer,
            failure = stopped => Err(failure),
        };
        let result = match answer {
            Ok(answer) => {
                let status = answer.status;
                self.pass_on(answer, incoming, &mut place).await.map(|received| (status, received))
            }
            Err(failure) => Err(failure),
        };
        let trail = trail.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let record = match &result {
            Ok((status, received)) => {
                let outcome = WebOutcome::Answered { status: *status, sent, received: *received };
                said.record(trail.host, trail.port, trail.attached.map(|attached| attached.name), outcome)
            }
            Err(failure) => said.failed(trail.host, trail.port, failure),
        };
        self.record(spoke, said.task.as_ref(), record).await?;
        result.map(|_| ())
    }

    /// The head of the answer. A token that the server refuses is renewed once.
    async fn answer(
        &self,
        said: &Subjected,
        request: FetchRequest,
        trail: &Mutex<Trail>,
    ) -> Result<Answer, WebFailure> {
        let read = read(request, trail)?;
        let app = self.0.book.of(&said.spoke.app);
        let user = self.user_of(&said.spoke);
        let first = self.once(said, user.as_ref(), app, &read, &Freshness::Usual, trail).await?;
        let refused = match &lock(trail).attached {
            Some(attached) if first.status == 401 => attached.renewable().cloned(),
            _ => None,
        };
        match refused {
            None => Ok(first),
            Some(refused) => {
                drop(first);
                self.once(said, user.as_ref(), app, &read, &Freshness::Refused(refused), trail).await
            }
        }
    }

    async fn once(
        &self,
        said: &Subjected,
        user: Option<&UserId>,
        app: &AppRules,
        read: &Read,
        freshness: &Freshness,
        trail: &Mutex<Trail>,
    ) -> Result<Answer, WebFailure> {
        let ask = Ask {
            app: said.spoke.app.clone(),
            method: read.method.clone(),
            url: read.url.clone(),
            headers: read.headers.clone(),
            body: read.body.clone(),
            limit: read.limit,
        };
        let gate = move |permitted: Permitted, hop: Hop| -> BoxFuture<'_, _> {
            Box::pin(async move {
                *lock(trail) =
                    Trail { host: permitted.host.to_string(), port: permitted.port, attached: None };
                let attached = match hop {
                    // A redirect may have been planted; only the host that the app itself named gets the credential.
                    Hop::Other => None,
                    Hop::Own => {
                        let credentials = &self.0.credentials;
                        credentials
                            .attach(&self.0.web, &said.spoke.app, user, app, &permitted, freshness)
                            .await?
                    }
                };
                let name = attached.as_ref().map(|attached| attached.name.clone());
                let outcome = WebOutcome::Allowed { by: permitted.by.to_string() };
                let record = said.record(permitted.host.to_string(), permitted.port, name, outcome);
                self.record(&said.spoke, said.task.as_ref(), record).await?;
                lock(trail).attached.clone_from(&attached);
                Ok(attached)
            })
        };
        self.0.web.fetch(&app.rules, ask, &gate).await
    }

    /// Head, chunks and end; how many bytes there were.
    async fn pass_on(
        &self,
        answer: Answer,
        incoming: &Incoming,
        place: &mut Place,
    ) -> Result<u64, WebFailure> {
        let bus = &self.0.bus;
        let Answer { status, permitted, headers, mut body } = answer;
        bus.respond(incoming, &FetchReply::Head { status, url: permitted.url.into(), headers }).await;
        let (mut sent, mut total) = (Sent::default(), 0_u64);
        loop {
            let piece = tokio::select! {
                piece = body.next() => piece?,
                failure = place.stopped() => return Err(failure),
            };
            let Some(bytes) = piece else { break };
            place.room(&mut sent, bytes.len(), self.0.web.limits().idle).await?;
            total += bytes.len() as u64;
            let seq = sent.add(bytes.len());
            bus.respond(incoming, &FetchReply::Chunk { seq, bytes }).await;
        }
        bus.respond(incoming, &FetchReply::End { bytes: total }).await;
        Ok(total)
    }
}

/// Reads what can be read without rules; what was asked goes into the trail as far as it is understood.
fn read(request: FetchRequest, trail: &Mutex<Trail>) -> Result<Read, WebFailure> {
    let method = fetch::method(&request.method)?;
    let url = url_rule::read(&request.url).map_err(|refusal| fetch::refused(&refusal))?;
    {
        let mut trail = lock(trail);
        trail.host = url.host_str().unwrap_or_default().chars().take(253).collect();
        trail.port = url.port_or_known_default().unwrap_or_default();
    }
    let headers = header::of_request(&request.headers)?;
    if MAX_REQUEST_BODY < request.body.len() {
        let detail = format!("the body is larger than {MAX_REQUEST_BODY} bytes");
        return Err(WebFailure::new(WebError::Request, detail));
    }
    if !request.body.is_empty() && matches!(method, Method::GET | Method::HEAD) {
        return Err(WebFailure::new(WebError::Request, format!("a {method} request has no body")));
    }
    Ok(Read { method, url, headers, body: request.body, limit: Duration::from_millis(request.limit_ms) })
}

impl Attached {
    /// The token, if it is one that could be renewed.
    fn renewable(&self) -> Option<&Secret> {
        self.value.expose().strip_prefix("Bearer ")?;
        match self.words.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

fn lock(trail: &Mutex<Trail>) -> std::sync::MutexGuard<'_, Trail> {
    trail.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
