//! How much of anything is allowed, each number with its reason.
//!
//! Answers: how large, how many, how long?
//! Never: is such a number written elsewhere without a name.
//! Carries: I-16.

use std::time::Duration;

/// The largest message on the bus, bytes. The broker enforces it for every role. Large enough for a model
/// conversation of 200,000 tokens in text; small enough that a queue of them does not fill memory.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// The largest result of an app that is handed on, bytes. A larger one is an error of the app; several results
/// together must still fit one message to the model.
pub const MAX_RESULT: usize = 256 << 10;

/// The longest query of a user, bytes.
pub const MAX_QUERY: usize = 64 << 10;

/// The most steps a plan may have. The planner is told; a longer plan is refused.
pub const MAX_STEPS: usize = 200;

/// Messages that wait for a subscriber in this process before the newest is dropped and counted.
pub const SUBSCRIPTION_QUEUE: usize = 16_384;

/// The same for what spokes say to a service. More than the connection reads before the service has its turn: 128 times
/// [`READ_AT_ONCE`], of messages of forty bytes; else a flood would have the messages of others dropped with its own.
pub const EAR_QUEUE: usize = 65_536;

/// Bytes that such a connection reads at once. The larger, the more comes between two turns of the service.
pub const READ_AT_ONCE: u16 = 16 << 10;

/// Messages, and bytes, of one spoke that wait to be handled by one service. A spoke's tunnels and fetches may have a
/// thousand messages and 46 MB under way.
pub const SPOKE_QUEUE: (usize, usize) = (4096, 48 << 20);

/// Messages a second that one spoke may send to the hub, and how many it may send at once. A delegate's busiest
/// loop stays under a hundred a second.
pub const SPOKE_RATE: (u32, u32) = (20_000, 40_000);

/// How long a service has to answer a request that needs no model and no person.
pub const PROMPT_REPLY: Duration = Duration::from_secs(5);

/// How long a spoke has from being asked for to being ready. The median is some milliseconds; an app on a cold
/// disk may need seconds.
pub const SPAWN: Duration = Duration::from_secs(20);

/// A task's wall-clock limit, unless the app's manifest says less.
pub const TASK: Duration = Duration::from_secs(180);

/// How long the credential of a spoke is good for.
pub const SPOKE_CREDENTIAL: Duration = Duration::from_secs(60 * 60);

/// How often a host says that it is there, and a query that it is being worked on.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how long without a sign a host, or the hub, counts as gone.
pub const SILENCE: Duration = Duration::from_secs(5);
