//! One task while it is being done.
//!
//! Answers: for whom is this work, and how much time is left?
//! Never: outlives its deadline; whoever waits in a task's name waits no longer than [`Job::left`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bus::client::Bus;
use bus::id::{SpokeAddr, WorkId};
use bus::message::profile::Profile;
use bus::message::task::{Failure, FailureCode, Token};
use bus::subject::{Op, Service, Subject};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::schema::Schemas;
use crate::web::Web;

/// What all tasks of a spoke share.
pub(crate) struct Spoke {
    pub(crate) bus: Bus,
    pub(crate) addr: SpokeAddr,
    pub(crate) profile: Profile,
    pub(crate) schemas: Schemas,
    pub(crate) app: Option<App>,
    /// Model conversations at once: each holds a subscription, and the broker allows a spoke few.
    pub(crate) chats: Semaphore,
    /// The way out, where the manifest gives one.
    pub(crate) web: Web,
}

impl Spoke {
    /// Where this spoke speaks to a service.
    pub(crate) fn subject(&self, service: Service, op: Op) -> Subject {
        Subject::SpokeOut { spoke: self.addr.clone(), service, op }
    }
}

/// A task.
pub(crate) struct Job {
    pub(crate) spoke: Arc<Spoke>,
    pub(crate) id: WorkId,
    pub(crate) deadline: Instant,
    model_calls: AtomicU32,
    requests: AtomicU32,
}

impl Job {
    pub(crate) fn new(spoke: Arc<Spoke>, id: WorkId, deadline: Instant) -> Self {
        Self { spoke, id, deadline, model_calls: AtomicU32::new(0), requests: AtomicU32::new(0) }
    }

    /// Time until the deadline.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// One more turn of the model.
    pub(crate) fn count_model_call(&self) {
        self.model_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Turns of the model so far.
    pub(crate) fn model_calls(&self) -> u32 {
        self.model_calls.load(Ordering::Relaxed)
    }

    /// One more request to another app or to memory, unless the task has made all it may.
    pub(crate) fn count_request(&self) -> Result<(), Failure> {
        let most = self.spoke.profile.limits.requests;
        if self.requests.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(());
        }
        let words = format!(
            "{} asked for more than the {most} things that a task may ask for",
            self.spoke.profile.app
        );
        Err(Failure::new(FailureCode::Budget, words))
    }

    /// Hands a piece of the answer on. A piece that is lost is in the whole answer all the same.
    pub(crate) async fn token(&self, text: String) {
        let subject = self.spoke.subject(Service::Result, Op::TOKEN);
        let token = Token { task: self.id.clone(), text };
        let _ = self.spoke.bus.publish(&subject, &token, Some(&self.id)).await;
    }
}

/// At most `most` bytes of a text, whole characters, with a mark where it was cut.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut kept = text.get(..end).unwrap_or_default().to_owned();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_cut_text_keeps_whole_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "abc…");
        assert_eq!(cut("aé", 2), "a…");
        assert_eq!(cut("é", 0), "…");
    }
}
