//! What comes in on a subscription.
//!
//! Answers: which message is handled next, and which is not handled at all?
//! Never: lets what one spoke sends keep another's waiting or have it dropped; hands on what would be answered elsewhere
//! than to the speaker.
//! Carries: I-02, I-16.

use std::task::{Context, Poll};
use std::time::Instant;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;

use super::Bus;
use super::ear::Gate;
use crate::envelope::{Incoming, Reply};
use crate::limits::{EAR_QUEUE, SPOKE_QUEUE};
use crate::pace::Verdict;
use crate::subject::speaking_spoke;
use crate::turns::Turns;

/// What comes in on a subscription.
pub struct Inbound {
    bus: Bus,
    subscriber: Subscriber,
    gated: Option<Gated>,
}

/// What spokes say, sorted by who says it.
struct Gated {
    gate: Gate,
    turns: Turns<Message>,
    /// One that was dropped and is worth a line.
    dropped: Option<String>,
    closed: bool,
}

impl Inbound {
    pub(super) fn new(bus: Bus, subscriber: Subscriber) -> Self {
        Self { bus, subscriber, gated: None }
    }

    /// Has what spokes say counted before any of it is handled, and handled in turn.
    pub(super) fn behind(self, gate: Gate) -> Self {
        let gated = Gated { gate, turns: Turns::new(SPOKE_QUEUE), dropped: None, closed: false };
        Self { gated: Some(gated), ..self }
    }

    /// The next message on a subject of ours; `None` when the connection is closed for good.
    /// Messages with a reply subject that is not the speaker's own are dropped and recorded here, unread.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let message = match &mut self.gated {
                None => self.subscriber.next().await,
                Some(gated) => gated.next(&mut self.subscriber, &self.bus).await,
            };
            match Incoming::read(message?) {
                Ok(Incoming { subject, reply: Reply::Foreign(reply), .. }) => {
                    let why = format!("the reply subject {reply:?} is not the caller's own");
                    self.bus.drop_message(&subject.to_string(), &why).await;
                }
                Ok(incoming) => return Some(incoming),
                Err(error) => self.bus.drop_message("", &error.to_string()).await,
            }
        }
    }
}

impl Gated {
    /// The next one that is to be handled. Loses nothing if it is not awaited to its end.
    async fn next(&mut self, subscriber: &mut Subscriber, bus: &Bus) -> Option<Message> {
        if let Some(subject) = self.dropped.take() {
            bus.drop_message(&subject, "more messages than it may send").await;
        }
        // Where there is always a next one, the connection would not have its turn.
        tokio::task::consume_budget().await;
        // All that is there is looked at each time, and not as much as a task may do at once: the connection reads far
        // more in its turn, and what finds the subscription's queue full is dropped, whoever sent it.
        let all = std::future::poll_fn(|context| self.poll(context, subscriber, bus));
        tokio::task::unconstrained(all).await
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        subscriber: &mut Subscriber,
        bus: &Bus,
    ) -> Poll<Option<Message>> {
        let waits = self.take_all(context, subscriber, bus);
        match self.turns.pop() {
            Some(message) => return Poll::Ready(Some(message)),
            None if self.closed => return Poll::Ready(None),
            None if !waits => context.waker().wake_by_ref(),
            None => {}
        }
        Poll::Pending
    }

    /// Takes what is there, one queue of it at most. Says whether this task is woken when there is more.
    fn take_all(&mut self, context: &mut Context<'_>, subscriber: &mut Subscriber, bus: &Bus) -> bool {
        for _ in 0..EAR_QUEUE {
            match subscriber.poll_next_unpin(context) {
                Poll::Ready(Some(message)) => self.take(message, bus),
                Poll::Ready(None) => {
                    self.closed = true;
                    return false;
                }
                Poll::Pending => return true,
            }
        }
        false
    }

    /// Puts a message into its speaker's queue, or drops it. Nothing but its subject and its size is looked at.
    fn take(&mut self, message: Message, bus: &Bus) {
        let now = Instant::now();
        let (subject, size) = (message.subject.clone(), message.payload.len());
        // The broker lets nobody but spokes speak here; whoever it is has a queue like any other.
        let spoke = speaking_spoke(&subject).unwrap_or_default();
        let mut verdict = self.gate.paces().heard(spoke, size, now);
        if verdict == Verdict::Take && !self.turns.push(spoke, message, size) {
            verdict = self.gate.paces().overrun(spoke, now);
        }
        match verdict {
            Verdict::Take => {}
            Verdict::Drop { first: true } => self.dropped = Some(subject.to_string()),
            Verdict::Drop { first: false } => bus.count_drop(),
            Verdict::End(excess) => {
                bus.count_drop();
                self.gate.end(spoke, excess);
            }
        }
    }
}
