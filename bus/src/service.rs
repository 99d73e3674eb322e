//! Being a NATS micro service, so that the ordinary `nats` command line sees our processes (ADR-32).
//!
//! Answers: `$SRV.PING`, `$SRV.INFO`, `$SRV.STATS`.
//! Never: answers anywhere but in an operator's inbox; tells what was asked or answered, only how often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::datetime::DateTime;
use async_nats::service::{Info, PingResponse, Stats, endpoint};
use futures_util::StreamExt;

use crate::client::{Bus, BusError};
use crate::subject::inbox;

/// Everything that asks about services.
const QUESTIONS: &str = "$SRV.>";

/// A process that is listed as a service. Cheap to clone; answers until the connection is closed.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    name: String,
    id: String,
    about: String,
    started: DateTime,
    endpoints: Mutex<Vec<endpoint::Stats>>,
}

impl Service {
    /// Lists this process. `endpoints` are names and subjects, counted by [`Service::note`].
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn start(
        bus: &Bus,
        name: &str,
        about: &str,
        endpoints: &[(&str, &str)],
    ) -> Result<Self, BusError> {
        let counted = endpoints.iter().map(|(name, subject)| endpoint::Stats {
            name: (*name).to_owned(),
            subject: (*subject).to_owned(),
            requests: 0,
            errors: 0,
            processing_time: Duration::ZERO,
            average_processing_time: Duration::ZERO,
            last_error: None,
            data: None,
            queue_group: String::new(),
        });
        let service = Self(Arc::new(Inner {
            name: name.to_owned(),
            id: nuid::next().to_string(),
            about: about.to_owned(),
            started: async_nats::datetime::now(),
            endpoints: Mutex::new(counted.collect()),
        }));
        let client = bus.nats().clone();
        let mut questions =
            client.subscribe(QUESTIONS).await.map_err(|error| BusError::Refused(error.to_string()))?;
        let answering = service.clone();
        tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let own = |reply: &str| reply.strip_prefix(inbox::OPERATOR)?.strip_prefix('.').map(|_| ());
                let Some(reply) = question.reply.filter(|reply| own(reply).is_some()) else { continue };
                if let Some(answer) = answering.answer(&question.subject)
                    && let Err(error) = client.publish(reply, answer.into()).await
                {
                    tracing::debug!(%error, "a question about this service was not answered");
                }
            }
        });
        Ok(service)
    }

    /// Counts a request of the endpoint with that number.
    pub fn note(&self, endpoint: usize, took: Duration, error: Option<&str>) {
        let mut endpoints = self.endpoints();
        let Some(stats) = endpoints.get_mut(endpoint) else { return };
        stats.requests = stats.requests.saturating_add(1);
        stats.processing_time = stats.processing_time.saturating_add(took);
        let requests = u32::try_from(stats.requests).unwrap_or(u32::MAX);
        stats.average_processing_time = stats.processing_time.checked_div(requests).unwrap_or_default();
        if error.is_some() {
            stats.errors = stats.errors.saturating_add(1);
            // The words may name an app or a user; whoever may read those reads the audit.
        }
    }

    /// The answer to `$SRV.<verb>[.<name>[.<id>]]`, if the question is for this process.
    fn answer(&self, subject: &str) -> Option<Vec<u8>> {
        let mut tokens = subject.split('.').skip(1);
        let verb = tokens.next()?;
        let inner = &self.0;
        let for_us = tokens.next().is_none_or(|name| name == inner.name)
            && tokens.next().is_none_or(|id| id == inner.id)
            && tokens.next().is_none();
        if !for_us {
            return None;
        }
        let kind = |kind: &str| format!("io.nats.micro.v1.{kind}_response");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let answer = match verb {
            "PING" => serde_json::to_vec(&PingResponse {
                kind: kind("ping"),
                name: inner.name.clone(),
                id: inner.id.clone(),
                version,
                metadata: Default::default(),
            }),
            "INFO" => serde_json::to_vec(&Info {
                kind: kind("info"),
                name: inner.name.clone(),
                id: inner.id.clone(),
                description: inner.about.clone(),
                version,
                metadata: Default::default(),
                endpoints: self
                    .endpoints()
                    .iter()
                    .map(|stats| endpoint::Info {
                        name: stats.name.clone(),
                        subject: stats.subject.clone(),
                        queue_group: stats.queue_group.clone(),
                        metadata: Default::default(),
                    })
                    .collect(),
            }),
            "STATS" => serde_json::to_vec(&Stats {
                kind: kind("stats"),
                name: inner.name.clone(),
                id: inner.id.clone(),
                version,
                started: inner.started,
                endpoints: self.endpoints().clone(),
            }),
            _ => return None,
        };
        answer.ok()
    }

    /// Nothing panics while it holds the numbers; if something did, they would still be numbers.
    fn endpoints(&self) -> std::sync::MutexGuard<'_, Vec<endpoint::Stats>> {
        self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
