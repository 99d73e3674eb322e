//! The gateway against real servers, over real TLS, on a real broker.
//!
//! `web`: what may be reached and within which limits. `bus`: what a spoke says and hears. `secrets`: who sees a
//! credential. `program`: the process as `secgpt` starts it. `server`: the servers, hostile ones among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bus;
mod program;
mod secrets;
mod server;
mod web;
