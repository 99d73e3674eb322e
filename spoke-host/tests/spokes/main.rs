//! Real spokes on a real broker, started by the real host; the tests play the hub and the model.
//!
//! Answers: does a spoke do what it is told, and does everybody learn at once what became of it?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hub;
mod strangers;

mod apps;
mod asked;
mod life;
mod mcp;
mod model;
mod proxy;

// The gateway's own tests have the servers that are needed here too.
#[allow(dead_code)]
#[path = "../../../hub-actor/egress/tests/it/server.rs"]
mod server;
