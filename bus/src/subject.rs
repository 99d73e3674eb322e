//! Every subject that is spoken on the bus.
//!
//! Answers: how is this subject spelled, and what does that subject mean?
//! Never: is anything spelled elsewhere; no other file of the workspace builds a subject from text.
//! Carries: I-02, I-03.

use std::fmt;

use crate::id::{AppId, HostId, SpokeAddr, SpokeId, UserId};

/// What a spoke may speak to, each under `secgpt.spoke.<app>.<id>.out.<service>.<op>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The model, by way of the llm-gateway.
    Llm,
    /// The web, by way of the egress-gateway.
    Egress,
    /// The conversation memory, by way of the hub.
    Memory,
    /// Other apps, by way of the hub.
    Isc,
    /// What came of a task.
    Result,
    /// What the spoke wants noted.
    Log,
}

impl Service {
    /// All of them, in the order of the design.
    pub const ALL: [Service; 6] =
        [Service::Llm, Service::Egress, Service::Memory, Service::Isc, Service::Result, Service::Log];

    /// Its token in a subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Service::Llm => "llm",
            Service::Egress => "egress",
            Service::Memory => "memory",
            Service::Isc => "isc",
            Service::Result => "result",
            Service::Log => "log",
        }
    }

    fn parse(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.as_str() == token)
    }
}

/// A role that writes to the audit subjects; its token is part of them, so that nobody can write in another's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Auditor {
    /// The hub.
    Hub,
    /// The llm-gateway.
    Llm,
    /// The egress-gateway.
    Egress,
    /// The local supervisor, which feeds in what the broker refused.
    Supervisor,
    /// A spoke-host.
    Host(HostId),
}

/// A subject of the system. `Display` spells it; [`Subject::parse`] reads it back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Said by that spoke only.
    SpokeOut {
        /// Who says it.
        spoke: SpokeAddr,
        /// To whom.
        service: Service,
        /// Which operation.
        op: Op,
    },
    /// Heard by that spoke only: `task`, `cancel`, `reply.…`.
    SpokeIn {
        /// Who hears it.
        spoke: SpokeAddr,
        /// What it is.
        leaf: Leaf,
    },
    /// Said by the hub to a gateway.
    HubOut {
        /// `Llm` or `Egress`.
        service: Service,
        /// Which operation.
        op: Op,
    },
    /// Heard by the hub only.
    HubIn(Leaf),
    /// Said by that host only.
    HostOut {
        /// Who says it.
        host: HostId,
        /// Which operation.
        op: Op,
    },
    /// Heard by that host only.
    HostIn {
        /// Who hears it.
        host: HostId,
        /// What it is.
        leaf: Leaf,
    },
    /// Heard by one of all hosts.
    HostAny(Op),
    /// Said by that user's clients only.
    UserOut {
        /// Who says it.
        user: UserId,
        /// Which operation.
        op: Op,
    },
    /// Heard by that user's clients only: `event.<session>`, `prompt`, `reply.…`.
    UserIn {
        /// Who hears it.
        user: UserId,
        /// What it is.
        leaf: Leaf,
    },
    /// Said and heard by that party only: who hears it knows that all it said before on the same connection has come in.
    Echo(Auditor),
    /// For the tap and the audit.
    Audit {
        /// Who writes.
        by: Auditor,
        /// What it is about: `decision`, `dropped`, `lifecycle`, `kill` …
        op: Op,
    },
}

/// The last token of a subject that names an operation: 1 to 32 of a-z, 0-9 and `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Op(&'static str);

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        impl Op {
            $($(#[$doc])* pub const $name: Op = Op($text);)*
            /// Every operation there is. What is not here is no subject.
            pub const ALL: &'static [Op] = &[$(Op($text)),*];
        }
    };
}

ops! {
    /// A model conversation's next turn.
    CHAT = "chat",
    /// What a task may spend on the model.
    BUDGET = "budget",
    /// Embeddings of short texts.
    EMBED = "embed",
    /// A web request.
    FETCH = "fetch",
    /// More of a body that is being streamed.
    CHUNK = "chunk",
    /// Open, feed or close a proxied connection.
    TUNNEL = "tunnel",
    /// Which hosts and credentials an app may use.
    RULES = "rules",
    /// Read the apps' manifests again.
    TAKE_UP = "take-up",
    /// Stored data, asked for.
    RECALL = "recall",
    /// Does this functionality exist, and in which words does one ask for it?
    PROBE = "probe",
    /// Please do this for me.
    REQUEST = "request",
    /// My server wants something of its client.
    WISH = "wish",
    /// The spoke is confined and listens.
    READY = "ready",
    /// A task came to its end.
    DONE = "done",
    /// A piece of an answer, while it is being written.
    TOKEN = "token",
    /// A line for the log.
    LINE = "line",
    /// What an app says it offers.
    OFFER = "offer",
    /// Start a spoke.
    SPAWN = "spawn",
    /// Sign this public key.
    SIGN = "sign",
    /// A spoke was started, or not.
    SPAWNED = "spawned",
    /// A spoke has ended.
    EXITED = "exited",
    /// A host is here, with this load.
    REPORT = "report",
    /// A question of the user.
    QUERY = "query",
    /// An answer to a permission prompt.
    CONSENT = "consent",
    /// Stop working on it.
    CANCEL = "cancel",
    /// Grants, memory, apps: to be shown or changed.
    ADMIN = "admin",
    /// A permission decision.
    DECISION = "decision",
    /// A message that was not handled, and why.
    DROPPED = "dropped",
    /// Something was started or stopped.
    LIFECYCLE = "lifecycle",
    /// Something was killed, and for what.
    KILL = "kill",
    /// The broker refused something.
    REFUSED = "refused",
}

impl Op {
    /// The token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The operation of that name, if there is one.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.0 == token)
    }
}

/// What stands behind `in.`: an operation, one of a session's events, or a reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A task for a spoke.
    Task,
    /// Stop the work with that id.
    Cancel,
    /// Start a spoke.
    Spawn,
    /// Stop a spoke.
    Stop,
    /// Stop all spokes but those of one lease.
    Lease,
    /// A permission prompt.
    Prompt,
    /// What is happening, and the answer.
    Event(crate::id::SessionId),
    /// An answer to a request; the tokens were chosen by who asked.
    Reply(String),
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leaf::Task => f.write_str("task"),
            Leaf::Cancel => f.write_str("cancel"),
            Leaf::Spawn => f.write_str("spawn"),
            Leaf::Stop => f.write_str("stop"),
            Leaf::Lease => f.write_str("lease"),
            Leaf::Prompt => f.write_str("prompt"),
            Leaf::Event(session) => write!(f, "event.{session}"),
            Leaf::Reply(tokens) => write!(f, "reply.{tokens}"),
        }
    }
}

impl Leaf {
    fn parse(tokens: &[&str]) -> Option<Self> {
        match tokens {
            ["task"] => Some(Leaf::Task),
            ["cancel"] => Some(Leaf::Cancel),
            ["spawn"] => Some(Leaf::Spawn),
            ["stop"] => Some(Leaf::Stop),
            ["lease"] => Some(Leaf::Lease),
            ["prompt"] => Some(Leaf::Prompt),
            ["event", session] => crate::id::SessionId::parse(session).ok().map(Leaf::Event),
            ["reply", rest @ ..] if !rest.is_empty() && rest.iter().all(|token| literal(token)) => {
                Some(Leaf::Reply(rest.join(".")))
            }
            _ => None,
        }
    }
}

/// Is the token free of wildcards, blanks and emptiness?
fn literal(token: &str) -> bool {
    !token.is_empty()
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl fmt::Display for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Auditor::Hub => f.write_str("hub"),
            Auditor::Llm => f.write_str("llm"),
            Auditor::Egress => f.write_str("egress"),
            Auditor::Supervisor => f.write_str("supervisor"),
            Auditor::Host(host) => write!(f, "host.{host}"),
        }
    }
}

impl Auditor {
    fn parse(tokens: &[&str]) -> Option<Self> {
        match tokens {
            ["hub"] => Some(Auditor::Hub),
            ["llm"] => Some(Auditor::Llm),
            ["egress"] => Some(Auditor::Egress),
            ["supervisor"] => Some(Auditor::Supervisor),
            ["host", host] => HostId::parse(host).ok().map(Auditor::Host),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::SpokeOut { spoke, service, op } => {
                write!(f, "secgpt.spoke.{spoke}.out.{}.{}", service.as_str(), op.0)
            }
            Subject::SpokeIn { spoke, leaf } => write!(f, "secgpt.spoke.{spoke}.in.{leaf}"),
            Subject::HubOut { service, op } => write!(f, "secgpt.hub.out.{}.{}", service.as_str(), op.0),
            Subject::HubIn(leaf) => write!(f, "secgpt.hub.in.{leaf}"),
            Subject::HostOut { host, op } => write!(f, "secgpt.host.{host}.out.{}", op.0),
            Subject::HostIn { host, leaf } => write!(f, "secgpt.host.{host}.in.{leaf}"),
            Subject::HostAny(op) => write!(f, "secgpt.host.any.{}", op.0),
            Subject::UserOut { user, op } => write!(f, "secgpt.user.{user}.out.{}", op.0),
            Subject::UserIn { user, leaf } => write!(f, "secgpt.user.{user}.in.{leaf}"),
            Subject::Echo(of) => write!(f, "secgpt.echo.{of}"),
            Subject::Audit { by, op } => write!(f, "secgpt.audit.{by}.{}", op.0),
        }
    }
}

/// Which spoke speaks on this subject, as `<app>.<id>`; nothing, if it is no spoke's. Reads no more of it than that.
#[must_use]
pub fn speaking_spoke(subject: &str) -> Option<&str> {
    let rest = subject.strip_prefix("secgpt.spoke.")?;
    let (end, _) = rest.match_indices('.').nth(1)?;
    rest.get(..end).filter(|_| rest.get(end..).is_some_and(|said| said.starts_with(".out.")))
}

impl Subject {
    /// What a subject means; nothing, if no party of the system speaks it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tokens: Vec<&str> = text.split('.').collect();
        match tokens.as_slice() {
            ["secgpt", "spoke", app, id, rest @ ..] => {
                let spoke = SpokeAddr { app: AppId::parse(app).ok()?, id: SpokeId::parse(id).ok()? };
                match rest {
                    ["out", service, op] => Some(Subject::SpokeOut {
                        spoke,
                        service: Service::parse(service)?,
                        op: Op::parse(op)?,
                    }),
                    ["in", leaf @ ..] => Some(Subject::SpokeIn { spoke, leaf: Leaf::parse(leaf)? }),
                    _ => None,
                }
            }
            ["secgpt", "hub", "out", service, op] => {
                let service = Service::parse(service)?;
                matches!(service, Service::Llm | Service::Egress)
                    .then_some(Subject::HubOut { service, op: Op::parse(op)? })
            }
            ["secgpt", "hub", "in", leaf @ ..] => Some(Subject::HubIn(Leaf::parse(leaf)?)),
            ["secgpt", "host", "any", op] => Some(Subject::HostAny(Op::parse(op)?)),
            ["secgpt", "host", host, "out", op] => {
                Some(Subject::HostOut { host: HostId::parse(host).ok()?, op: Op::parse(op)? })
            }
            ["secgpt", "host", host, "in", leaf @ ..] => {
                Some(Subject::HostIn { host: HostId::parse(host).ok()?, leaf: Leaf::parse(leaf)? })
            }
            ["secgpt", "user", user, "out", op] => {
                Some(Subject::UserOut { user: UserId::parse(user).ok()?, op: Op::parse(op)? })
            }
            ["secgpt", "user", user, "in", leaf @ ..] => {
                Some(Subject::UserIn { user: UserId::parse(user).ok()?, leaf: Leaf::parse(leaf)? })
            }
            ["secgpt", "echo", of @ ..] => Some(Subject::Echo(Auditor::parse(of)?)),
            ["secgpt", "audit", by @ .., op] => {
                Some(Subject::Audit { by: Auditor::parse(by)?, op: Op::parse(op)? })
            }
            _ => None,
        }
    }

    /// The prefix of the inbox into which the speaker of this subject takes replies;
    /// nothing for subjects that nobody answers.
    #[must_use]
    pub fn speakers_inbox(&self) -> Option<String> {
        match self {
            Subject::SpokeOut { spoke, .. } => Some(inbox::spoke(spoke)),
            Subject::HubOut { .. } => Some(inbox::HUB.to_owned()),
            Subject::HostOut { host, .. } => Some(inbox::host(host)),
            Subject::UserOut { user, .. } => Some(inbox::user(user)),
            Subject::HostAny(_) | Subject::HostIn { .. } => Some(inbox::HUB.to_owned()),
            Subject::SpokeIn { .. }
            | Subject::HubIn(_)
            | Subject::UserIn { .. }
            | Subject::Echo(_)
            | Subject::Audit { .. } => None,
        }
    }
}

/// May a service answer to `reply`, when the request came in on `subject`?
///
/// Only under the caller's own inbox, and without wildcards: else a caller could have a service publish
/// where the caller itself may not.
#[must_use]
pub fn reply_is_callers_own(subject: &Subject, reply: &str) -> bool {
    subject
        .speakers_inbox()
        .and_then(|inbox| reply.strip_prefix(&inbox)?.strip_prefix('.'))
        .is_some_and(|rest| rest.split('.').all(literal))
}

pub mod pattern;

/// Where each role takes its replies; given to the client library as its inbox prefix.
pub mod inbox {
    use crate::id::{HostId, SpokeAddr, UserId};

    /// The hub's.
    pub const HUB: &str = "secgpt.hub.in.reply";
    /// The operator's at the keyboard, for `nats` tooling.
    pub const OPERATOR: &str = "_INBOX";

    /// A spoke's.
    #[must_use]
    pub fn spoke(spoke: &SpokeAddr) -> String {
        format!("secgpt.spoke.{spoke}.in.reply")
    }
    /// A host's.
    #[must_use]
    pub fn host(host: &HostId) -> String {
        format!("secgpt.host.{host}.in.reply")
    }
    /// A user's.
    #[must_use]
    pub fn user(user: &UserId) -> String {
        format!("secgpt.user.{user}.in.reply")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
