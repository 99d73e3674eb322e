//! What spokes work on.
//!
//! Answers: may this task begin, who asks for it, and how did it end?
//! Never: lets a task end twice, or a spoke speak for another's task.
//! Carries: I-02, I-18, I-16.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use bus::id::{SpokeAddr, StepId, WorkId};
use bus::limits::MAX_RESULT;
use bus::message::task::{Done, Failure, FailureCode};
use bus::message::user::Happening;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::{Book, Effect, NotHandled};
use crate::inquiry::Inquiry;
use crate::permission::label::Labels;

/// A task that is to begin.
pub struct Begin {
    /// Who does it.
    pub spoke: SpokeAddr,
    /// Names it.
    pub task: WorkId,
    /// For which query; none for work of the hub's own.
    pub inquiry: Option<Arc<Inquiry>>,
    /// For which step of the plan.
    pub step: Option<StepId>,
    /// How many requests of apps led to it.
    pub depth: u8,
    /// Where the data that it is given came from.
    pub labels: Labels,
    /// Does the user see the words as they come?
    pub stream: bool,
    /// Where the end goes.
    pub ended: oneshot::Sender<Ended>,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The value, or why there is none.
    pub result: Result<Value, Failure>,
    /// Turns of a model.
    pub model_calls: u32,
    /// All that the process has ever been given.
    pub labels: Labels,
}

/// Who asks for something, and what the hub knows of it.
pub struct Caller {
    /// For which query.
    pub inquiry: Arc<Inquiry>,
    /// For which step of the plan its task is.
    pub step: Option<StepId>,
    /// How many requests led to its task.
    pub depth: u8,
    /// All that the process has ever been given.
    pub labels: Labels,
    /// Requests of this task that no standing grant covered.
    pub asked: Arc<AtomicU32>,
    /// Changes when the task has ended: then nobody waits for the answer.
    pub ended: watch::Receiver<()>,
    /// One of the requests that the spoke may have open at once; given back when dropped.
    pub permit: OwnedSemaphorePermit,
}

/// Why a caller is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// Its message is dropped and recorded.
    Dropped(NotHandled),
    /// It is told that it asks too much at once.
    TooManyOpen,
    /// Its task is work of the hub's own, and may not ask for anything.
    NotAllowed,
}

pub(super) struct Running {
    spoke: SpokeAddr,
    inquiry: Option<Arc<Inquiry>>,
    step: Option<StepId>,
    depth: u8,
    stream: bool,
    asked: Arc<AtomicU32>,
    ended: oneshot::Sender<Ended>,
    /// Made when the task first asks for something.
    over: Option<watch::Sender<()>>,
}

impl Book {
    /// Notes a task that the spoke is about to be given.
    ///
    /// # Errors
    /// If the spoke has ended meanwhile.
    pub fn begin(&mut self, begin: Begin) -> Result<(), Failure> {
        let Some(live) = self.live.get_mut(&begin.spoke) else {
            let detail = format!("the spoke of {} ended before it got its task", begin.spoke.app);
            return Err(Failure::new(FailureCode::Lost, detail));
        };
        live.labels.add(&begin.labels);
        live.tasks.insert(begin.task.clone());
        let running = Running {
            spoke: begin.spoke,
            inquiry: begin.inquiry,
            step: begin.step,
            depth: begin.depth,
            stream: begin.stream,
            asked: Arc::default(),
            ended: begin.ended,
            over: None,
        };
        self.running.insert(begin.task, running);
        Ok(())
    }

    /// Counts a message of a spoke against its rate.
    fn heard(&mut self, spoke: &SpokeAddr, now: Instant) -> Result<(), NotHandled> {
        let live = self.live.get_mut(spoke).ok_or(NotHandled::Spoke)?;
        if live.bucket.take(now) {
            return Ok(());
        }
        self.flooded(spoke, "it sent more messages than it may");
        Err(NotHandled::Flood)
    }

    /// A spoke sends so much that others wait: it is stopped, and what it works on fails.
    pub fn flooded(&mut self, spoke: &SpokeAddr, why: &str) {
        let Some(live) = self.live.get(spoke) else { return };
        let host = live.host.clone();
        self.effects.push(Effect::Stop(host, spoke.clone(), why.to_owned()));
        self.effects.push(Effect::Killed(spoke.clone(), why.to_owned()));
        let detail = format!("the app {} was stopped: {why}", spoke.app);
        self.remove(spoke, &Failure::new(FailureCode::AppNonsense, detail));
    }

    /// A spoke says that a task has ended; `size` is that of its message, bytes.
    ///
    /// # Errors
    /// If it is not its task, or the task has ended already.
    pub fn done(
        &mut self,
        spoke: &SpokeAddr,
        done: Done,
        size: usize,
        now: Instant,
    ) -> Result<(), NotHandled> {
        self.heard(spoke, now)?;
        if self.running.get(&done.task).is_none_or(|running| &running.spoke != spoke) {
            return Err(NotHandled::Task);
        }
        let Some(live) = self.live.get_mut(spoke) else { return Err(NotHandled::Spoke) };
        live.tasks.remove(&done.task);
        live.idle_since = now;
        let labels = live.labels.clone();
        let result = if MAX_RESULT < size {
            let detail =
                format!("the result of {} is {size} bytes, more than the {MAX_RESULT} allowed", spoke.app);
            Err(Failure::new(FailureCode::Result, detail))
        } else {
            done.result
        };
        // Its app is gone, and with it the spoke soon: what comes next is for another one.
        if let Err(Failure { code: FailureCode::AppExited | FailureCode::AppNonsense, .. }) = &result {
            self.shared.retain(|_, shared| shared != spoke);
        }
        self.end(&done.task, result, done.model_calls, labels);
        Ok(())
    }

    /// Tells whoever waits that a task has ended.
    pub(super) fn end(
        &mut self,
        task: &WorkId,
        result: Result<Value, Failure>,
        model_calls: u32,
        labels: Labels,
    ) {
        if let Some(running) = self.running.remove(task) {
            // Nobody waits any more: then the end is nobody's concern.
            let _ = running.ended.send(Ended { result, model_calls, labels });
        }
    }

    /// A piece of an answer.
    ///
    /// # Errors
    /// If it is not the spoke's task.
    pub fn token(
        &mut self,
        spoke: &SpokeAddr,
        task: &WorkId,
        text: String,
        now: Instant,
    ) -> Result<(), NotHandled> {
        self.heard(spoke, now)?;
        let running = self.running.get(task).filter(|running| &running.spoke == spoke);
        let running = running.ok_or(NotHandled::Task)?;
        if running.stream
            && let Some(inquiry) = &running.inquiry
        {
            inquiry.say(Happening::Token { text });
        }
        Ok(())
    }

    /// A line for the log. Counts against the rate like anything else.
    ///
    /// # Errors
    /// If the spoke is not known or speaks too much.
    pub fn line(&mut self, spoke: &SpokeAddr, now: Instant) -> Result<(), NotHandled> {
        self.heard(spoke, now)
    }

    /// Who asks for something: the spoke whose subject it came in on, for one of its own running tasks.
    ///
    /// # Errors
    /// Says why it is not heard.
    pub fn caller(&mut self, spoke: &SpokeAddr, task: &WorkId, now: Instant) -> Result<Caller, Unheard> {
        self.heard(spoke, now).map_err(Unheard::Dropped)?;
        let running = self.running.get_mut(task).filter(|running| &running.spoke == spoke);
        let running = running.ok_or(Unheard::Dropped(NotHandled::Task))?;
        let live = self.live.get(spoke).ok_or(Unheard::Dropped(NotHandled::Spoke))?;
        let inquiry = running.inquiry.clone().ok_or(Unheard::NotAllowed)?;
        let permit = Arc::clone(&live.open).try_acquire_owned().map_err(|_| Unheard::TooManyOpen)?;
        Ok(Caller {
            inquiry,
            step: running.step.clone(),
            depth: running.depth,
            labels: live.labels.clone(),
            asked: Arc::clone(&running.asked),
            ended: running.over.get_or_insert_with(|| watch::channel(()).0).subscribe(),
            permit,
        })
    }

    /// A probe names no task; it only counts against the rate.
    ///
    /// # Errors
    /// If the spoke is not known or speaks too much.
    pub fn probing(&mut self, spoke: &SpokeAddr, now: Instant) -> Result<(), NotHandled> {
        self.heard(spoke, now)
    }

    /// A process was given more data from these sources.
    pub fn label(&mut self, spoke: &SpokeAddr, labels: &Labels) {
        if let Some(live) = self.live.get_mut(spoke) {
            live.labels.add(labels);
        }
    }

    /// Nobody waits for this task any more.
    pub fn abandon(&mut self, task: &WorkId, now: Instant) {
        let Some(running) = self.running.remove(task) else { return };
        if let Some(live) = self.live.get_mut(&running.spoke) {
            live.tasks.remove(task);
            live.idle_since = now;
            self.effects.push(Effect::Cancel(running.spoke, task.clone()));
        }
    }

    /// A task did not end in its time, nor by its spoke's own clock: the spoke is not to be trusted with another.
    pub fn overdue(&mut self, task: &WorkId) {
        if let Some(running) = self.running.get(task) {
            let spoke = running.spoke.clone();
            self.running.remove(task);
            if let Some(live) = self.live.get_mut(&spoke) {
                live.tasks.remove(task);
            }
            self.stop(&spoke, "a task was not done in its time");
        }
    }

    /// A spoke that did its one task is not needed any more.
    pub fn release(&mut self, spoke: &SpokeAddr) {
        if self.live.get(spoke).is_some_and(|live| live.fresh) {
            self.stop(spoke, "its work is done");
        }
    }
}
