//! What a test needs to have real parts around it: brokers, stores, and whole systems.
//!
//! Answers: how does a test get a real broker, a real store, a whole system of its own?
//! Never: stands in for a part that can be run; leaves a process or a folder behind when the test passed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod bundle;
pub mod core_process;
pub mod golden;
pub mod mcp_pipes;
pub mod model_server;
pub mod nats;
pub mod package;
pub mod person;
pub mod program;
pub mod raw;
pub mod redis;
pub mod scratch;
pub mod stranger;
pub mod system;
pub mod web_server;
