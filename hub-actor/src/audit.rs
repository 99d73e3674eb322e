//! What the hub writes to the audit.
//!
//! Answers: how is a decision, a start, a stop or a kill recorded?
//! Never: lets a flow proceed whose decision could not be recorded.
//! Carries: I-08.

use bus::client::{Bus, BusError};
use bus::id::{SpokeAddr, UserId, WorkId};
use bus::message::audit::{Record, What};
use bus::message::user::Flow;
use bus::subject::{Auditor, Op, Subject};

/// Writes in the hub's name. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit(Bus);

impl Audit {
    /// Writes over this connection.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self(bus)
    }

    /// Records a decision. The flow may proceed when this has returned without error: the record is then in the
    /// connection's queue, ahead of all that the flow will send.
    ///
    /// # Errors
    /// If the record cannot be queued. Then the flow must not proceed.
    pub async fn decision(&self, query: &WorkId, user: &UserId, flow: &Flow) -> Result<(), BusError> {
        let what = What::Decision(Box::new(flow.clone()));
        let record = Record { work: Some(query.clone()), user: Some(user.clone()), what };
        let subject = Subject::Audit { by: Auditor::Hub, op: Op::DECISION };
        self.0.publish_labelled(&subject, &record, Some(query), &flow.labels).await
    }

    /// Records that a spoke was started.
    pub fn started(&self, user: &UserId, spoke: &SpokeAddr, detail: String) {
        let what = What::Started { who: format!("spoke {spoke}"), detail };
        self.later(Op::LIFECYCLE, Some(user.clone()), what);
    }

    /// Records that a spoke has ended in good order.
    pub fn stopped(&self, user: Option<UserId>, spoke: &SpokeAddr, detail: String) {
        let what = What::Stopped { who: format!("spoke {spoke}"), detail };
        self.later(Op::LIFECYCLE, user, what);
    }

    /// Records that a spoke was killed.
    pub fn killed(&self, user: Option<UserId>, spoke: &SpokeAddr, why: String) {
        self.later(Op::KILL, user, What::Killed { spoke: spoke.clone(), why });
    }

    /// Counts and records a message that was not handled.
    pub fn dropped(&self, subject: &Subject, why: impl Into<String>) {
        let (bus, subject, why) = (self.0.clone(), subject.to_string(), why.into());
        actix::spawn(async move { bus.drop_message(&subject, &why).await });
    }

    fn later(&self, op: Op, user: Option<UserId>, what: What) {
        let bus = self.0.clone();
        actix::spawn(async move { bus.audit(op, Record { work: None, user, what }).await });
    }
}
