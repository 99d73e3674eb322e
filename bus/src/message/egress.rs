//! The web: spoke to the egress-gateway on `…out.egress.{fetch,chunk,tunnel}`; answers into the speaker's own inbox.
//!
//! Answers: how does a spoke have something fetched, and how does an app's proxied connection cross the bus?
//! Never: carries a credential; the gateway adds those, and nobody else sees them.
//! Carries: I-02, I-12, I-15, I-16.
//!
//! **Fetch.** The spoke asks with [`FetchRequest`] (`Bus::request_many`). It gets one [`FetchReply::Head`], any number of
//! `Chunk`s numbered from 0, and an `End`; or `Failed`, at any point, as the last. At most [`WINDOW`] chunks of at most
//! [`WINDOW_BYTES`] together are under way: the spoke says on `…egress.chunk` how many it has taken
//! ([`FetchControl::Taken`]), at the latest when half of either is, and the gateway reads no further from the web until it
//! does. A body within both needs no such word. `Stop` ends it early.
//!
//! **Tunnel.** One end of a CONNECT proxy: the spoke asks with [`TunnelSay::Open`] (`Bus::request_many`; all of the tunnel's
//! [`TunnelReply`]s come into that inbox) and, after `Opened`, both sides send `Data` numbered from 0, of up to [`CHUNK`]
//! bytes, at most [`WINDOW`] of them beyond what the other side said it has `Taken`. `Finish` ends one's own direction,
//! `Close`/`Closed` the whole. The first bytes must be a TLS hello for the very host of `Open`, unless the manifest names
//! the address under `local`. The spoke sends the messages of one tunnel in order on one connection; a gap ends it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::envelope::Message;
use crate::id::{AppId, SpokeAddr, UserId, WorkId};

/// Bytes from an app into a tunnel in one message, at most. Sixteen of them fill the window with 1 MiB, which is enough for a
/// local connection's full speed and little enough to hold for hundreds of spokes.
pub const CHUNK: usize = 64 << 10;

/// Bytes from the web in one message, of a fetched body or in a tunnel, at most. Each message costs its sender, the broker and its reader about the same
/// whatever its size; the web's own pieces are no larger than this by much.
pub const BODY_CHUNK: usize = 256 << 10;

/// Bytes from the web that may be under way without the spoke's word that it took them.
pub const WINDOW_BYTES: usize = 1 << 20;

/// Chunks that may be under way without the other side's word that it took them.
pub const WINDOW: u32 = 16;

/// What a spoke has taken of a body or a tunnel and not said so yet. It says so at half of either window: the sender then never
/// stands still for it, and is not told of each chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    chunks: u32,
    bytes: usize,
}

impl Untold {
    /// One more chunk of this size was taken. Is it time to say so? Then all of it counts as said.
    #[must_use]
    pub fn took(&mut self, size: usize) -> bool {
        self.chunks = self.chunks.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size);
        let due = WINDOW / 2 <= self.chunks || WINDOW_BYTES / 2 <= self.bytes;
        if due {
            *self = Self::default();
        }
        due
    }
}

/// The largest body of a request, bytes: with its headers it must fit one message.
pub const MAX_REQUEST_BODY: usize = 896 << 10;

/// Please fetch this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Chosen by the spoke; names the fetch in [`FetchControl`]. Not used twice at once.
    pub id: WorkId,
    /// The task for which it is, for the audit.
    pub task: Option<WorkId>,
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`.
    pub method: String,
    /// Absolute; `https`, or `http` without a credential.
    pub url: String,
    /// The gateway refuses those that belong to the connection (`Host`, `Content-Length`, `Proxy-…`, …) and `Cookie`.
    pub headers: Vec<(String, String)>,
    /// Up to [`MAX_REQUEST_BODY`].
    pub body: Bytes,
    /// All of it must be done in this time, milliseconds; the gateway has a limit of its own besides.
    pub limit_ms: u64,
}

impl Message for FetchRequest {
    const KIND: &'static str = "fetch-request";
}

/// What came of a fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchReply {
    /// First.
    Head {
        /// As the server said; redirects were followed before.
        status: u16,
        /// Where the answer came from, after redirects.
        url: String,
        /// Without those of the connection, and without `Set-Cookie`. The body is already decompressed.
        headers: Vec<(String, String)>,
    },
    /// The next piece of the body.
    Chunk {
        /// From 0.
        seq: u32,
        /// 1 to [`BODY_CHUNK`] bytes.
        bytes: Bytes,
    },
    /// Last: the body is complete.
    End {
        /// Of the body, decompressed.
        bytes: u64,
    },
    /// Last: there will be no (more) answer.
    Failed(WebFailure),
}

impl Message for FetchReply {
    const KIND: &'static str = "fetch-reply";
}

/// Why there is no answer from the web.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct WebFailure {
    /// For programs.
    pub code: WebError,
    /// For people: one sentence that is true; names the manifest's line where one would allow it.
    pub detail: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebError {
    /// Not a URL, method or header that the gateway takes.
    Request,
    /// The app's manifest does not name the host.
    Rules,
    /// The host's address is not a public one, and the manifest does not name it.
    Address,
    /// The name has no address.
    Name,
    /// No connection.
    Connect,
    /// The server's certificate is not good for the host, or TLS failed otherwise.
    Tls,
    /// The first bytes of a tunnel are no TLS hello for its host.
    Hello,
    /// Not done in time, or silent for too long.
    Timeout,
    /// Headers or body are larger than is taken.
    TooLarge,
    /// Too many redirects, or one to where the app may not go.
    Redirect,
    /// The connection ended in the middle.
    Cut,
    /// The server does not speak HTTP.
    Nonsense,
    /// The credential is there, but cannot be used: expired and not renewed, or revoked.
    Credential,
    /// Too many at once.
    Busy,
    /// The spoke broke the protocol of this file: sent beyond the window, out of order, or took nothing for too long.
    Flow,
    /// The spoke stopped it, or the gateway is stopping.
    Stopped,
}

impl WebFailure {
    /// A failure of this kind, with a sentence.
    #[must_use]
    pub fn new(code: WebError, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What a spoke says of a fetch under way, on `…egress.chunk`. Not answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchControl {
    /// So many chunks are taken by now, in all.
    Taken {
        /// Which fetch.
        id: WorkId,
        /// The number of the last one taken, plus 1.
        chunks: u32,
    },
    /// No more, please.
    Stop {
        /// Which fetch.
        id: WorkId,
    },
}

impl Message for FetchControl {
    const KIND: &'static str = "fetch-control";
    const MAX: usize = 4 << 10;
}

/// What a spoke says of a tunnel, on `…egress.tunnel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelSay {
    /// Connect me. The only one with a reply subject.
    Open {
        /// Chosen by the spoke. Not used twice at once.
        id: WorkId,
        /// The task for which it is, if the spoke knows.
        task: Option<WorkId>,
        /// As in the app's `CONNECT host:port`; an IPv6 address in brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// Bytes from the app.
    Data {
        /// Which tunnel.
        id: WorkId,
        /// From 0.
        seq: u32,
        /// 1 to [`CHUNK`] bytes.
        bytes: Bytes,
    },
    /// So many of the gateway's chunks are taken by now, in all.
    Taken {
        /// Which tunnel.
        id: WorkId,
        /// The number of the last one taken, plus 1.
        chunks: u32,
    },
    /// The app sends no more, and may still read.
    Finish {
        /// Which tunnel.
        id: WorkId,
    },
    /// It is over.
    Close {
        /// Which tunnel.
        id: WorkId,
    },
}

impl Message for TunnelSay {
    const KIND: &'static str = "tunnel-say";
    const MAX: usize = CHUNK + (4 << 10);
}

/// What the gateway says of a tunnel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelReply {
    /// First: there is a connection.
    Opened,
    /// Bytes from the server.
    Data {
        /// From 0.
        seq: u32,
        /// 1 to [`BODY_CHUNK`] bytes.
        bytes: Bytes,
    },
    /// So many of the spoke's chunks were written to the connection by now, in all.
    Taken {
        /// The number of the last one taken, plus 1.
        chunks: u32,
    },
    /// The server sends no more.
    Finished,
    /// Last: it is over; with the reason, if it did not end in good order.
    Closed(Option<WebFailure>),
}

impl Message for TunnelReply {
    const KIND: &'static str = "tunnel-reply";
    const MAX: usize = BODY_CHUNK + (4 << 10);
}

/// For whom a spoke works: hub to gateway on `secgpt.hub.out.egress.rules`, acknowledged by [`SpokeUserSet`], before the
/// spoke gets its first task. Without it the spoke's requests carry no credential of any user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpokeUser {
    /// Which spoke.
    pub spoke: SpokeAddr,
    /// For whom; nobody any more, when the spoke has ended.
    pub user: Option<UserId>,
}

impl Message for SpokeUser {
    const KIND: &'static str = "spoke-user";
    const MAX: usize = 4 << 10;
}

/// The gateway knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokeUserSet {}

impl Message for SpokeUserSet {
    const KIND: &'static str = "spoke-user-set";
}

/// The apps' folders have changed, and a person says so: hub to gateway on `secgpt.hub.out.egress.take-up`, acknowledged by
/// [`TakenUp`] when the manifests' rules are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeUp {}

impl Message for TakeUp {
    const KIND: &'static str = "take-up";
}

/// They are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    /// Apps of which a credential is kept, whoever's.
    pub authorized: Vec<AppId>,
}

impl Message for TakenUp {
    const KIND: &'static str = "taken-up";
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::envelope::{pack, unpack};
    use crate::limits::MAX_PAYLOAD;

    #[test]
    fn a_chunk_travels_as_bytes_and_not_as_a_list_of_numbers() {
        let chunk = FetchReply::Chunk { seq: 7, bytes: Bytes::from(vec![0xff; BODY_CHUNK]) };
        let packed = pack(&chunk).unwrap();
        assert!(packed.len() < BODY_CHUNK + 100, "{}", packed.len());
        assert_eq!(unpack::<FetchReply>(None, &packed).unwrap(), chunk);
    }

    #[test]
    fn the_largest_request_fits_one_message() {
        let request = FetchRequest {
            id: WorkId::fresh(),
            task: Some(WorkId::fresh()),
            method: "POST".into(),
            url: "x".repeat(8 << 10),
            headers: vec![("a".repeat(1 << 10), "b".repeat(63 << 10))],
            body: Bytes::from(vec![0; MAX_REQUEST_BODY]),
            limit_ms: 1,
        };
        assert!(pack(&request).unwrap().len() <= MAX_PAYLOAD);
    }

    proptest::proptest! {
        #[test]
        fn a_sender_with_a_full_window_is_always_told(sizes in proptest::collection::vec(1..=BODY_CHUNK, 1..200)) {
            let (mut untold, mut chunks, mut bytes) = (Untold::default(), 0, 0);
            for size in sizes {
                chunks += 1;
                bytes += size;
                if untold.took(size) {
                    (chunks, bytes) = (0, 0);
                }
                // One more of any size still finds room: nobody waits for the other.
                proptest::prop_assert!(chunks < WINDOW && bytes + BODY_CHUNK <= WINDOW_BYTES);
            }
        }
    }
}
