//! When a subscription is in force.
//!
//! Answers: has the broker taken in all that was said on this connection?
//! Never: takes what was sent for what has arrived; takes another connection's word for this one's.
//!
//! The client library's flush ends when the bytes have left, which may be before the broker has read them. The broker reads what
//! comes on one connection in its order, so a message that comes back over it was read after all that was said before.

use std::time::Duration;

use futures_util::StreamExt;

use super::ear::Ear;
use super::{Bus, BusError};
use crate::envelope;
use crate::id::WorkId;
use crate::message::echo::Echo;
use crate::subject::Subject;

/// How often it is said, and how long is waited each time: the connection may have to be made again meanwhile.
const TIMES: u32 = 5;
const WAIT: Duration = Duration::from_secs(1);

impl Bus {
    /// Returns when all that was subscribed to on this connection is in force.
    ///
    /// # Errors
    /// If the broker does not show it within five seconds, or the role does not hear itself.
    pub async fn in_force(&self) -> Result<(), BusError> {
        self.comes_back(&self.client).await
    }

    async fn comes_back(&self, over: &async_nats::Client) -> Result<(), BusError> {
        let refused = |error: &dyn std::fmt::Display| BusError::Refused(error.to_string());
        let of = self.auditor.clone().ok_or_else(|| refused(&"this role does not hear itself"))?;
        let subject = Subject::Echo(of).to_string();
        let said = Echo { id: WorkId::fresh() };
        let mut heard = over.subscribe(subject.clone()).await.map_err(|error| refused(&error))?;
        for _ in 0..TIMES {
            over.publish_with_headers(
                subject.clone(),
                envelope::headers::<Echo>(None),
                envelope::pack(&said)?,
            )
            .await
            .map_err(|error| refused(&error))?;
            let back = async {
                while let Some(message) = heard.next().await {
                    let echo = envelope::unpack::<Echo>(message.headers.as_ref(), &message.payload);
                    if echo.is_ok_and(|echo| echo == said) {
                        return Ok(());
                    }
                }
                Err(refused(&"the connection is closed"))
            };
            if let Ok(back) = tokio::time::timeout(WAIT, back).await {
                return back;
            }
        }
        Err(BusError::Timeout { subject, limit: WAIT.saturating_mul(TIMES) })
    }
}

impl Ear {
    /// As [`Bus::in_force`], for what this connection hears.
    ///
    /// # Errors
    /// As [`Bus::in_force`].
    pub async fn in_force(&self) -> Result<(), BusError> {
        self.bus.comes_back(&self.client).await
    }
}
