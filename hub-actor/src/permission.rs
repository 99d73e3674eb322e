//! Who may send what to whom.
//!
//! Answers: is a flow allowed, to be asked about, or denied, and by which rule?
//! Never: decides by what a model or an app says of itself.
//! Carries: I-05, I-06, I-07.

pub mod actor;
pub mod asking;
pub mod decide;
pub mod destination;
pub mod grant;
pub mod label;
pub mod lookalike;
pub mod offer;
pub mod policy;
pub mod prompts;
pub mod question;
pub mod stats;

#[cfg(test)]
mod sequences;
