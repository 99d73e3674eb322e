//! What happened and what was refused, on `secgpt.audit.<by>.<op>`. Who writes is in the subject.

use serde::{Deserialize, Serialize};

use super::user::Flow;
use crate::envelope::Message;
use crate::id::{SpokeAddr, UserId, WorkId};

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Of which query, if of one.
    pub work: Option<WorkId>,
    /// For which user, if for one.
    pub user: Option<UserId>,
    /// What.
    pub what: What,
}

impl Message for Record {
    const KIND: &'static str = "audit";
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A flow was decided.
    Decision(Box<Flow>),
    /// A message was not handled.
    Dropped {
        /// Where it came in, cut to 120 characters.
        subject: String,
        /// Why.
        why: String,
    },
    /// Something was started.
    Started {
        /// Who.
        who: String,
        /// With what in force.
        detail: String,
    },
    /// Something came to its end in good order.
    Stopped {
        /// Who.
        who: String,
        /// How.
        detail: String,
    },
    /// A spoke was killed, by the kernel or by us.
    Killed {
        /// Which.
        spoke: SpokeAddr,
        /// For what; names the system call if there was one.
        why: String,
    },
    /// The broker refused a publish, a subscription or a connection.
    Refused {
        /// What the broker says.
        detail: String,
    },
}
