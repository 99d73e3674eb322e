//! Apps of strangers, from a registry, a command line or a description to a folder that a person has agreed to.
//!
//! Answers: what has to be fetched, what does the app offer, and what is proposed about it?
//! Never: runs a line of the app outside of its jail; leaves half an app behind.
//! Carries: I-06, I-17.
//!
//! In this order: a staging folder (`staging.rs`), the files (`pypi.rs`, `npm.rs`), a start in the jail to be asked what it
//! offers (`offer.rs`; a server on the web is asked by way of the egress gateway, `remote.rs`,
//! and how one signs in there, `discovery.rs`), a manifest that denies what nobody has said (`propose.rs`), and the move to its place.

pub mod access;
pub mod difference;
pub mod discovery;
pub mod npm;
pub mod offer;
pub mod openapi;
pub mod program;
pub mod propose;
pub mod pypi;
pub mod remote;
pub mod server;
pub mod source;
pub mod staging;
pub mod yaml;

mod tool;
