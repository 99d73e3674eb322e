//! Speaks to the model for the hub and for spokes, and is the only process that holds the model's key.
//!
//! Answers: what does the model say next, and may this task still ask it?
//! Never: lets the key onto the bus, into a log or an error; serves a spoke without a budget of the hub.
//! Carries: I-15, I-16.

pub mod serve;

pub mod budget;
pub mod provider;

pub mod request;

pub mod reply;

pub mod retry;
pub mod transport;
