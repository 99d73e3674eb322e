//! The only way out.
//!
//! Answers: may this app reach that host, and what comes back?
//! Never: connects to an address that was not checked, or shows an app a credential.
//! Carries: I-12, I-13, I-15. See the crate's README for the order of the checks.

pub mod address;
pub mod allowed_host;
pub mod url_rule;

pub mod header;
pub mod hello;
pub mod redact;

pub mod limit;

pub mod dial;
pub mod fetch;

pub mod authorize;
pub mod credential;

pub mod app_rules;
pub mod serve;

pub mod command;
