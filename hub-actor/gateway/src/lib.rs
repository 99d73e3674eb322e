//! What both gateways do alike.
//!
//! Answers: how does a gateway start and end, and what does it hear?
//! Never: knows what a gateway is asked; that is each gateway's own.

pub mod ears;
pub mod process;
