//! The operator: takes tasks, has each done, and says what came of it.
//!
//! Answers: which tasks run, and when does the spoke end?
//! Never: gives a task two ends or none; keeps one past its limit; holds more than a bounded number.
//! Carries: I-16.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::client::Bus;
use bus::id::{SpokeAddr, WorkId};
use bus::launch::spoke::SpokeSaid;
use bus::message::profile::{Kind, Profile};
use bus::message::task::{Cancel, Done, Failure, FailureCode, Ready, Task, Work};
use bus::subject::{Leaf, Op, Service, Subject};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::app::{App, Child, Log};
use crate::job::{Job, Spoke, cut};
use crate::proxy::Proxy;
use crate::schema::Schemas;
use crate::start::{Failed, say};
use crate::web::Web;
use crate::{call, converse, delegate};

/// Tasks at once. The hub gives a spoke a few; more is a fault, and is said so.
const MAX_TASKS: usize = 256;

/// Model conversations at once: the broker allows a spoke sixteen subscriptions.
const MAX_CHATS: usize = 10;

/// How long after its app ended a spoke still answers: a task may be on its way.
const LINGER: Duration = Duration::from_millis(500);

/// How long the last words may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a confined process has.
pub(crate) struct Place {
    pub(crate) bus: Bus,
    pub(crate) addr: SpokeAddr,
    pub(crate) profile: Profile,
    pub(crate) child: Option<Child>,
    pub(crate) host: pipe::Receiver,
}

/// Works until the bus, the host or the app is gone.
pub(crate) async fn run(place: Place) -> Result<(), Failed> {
    let Place { bus, addr, profile, child, mut host } = place;
    let here = |leaf| Subject::SpokeIn { spoke: addr.clone(), leaf }.to_string();
    let mut tasks = bus.subscribe(&here(Leaf::Task)).await?;
    let mut cancels = bus.subscribe(&here(Leaf::Cancel)).await?;
    let says = |service, op| Subject::SpokeOut { spoke: addr.clone(), service, op };
    let web = Web::new(bus.clone(), addr.clone());
    let log = || Log { bus: bus.clone(), subject: says(Service::Log, Op::LINE) };
    let app = match (child, &profile.kind) {
        (Some(mut child), _) => {
            if let Some(door) = child.door() {
                let proxy = Proxy::new(bus.clone(), addr.clone(), web.clone());
                tokio::spawn(proxy.serve(door));
            }
            Some(App::begin(child, &profile, log()).await?)
        }
        (None, Kind::Remote { url }) => Some(App::remote(url.clone(), &profile, web.clone(), log())),
        (None, _) => None,
    };
    bus.publish(&says(Service::Result, Op::READY), &Ready {}, None).await?;
    say(&SpokeSaid::Ready).map_err(|error| Failed::new(error.to_string(), None))?;

    let schemas = Schemas::new(&profile.functions);
    let chats = Semaphore::new(MAX_CHATS);
    let spoke = Arc::new(Spoke { bus, addr, profile, schemas, app, chats, web });
    let mut desk = Desk { spoke: Arc::clone(&spoke), running: JoinSet::new(), cancel: HashMap::new() };
    let mut end_at: Option<tokio::time::Instant> = None;
    loop {
        tokio::select! {
            task = tasks.next() => {
                let Some(task) = task else { return Ok(()) };
                if let Some(task) = spoke.bus.body(&task).await {
                    desk.take(task).await;
                }
            }
            Some(ended) = desk.running.join_next() => {
                if let Ok(id) = ended {
                    desk.cancel.remove(&id);
                }
            }
            Some(cancel) = cancels.next() => {
                if let Some(Cancel { task }) = spoke.bus.body(&cancel).await {
                    desk.cancel.remove(&task).map(|cancel| cancel.send(()));
                }
            }
            ending = app_ended(&spoke), if end_at.is_none() => {
                end_at = Some(tokio::time::Instant::now() + LINGER);
                let said = SpokeSaid::AppEnded { how: ending.0, violation: ending.1 };
                if say(&said).is_err() {
                    return Ok(());
                }
            }
            () = reached(end_at) => {
                desk.finish().await;
                return Ok(());
            }
            () = spoke.bus.lost() => return Ok(()),
            () = closed(&mut host) => return Ok(()),
        }
    }
}

/// The tasks on a spoke.
struct Desk {
    spoke: Arc<Spoke>,
    running: JoinSet<WorkId>,
    cancel: HashMap<WorkId, oneshot::Sender<()>>,
}

impl Desk {
    async fn take(&mut self, task: Task) {
        if self.cancel.contains_key(&task.id) {
            let here = Subject::SpokeIn { spoke: self.spoke.addr.clone(), leaf: Leaf::Task };
            self.spoke.bus.drop_message(&here.to_string(), "the task runs already").await;
            return;
        }
        if MAX_TASKS <= self.running.len() {
            let words = format!("this spoke works on {MAX_TASKS} tasks already");
            done(&self.spoke, &task.id, Err(Failure::new(FailureCode::Lost, words)), 0).await;
            return;
        }
        let limit =
            Duration::from_millis(task.limit_ms).min(Duration::from_secs(self.spoke.profile.limits.task_s));
        let (cancel, cancelled) = oneshot::channel();
        self.cancel.insert(task.id.clone(), cancel);
        let job = Job::new(Arc::clone(&self.spoke), task.id, Instant::now() + limit);
        self.running.spawn(async move {
            let result = within(&job, task.work, limit, cancelled).await;
            done(&job.spoke, &job.id, result, job.model_calls()).await;
            job.id
        });
    }

    /// Lets every task say its last word.
    async fn finish(&mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
        let _ = tokio::time::timeout(LAST_WORDS, self.spoke.bus.flush()).await;
    }
}

/// Does the work, but not longer than its limit, its app, or the wish for it.
async fn within(
    job: &Job,
    work: Work,
    limit: Duration,
    cancelled: oneshot::Receiver<()>,
) -> Result<Value, Failure> {
    tokio::select! {
        biased;
        result = carry_out(job, work) => result,
        Ok(()) = cancelled => Err(Failure::new(FailureCode::Cancelled, "the task was cancelled")),
        () = tokio::time::sleep(limit) => {
            let words = format!("{} was not done within {:.1} s", job.spoke.profile.app, limit.as_secs_f64());
            Err(Failure::new(FailureCode::Timeout, words))
        }
        failure = app_failure(&job.spoke) => Err(failure),
    }
}

async fn carry_out(job: &Job, work: Work) -> Result<Value, Failure> {
    match work {
        Work::Call { function, args } => call::run(job, &function, args).await,
        Work::Delegate { request, system, history, rounds } => {
            delegate::run(job, delegate::Work { request, system, history, rounds }).await
        }
        Work::Converse { turns, schema, stream } => converse::run(job, turns, schema, stream).await,
    }
}

/// Says how a task ended. A result that no message can carry becomes a failure that one can.
async fn done(spoke: &Spoke, id: &WorkId, result: Result<Value, Failure>, model_calls: u32) {
    let subject = spoke.subject(Service::Result, Op::DONE);
    let mut done = Done { task: id.clone(), result, model_calls };
    if let Err(bus::client::BusError::Malformed(why)) = spoke.bus.publish(&subject, &done, Some(id)).await {
        done.result = Err(Failure::new(FailureCode::Result, cut(&why.to_string(), 500)));
        // A closed connection ends the spoke anyway.
        let _ = spoke.bus.publish(&subject, &done, Some(id)).await;
    }
}

/// How the app ended, and whether for breaking a rule; waits for ever where there is no app.
async fn app_ended(spoke: &Spoke) -> (String, bool) {
    match &spoke.app {
        Some(app) => {
            let ending = app.ended().await;
            (ending.how.clone(), ending.violation)
        }
        None => std::future::pending().await,
    }
}

async fn app_failure(spoke: &Spoke) -> Failure {
    match &spoke.app {
        Some(app) => app.ended().await.failure.clone(),
        None => std::future::pending().await,
    }
}

async fn reached(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Returns when the host closed its pipe, or is no more.
async fn closed(host: &mut pipe::Receiver) {
    let mut rest = [0_u8; 64];
    while matches!(host.read(&mut rest).await, Ok(1..)) {}
}
