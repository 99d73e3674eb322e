//! The hub on a real broker and a real store, among scripted peers.
//!
//! Answers: what does the hub do when hosts, spokes, gateways and users behave, and when they do not?
//! Never: stands a part of the hub itself aside; only its peers are played, over the bus, with their own credentials.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod broker;
mod client;
mod peers;
mod town;

mod answers;
mod apps;
mod choices;
mod faults;
mod forged;
mod memory;
mod prompts;
mod requests;
