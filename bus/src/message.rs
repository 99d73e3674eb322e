//! What is said on the bus: one file for each conversation.
//!
//! Answers: which fields does this message have?
//! Never: carries who spoke; that is the subject's alone. Holds no rules.
//! Carries: I-02.

pub mod chat;
pub mod egress;
pub mod task;

pub mod isc;
pub mod offer;
pub mod operation;
pub mod profile;

pub mod host;
pub mod user;

pub mod audit;

pub mod echo;
pub mod log;
