//! How a handle speaks to its actor.
//!
//! Answers: how is an actor asked, and told?
//! Never: waits without a deadline; grows a queue without a bound.
//! Carries: I-16.

use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};
use tokio::sync::oneshot;

/// Messages that wait for an actor. When it is full the asker gets [`Unanswered::Busy`] and says so to whoever
/// waits; nothing is lost in silence. Sized for one message of each of a thousand spokes, several times over.
pub const MAILBOX: usize = 8192;

/// How long an actor has to answer what it knows by heart. Actors do not wait for anything in their handlers, so
/// this runs out only when the process is starved.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Why there is no answer from an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Its mailbox is full.
    #[error("the hub is overloaded")]
    Busy,
    /// It has ended.
    #[error("the hub is stopping")]
    Gone,
    /// It did not answer in time.
    #[error("the hub did not get to it in time")]
    Late,
}

/// Starts an actor with a bounded mailbox. Returns when it can be spoken to.
pub fn start<A>(actor: A) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    A::create(|context| {
        context.set_mailbox_capacity(MAILBOX);
        actor
    })
}

/// Leaves a message and does not wait.
///
/// # Errors
/// If the mailbox is full, or nobody empties it any more.
pub fn tell<A, M>(address: &Addr<A>, message: M) -> Result<(), Unanswered>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
{
    address.try_send(message).map_err(|error| match error {
        actix::prelude::SendError::Full(_) => Unanswered::Busy,
        actix::prelude::SendError::Closed(_) => Unanswered::Gone,
    })
}

/// Leaves a message and waits until there is room for it: the way in for what comes from the bus, whose own
/// queue is bounded too.
///
/// # Errors
/// If nobody empties the mailbox any more.
pub async fn hand<A, M>(address: &Addr<A>, message: M) -> Result<(), Unanswered>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
{
    match address.try_send(message) {
        Ok(()) => Ok(()),
        Err(actix::prelude::SendError::Closed(_)) => Err(Unanswered::Gone),
        Err(actix::prelude::SendError::Full(message)) => {
            address.send(message).timeout(LIMIT).await.map_err(|_| Unanswered::Late)
        }
    }
}

/// Leaves a message that carries the way back, and waits for the answer.
///
/// # Errors
/// If the mailbox is full, the actor ends, or [`LIMIT`] passes.
pub async fn ask<A, M, T>(
    address: &Addr<A>,
    message: impl FnOnce(oneshot::Sender<T>) -> M,
) -> Result<T, Unanswered>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send + 'static,
{
    let (back, answer) = oneshot::channel();
    tell(address, message(back))?;
    match tokio::time::timeout(LIMIT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Unanswered::Gone),
        Err(_) => Err(Unanswered::Late),
    }
}
