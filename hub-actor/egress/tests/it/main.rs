//! The gateway against real servers, over real TLS, on a real broker.
//!
//! `web`: what may be reached and within which limits. `bus`: what a spoke says and hears. `secrets`: who sees a
//! credential. `authorize`: how a token comes in. `renewal`: how it stays good. `program`: the process as `secgpt` starts it.
//! `server`: what the gateway is told of the tests' servers, hostile ones among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authorize;
mod bus;
mod program;
mod renewal;
mod secrets;
mod server;
mod web;
