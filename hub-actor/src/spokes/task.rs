//! A task from its beginning to its end.
//!
//! Answers: what came of this work?
//! Never: lets a task run without a clock of the hub's own, or a fresh spoke outlive its one task.
//! Carries: I-11, I-18, I-16.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::id::{AppId, SessionId, SpokeAddr, StepId, UserId, WorkId};
use bus::limits::PROMPT_REPLY;
use bus::message::chat::{Budget, BudgetSet};
use bus::message::egress::{SpokeUser, SpokeUserSet};
use bus::message::task::{Failure, FailureCode, Task, Work};
use bus::subject::{Leaf, Op, Service, Subject};
use tokio::sync::oneshot;

use super::book::{Begin, Ended, Need};
use super::{Message, Spokes};
use crate::inquiry::Inquiry;
use crate::mailbox::{ask, tell};
use crate::permission::label::Labels;

/// How much longer than the spoke's own clock the hub waits before it stops the spoke.
const GRACE: Duration = Duration::from_secs(2);

/// Work to be done by a spoke.
pub struct Job {
    /// For whom.
    pub user: UserId,
    /// In which conversation.
    pub session: SessionId,
    /// For which query; none for work of the hub's own.
    pub inquiry: Option<Arc<Inquiry>>,
    /// For which step of the plan.
    pub step: Option<StepId>,
    /// By which app's spoke.
    pub app: AppId,
    /// By whom of that app's spokes.
    pub by: By,
    /// How many requests of apps led to it.
    pub depth: u8,
    /// Where the data that it is given came from.
    pub labels: Labels,
    /// Does the user see the words as they come?
    pub stream: bool,
    /// What is to be done.
    pub work: Work,
    /// Wall-clock time.
    pub limit: Duration,
    /// What it may spend on a model; none if no model takes part.
    pub spends: Option<Spends>,
}

/// Which spoke does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The session's own of that app, started if there is none.
    Shared,
    /// The query's own of that app, started if there is none: private mode.
    Private,
    /// A new process, stopped afterwards.
    Fresh,
    /// This one, which is fresh: stopped afterwards.
    Waiting(SpokeAddr),
    /// This one, which goes on with other work.
    Same(SpokeAddr),
}

/// What a task may spend on a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spends {
    /// Calls.
    pub calls: u32,
    /// Tokens, of requests and replies together.
    pub tokens: u64,
    /// Another model than the usual one.
    pub model: Option<String>,
}

impl Spokes {
    /// Has it done. Ends when the task has ended, in whatever way, and at the latest a moment after its limit; if
    /// the future is dropped, the task is cancelled.
    pub async fn run(&self, job: Job) -> Ended {
        let inquiry = job.inquiry.clone();
        let labels = job.labels.clone();
        let ended = match self.begin_and_wait(job).await {
            Ok(ended) => ended,
            Err(failure) => Ended { result: Err(failure), model_calls: 0, labels },
        };
        if let Some(inquiry) = inquiry
            && 0 < ended.model_calls
        {
            let calls = u64::from(ended.model_calls);
            inquiry.ledger(|ledger| ledger.spoke_calls = ledger.spoke_calls.saturating_add(calls));
        }
        ended
    }

    async fn begin_and_wait(&self, job: Job) -> Result<Ended, Failure> {
        let started = Instant::now();
        let manifest = job.inquiry.as_ref().and_then(|inquiry| inquiry.catalogue.app(&job.app));
        let mut again = matches!(job.by, By::Shared | By::Private);
        loop {
            let need = Need {
                user: job.user.clone(),
                session: job.session.clone(),
                query: job
                    .inquiry
                    .as_ref()
                    .filter(|_| job.by == By::Private)
                    .map(|inquiry| inquiry.id.clone()),
                app: job.app.clone(),
                hash: manifest.map(|manifest| manifest.hash.clone()).unwrap_or_default(),
                fresh: job.by == By::Fresh,
            };
            let (spoke, fresh) = match &job.by {
                By::Shared | By::Private | By::Fresh => (self.place(need).await?, job.by == By::Fresh),
                By::Waiting(spoke) => (spoke.clone(), true),
                By::Same(spoke) => (spoke.clone(), false),
            };
            let mut watch = Watch { spokes: self.clone(), task: None, release: fresh.then(|| spoke.clone()) };
            let task = match &job.inquiry {
                Some(inquiry) => WorkId::within(&inquiry.id),
                None => WorkId::fresh(),
            };
            if let Some(spends) = &job.spends {
                self.announce(&spoke, &task, spends, job.limit).await?;
            }
            if manifest.is_some_and(|manifest| !manifest.credentials.is_empty()) {
                self.introduce(&spoke, &job.user).await;
            }
            let (end, ended) = oneshot::channel();
            let begin = Begin {
                spoke: spoke.clone(),
                task: task.clone(),
                inquiry: job.inquiry.clone(),
                step: job.step.clone(),
                depth: job.depth,
                labels: job.labels.clone(),
                stream: job.stream,
                ended: end,
            };
            let begun = ask(&self.address, |back| Message::Begin(Box::new(begin), back)).await;
            match begun {
                Ok(Ok(())) => watch.task = Some(task.clone()),
                // It was just being stopped for want of work: the next one is new.
                Ok(Err(_)) if again && started.elapsed() < PROMPT_REPLY => {
                    again = false;
                    continue;
                }
                Ok(Err(failure)) => return Err(failure),
                Err(error) => return Err(Failure::new(FailureCode::Lost, error.to_string())),
            }
            let work = Task { id: task.clone(), limit_ms: milliseconds(job.limit), work: job.work };
            let query = job.inquiry.as_ref().map(|inquiry| &inquiry.id);
            let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Task };
            self.bus.publish_labelled(&subject, &work, query, &job.labels.to_strings()).await.map_err(
                |error| {
                    Failure::new(
                        FailureCode::Arguments,
                        format!("the work could not be sent to {}: {error}", job.app),
                    )
                },
            )?;
            return match tokio::time::timeout(job.limit.saturating_add(GRACE), ended).await {
                Ok(Ok(ended)) => {
                    watch.task = None;
                    Ok(ended)
                }
                Ok(Err(_)) => Err(Failure::new(FailureCode::Lost, "the hub is stopping")),
                Err(_) => {
                    watch.task = None;
                    if let Err(error) = tell(&self.address, Message::Overdue(task)) {
                        tracing::error!(%error, %spoke, "a spoke that does not answer was not stopped");
                    }
                    let detail = format!("{} did not answer within {} s", job.app, job.limit.as_secs());
                    Err(Failure::new(FailureCode::Timeout, detail))
                }
            };
        }
    }

    /// Tells the egress-gateway for whom a spoke works. Without that its requests carry no credential, which the
    /// gateway says when one is missing; so this does not stop the task.
    async fn introduce(&self, spoke: &SpokeAddr, user: &UserId) {
        let subject = Subject::HubOut { service: Service::Egress, op: Op::RULES };
        let message = SpokeUser { spoke: spoke.clone(), user: Some(user.clone()) };
        let set: Result<SpokeUserSet, _> = self.bus.request(&subject, &message, None, PROMPT_REPLY).await;
        if let Err(error) = set {
            tracing::warn!(%spoke, %error, "the egress-gateway does not know for whom a spoke works");
        }
    }

    /// Tells the gateway what the task may spend, before the spoke hears of the task.
    async fn announce(
        &self,
        spoke: &SpokeAddr,
        task: &WorkId,
        spends: &Spends,
        limit: Duration,
    ) -> Result<(), Failure> {
        let budget = Budget {
            spoke: spoke.clone(),
            task: task.clone(),
            calls: spends.calls,
            tokens: spends.tokens,
            model: spends.model.clone(),
            lifetime_ms: milliseconds(limit.saturating_add(GRACE)),
        };
        let subject = Subject::HubOut { service: Service::Llm, op: Op::BUDGET };
        let set: Result<BudgetSet, _> = self.bus.request(&subject, &budget, Some(task), PROMPT_REPLY).await;
        set.map(|_| ()).map_err(|error| {
            Failure::new(FailureCode::Model, format!("the model gateway does not answer: {error}"))
        })
    }
}

/// Cancels what nobody waits for any more, and stops a spoke that was for one task only.
struct Watch {
    spokes: Spokes,
    task: Option<WorkId>,
    release: Option<SpokeAddr>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.spokes.tell(Message::Abandon(task));
        }
        if let Some(spoke) = self.release.take() {
            self.spokes.release(spoke);
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
