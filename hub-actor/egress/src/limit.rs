//! How much of the web is taken at once, each number with its reason.
//!
//! Answers: how long, how large, how many?
//! Never: is "no limit" an answer.
//! Carries: I-16.

use std::time::Duration;

/// What one request may use. A value, so that a test does not wait for minutes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All of it, redirects and body included; no longer than a task may take.
    pub total: Duration,
    /// For the names' addresses. Resolvers give up after about as long.
    pub name: Duration,
    /// For a connection with its TLS handshake.
    pub connect: Duration,
    /// From the request to the end of the answer's head. An API that thinks before it speaks needs some of it.
    pub head: Duration,
    /// Between two pieces of a body, and for the spoke to take one.
    pub idle: Duration,
    /// All of a head, bytes. Servers themselves take 8 to 64 KiB.
    pub head_bytes: usize,
    /// A body, decompressed, bytes. It is streamed, so this bounds time and traffic rather than memory.
    pub body_bytes: u64,
    /// A tunnel on which nothing moves. Long enough for a kept-alive connection, short enough to be freed.
    pub tunnel_idle: Duration,
    /// For the first bytes of a tunnel to be a complete TLS hello.
    pub hello: Duration,
}

/// In force.
pub const STANDARD: Limits = Limits {
    total: Duration::from_secs(180),
    name: Duration::from_secs(5),
    connect: Duration::from_secs(10),
    head: Duration::from_secs(60),
    idle: Duration::from_secs(30),
    head_bytes: 64 << 10,
    body_bytes: 64 << 20,
    tunnel_idle: Duration::from_secs(300),
    hello: Duration::from_secs(10),
};

/// Redirects that are followed. Browsers follow twenty; APIs need one or two.
pub const REDIRECTS: usize = 5;

/// Addresses of one name that are looked at. Real names have up to a dozen.
pub const ADDRESSES: usize = 32;

/// Headers that an app may send.
pub const HEADERS: usize = 64;

/// All headers that an app may send, bytes.
pub const HEADER_BYTES: usize = 32 << 10;

/// Fetches of one spoke at once. A browser opens six connections to a host.
pub const FETCHES_OF_A_SPOKE: usize = 16;

/// Tunnels of one spoke at once. An app with a connection pool for a few hosts stays below.
pub const TUNNELS_OF_A_SPOKE: usize = 32;

/// Fetches and tunnels of all spokes at once. Each may hold a window of 1 MiB.
pub const ALL: usize = 1024;

/// Connections' owners (app, host, addresses) that are kept for the next request.
pub const KEPT_CLIENTS: usize = 256;

/// How long an unused connection is kept for the next request to the same host.
pub const KEPT_CONNECTION: Duration = Duration::from_secs(20);

/// Messages a second from one spoke, and at once: the words of its tunnels and fetches. What comes faster is dropped
/// unread, and a spoke that goes on is ended. An eager app makes some thousand small fetches a second; a spoke's own
/// proxy stays far below.
pub const PACE: (u32, u32) = (10_000, 20_000);

/// Spokes whose pace is remembered. Beyond this, those that were silent for a while are forgotten.
pub const PACES: usize = 4096;

/// Spokes whose user is remembered. The hub takes back each; this bounds what it forgets.
pub const USERS: usize = 65_536;
