//! The gateway against real servers, over real TLS, on a real broker.
//!
//! `web`: what may be reached and within which limits. `bus`: what a spoke says and hears. `secrets`: who sees a
//! credential. `authorize`: how a token comes in, from the strict or wicked `authorization_server`. `program`: the process as
//! `secgpt` starts it. `server`: the servers, hostile ones among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authorization_server;
mod authorize;
mod bus;
mod program;
mod secrets;
mod server;
mod web;
