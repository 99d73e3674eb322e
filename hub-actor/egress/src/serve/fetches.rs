//! One fetch of a spoke, from its request to the last chunk.
//!
//! Answers: what is recorded, attached and sent back, and in which order?
//! Never: sends beyond the window; records a path, a header or a body.
//! Carries: I-08, I-15, I-16.

use std::sync::Mutex;

use bus::envelope::Incoming;
use bus::id::{SpokeAddr, UserId};
use bus::message::audit::WebOutcome;
use bus::message::egress::{FetchReply, FetchRequest, WebFailure};
use bus::secret::Secret;
use futures_util::future::BoxFuture;

use super::flow::{Sent, room};
use super::{Gateway, Place, Subjected};
use crate::app_rules::AppRules;
use crate::credential::Freshness;
use crate::fetch::{Answer, Ask, Attached, Hop};
use crate::url_rule::Permitted;

/// Where a request has come, for the audit of how it ended.
#[derive(Clone, Default)]
struct Trail {
    host: String,
    port: u16,
    attached: Option<Attached>,
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
        // What was asked goes into the trail as far as it is understood.
        let ask = Ask::read(said.spoke.app.clone(), request, |url| {
            let mut trail = lock(trail);
            trail.host = url.host_str().unwrap_or_default().chars().take(253).collect();
            trail.port = url.port_or_known_default().unwrap_or_default();
        })?;
        // The same rules for the whole request, redirects included.
        let book = self.0.shelf.book();
        let app = book.of(&said.spoke.app);
        let user = self.user_of(&said.spoke);
        let first = self.once(said, user.as_ref(), app, &ask, &Freshness::Usual, trail).await?;
        let refused = match &lock(trail).attached {
            Some(attached) if first.status == 401 => attached.renewable().cloned(),
            _ => None,
        };
        match refused {
            None => Ok(first),
            Some(refused) => {
                drop(first);
                self.once(said, user.as_ref(), app, &ask, &Freshness::Refused(refused), trail).await
            }
        }
    }

    async fn once(
        &self,
        said: &Subjected,
        user: Option<&UserId>,
        app: &AppRules,
        ask: &Ask,
        freshness: &Freshness,
        trail: &Mutex<Trail>,
    ) -> Result<Answer, WebFailure> {
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
        self.0.web.fetch(&app.rules, ask.clone(), &gate).await
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
            room(&mut place.said, &mut sent, bytes.len(), self.0.web.limits().idle).await?;
            total += bytes.len() as u64;
            let seq = sent.add(bytes.len());
            bus.respond(incoming, &FetchReply::Chunk { seq, bytes }).await;
        }
        bus.respond(incoming, &FetchReply::End { bytes: total }).await;
        Ok(total)
    }
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
