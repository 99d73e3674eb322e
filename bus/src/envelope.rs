//! How a message is packed.
//!
//! Answers: which bytes and headers carry this message, and is what came in such a message?
//! Never: trusts a header or a body for who spoke; that is the subject's alone.
//! Carries: I-02. Format: MessagePack with named fields; headers let a tap filter without decoding.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id::WorkId;
use crate::limits::MAX_PAYLOAD;
use crate::subject::{Subject, reply_is_callers_own};

/// A message that travels on the bus.
pub trait Message: Serialize + DeserializeOwned {
    /// What it is, for the tap: goes into the header `Secgpt-Kind`.
    const KIND: &'static str;
    /// Goes up when a field is added that an older reader must not overlook.
    const VERSION: u32 = 1;
    /// The largest that is read, bytes.
    const MAX: usize = MAX_PAYLOAD;
}

/// Header: what the message is.
pub const KIND: &str = "Secgpt-Kind";
/// Header: the version of its form; absent means 1.
pub const VERSION: &str = "Secgpt-Version";
/// Header: the query that it belongs to.
pub const WORK: &str = "Secgpt-Work";
/// Header: where its data came from, comma-separated; written by the hub only, and read by nobody but taps.
pub const LABELS: &str = "Secgpt-Labels";
/// Header: W3C trace context. Its trace is the query's, whichever process writes it: see [`WorkId::within`].
pub const TRACEPARENT: &str = "traceparent";

/// Why a message was not read. Such a message is dropped, counted and audited; it never ends a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Larger than its kind may be.
    #[error("{kind}: {size} bytes, more than the {max} allowed")]
    TooLarge {
        /// What was expected.
        kind: &'static str,
        /// Bytes.
        size: usize,
        /// Bytes.
        max: usize,
    },
    /// Of a form that this process does not know yet.
    #[error("{kind}: version {version} is newer than the {known} known here; update this process")]
    Newer {
        /// What was expected.
        kind: &'static str,
        /// As the header says.
        version: u32,
        /// The newest that is understood.
        known: u32,
    },
    /// Another kind of message than belongs on its subject.
    #[error("{kind} was expected, {found:?} came")]
    Kind {
        /// What was expected.
        kind: &'static str,
        /// As the header says, cut to 40 characters.
        found: String,
    },
    /// Not MessagePack, cut off, or without a field that is needed.
    #[error("{kind}: {detail}")]
    Body {
        /// What was expected.
        kind: &'static str,
        /// What the decoder says.
        detail: String,
    },
    /// On a subject that no party speaks.
    #[error("a subject that nobody speaks: {0:?}")]
    Subject(String),
}

/// Bytes that most messages fit in, so that writing one seldom has to make room twice.
const USUAL: usize = 1 << 10;

/// Packs a message.
///
/// # Errors
/// If it is too large or cannot be written as MessagePack.
pub fn pack<M: Message>(message: &M) -> Result<Bytes, Malformed> {
    let mut bytes = Vec::with_capacity(USUAL);
    rmp_serde::encode::write_named(&mut bytes, message)
        .map_err(|error| Malformed::Body { kind: M::KIND, detail: error.to_string() })?;
    if M::MAX < bytes.len() {
        return Err(Malformed::TooLarge { kind: M::KIND, size: bytes.len(), max: M::MAX });
    }
    Ok(bytes.into())
}

/// The headers of a message of this kind.
#[must_use]
pub fn headers<M: Message>(work: Option<&WorkId>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(KIND, M::KIND);
    if 1 < M::VERSION {
        headers.insert(VERSION, M::VERSION.to_string());
    }
    if let Some(work) = work {
        headers.insert(WORK, work.as_str());
        headers.insert(TRACEPARENT, trace::parent(work));
    }
    headers
}

/// Labels as the header says them: each by itself, cut to a line of printable ASCII. Whoever needs them whole reads the
/// body.
#[must_use]
pub(crate) fn labels_line(labels: &[String]) -> String {
    let mut line = String::new();
    for label in labels {
        let next: String =
            label.chars().filter(|c| c.is_ascii_graphic() && *c != ',').take(MAX_LABEL).collect();
        if MAX_LABELS < line.len().saturating_add(next.len()) {
            line.push_str(",more");
            break;
        }
        if !line.is_empty() {
            line.push(',');
        }
        line.push_str(&next);
    }
    line
}

/// The longest label in a header, and all of them together, bytes: a header goes through every process on the way.
const MAX_LABEL: usize = 80;
const MAX_LABELS: usize = 1024;

/// Unpacks a message of the kind that is expected.
///
/// # Errors
/// Says in which way it is malformed.
pub fn unpack<M: Message>(headers: Option<&HeaderMap>, payload: &[u8]) -> Result<M, Malformed> {
    if M::MAX < payload.len() {
        return Err(Malformed::TooLarge { kind: M::KIND, size: payload.len(), max: M::MAX });
    }
    if let Some(found) = headers.and_then(|headers| headers.get(KIND))
        && found.as_str() != M::KIND
    {
        return Err(Malformed::Kind { kind: M::KIND, found: found.as_str().chars().take(40).collect() });
    }
    if let Some(version) = headers.and_then(|headers| headers.get(VERSION)) {
        let version = version.as_str().parse().unwrap_or(u32::MAX);
        if M::VERSION < version {
            return Err(Malformed::Newer { kind: M::KIND, version, known: M::VERSION });
        }
    }
    rmp_serde::from_slice(payload)
        .map_err(|error| Malformed::Body { kind: M::KIND, detail: error.to_string() })
}

/// A message as it came in: who spoke is known, the body is not read yet.
#[derive(Debug)]
pub struct Incoming {
    /// Where it came in; says who spoke.
    pub subject: Subject,
    /// Where the speaker takes the answer, if it is the speaker's own inbox.
    pub reply: Reply,
    /// As sent; not trusted.
    pub headers: Option<HeaderMap>,
    /// As sent.
    pub payload: Bytes,
}

/// The reply subject of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No answer is wanted.
    None,
    /// Under the caller's own inbox.
    Own(String),
    /// Somewhere else. Nothing is sent there; the message is dropped and the attempt recorded.
    Foreign(String),
}

impl Incoming {
    /// Reads subject and reply of a raw message.
    ///
    /// # Errors
    /// If the subject is none of ours.
    pub fn read(message: async_nats::Message) -> Result<Self, Malformed> {
        let subject = Subject::parse(&message.subject)
            .ok_or_else(|| Malformed::Subject(message.subject.chars().take(120).collect()))?;
        let reply = match message.reply {
            None => Reply::None,
            Some(reply) if reply_is_callers_own(&subject, &reply) => Reply::Own(reply.to_string()),
            Some(reply) => Reply::Foreign(reply.to_string()),
        };
        Ok(Self { subject, reply, headers: message.headers, payload: message.payload })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// As [`unpack`].
    pub fn body<M: Message>(&self) -> Result<M, Malformed> {
        unpack(self.headers.as_ref(), &self.payload)
    }
}

mod trace;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }
    impl Message for Note {
        const KIND: &'static str = "note";
        const MAX: usize = 64;
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack::<Note>(None, &bytes);
        }

        #[test]
        fn a_truncated_message_is_malformed(text in "[a-z]{1,30}", cut in 1usize..10) {
            let bytes = pack(&Note { text }).unwrap();
            let cut = bytes.len().saturating_sub(cut);
            let error = unpack::<Note>(None, &bytes[..cut]);
            let is_body = matches!(error, Err(Malformed::Body { .. }));
            prop_assert!(is_body);
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_neither_sent_nor_read() {
        let large = Note { text: "x".repeat(100) };
        assert!(matches!(pack(&large), Err(Malformed::TooLarge { .. })));
        assert!(matches!(unpack::<Note>(None, &[0; 100]), Err(Malformed::TooLarge { .. })));
    }

    #[test]
    fn a_message_of_a_newer_version_says_so() {
        let mut newer = headers::<Note>(None);
        newer.insert(VERSION, "7");
        let bytes = pack(&Note { text: "a".into() }).unwrap();
        assert_eq!(
            unpack::<Note>(Some(&newer), &bytes),
            Err(Malformed::Newer { kind: "note", version: 7, known: 1 })
        );
    }

    #[test]
    fn labels_cannot_end_their_header_or_outgrow_it() {
        let labels =
            |texts: &[&str]| labels_line(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(labels(&["user", "app:mail"]), "user,app:mail");
        assert_eq!(labels(&["memory:a,b\r\nSecgpt-Kind: grant"]), "memory:abSecgpt-Kind:grant");
        let many: Vec<String> = (0..500).map(|n| format!("web:host-{n}.example")).collect();
        assert!(labels_line(&many).ends_with(",more") && labels_line(&many).len() < 1100);
    }
}
