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
    /// A spoke sends far more than a gateway takes. The hub was told, and has it stopped.
    Flood {
        /// Which.
        spoke: SpokeAddr,
        /// How much, as a part of a sentence.
        why: String,
    },
    /// The broker refused a publish, a subscription or a connection.
    Refused {
        /// What the broker says.
        detail: String,
    },
    /// An app's request to the web: decided, and later answered or not.
    Web(Box<Web>),
}

/// An app's request to the web. Without path, headers and body: those may hold what nobody else is to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Web {
    /// Who asked.
    pub spoke: SpokeAddr,
    /// `GET`, …; `CONNECT` for a proxied connection.
    pub method: String,
    /// Where to.
    pub host: String,
    /// Where to.
    pub port: u16,
    /// The name of the credential that was added, if one was.
    pub credential: Option<String>,
    /// What came of it.
    pub outcome: WebOutcome,
}

/// What came of a request to the web.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebOutcome {
    /// It may go; written before the connection is made.
    Allowed {
        /// Which line of the manifest allows it: `domains: example.com`.
        by: String,
    },
    /// It may not go, or failed.
    Failed {
        /// What kind of failure.
        code: super::egress::WebError,
        /// In a sentence.
        why: String,
    },
    /// It is over.
    Answered {
        /// As the server said; 200 for a proxied connection.
        status: u16,
        /// Bytes of body that were sent.
        sent: u64,
        /// Bytes of body that came, decompressed.
        received: u64,
    },
}
