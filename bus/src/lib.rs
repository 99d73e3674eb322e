//! How the processes of `secgpt` talk: names, subjects, rights, identities, messages.
//!
//! Answers: who may say what on which subject, and in which words?
//! Never: decides whether a flow is permitted; that is the hub's permission actor.
//! Carries: I-01, I-02, I-03, I-04, I-09 (see `tests/INVARIANTS.md`).

pub mod id;
pub mod subject;

pub mod acl;
pub mod identity;
pub mod secret;

pub mod envelope;
pub mod limits;
pub mod message;

pub mod bucket;
pub mod client;
pub mod launch;
pub mod pace;
pub mod server_config;
pub mod service;
pub mod system_account;
pub mod tunnel;
pub mod turns;
