//! How a spoke is started by its host.
//!
//! Answers: which lines pass between a host and the spoke it has just started?
//! Never: carries a secret; the spoke's private key stays in the spoke. What strangers wrote (descriptions, schemas,
//! the profile) has a line of its own, which the spoke reads only when it is confined.
//!
//! The spoke says [`SpokeSaid::PublicKey`] at once. The host writes three lines: an [`Assignment`], the
//! [`Profile`](crate::message::profile::Profile), and the signed statement. The spoke says `Ready` or `Failed`, and
//! at its end, if its app ended first, `AppEnded`. When its standard input closes, its host is gone and it ends.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::SpokeAddr;

/// What a spoke is told before it is confined. `A` is the jail's description of the app child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment<A> {
    /// Who it is.
    pub addr: SpokeAddr,
    /// Where the bus is.
    pub url: String,
    /// For TLS.
    pub tls_ca: Option<PathBuf>,
    /// Its app child, if the app is a program.
    pub app: Option<A>,
}

/// What a spoke tells its host, a JSON object a line. Not to be trusted: what is in force, the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpokeSaid {
    /// First: the public part of its own key.
    PublicKey(String),
    /// It is confined, listens, and its app child runs.
    Ready,
    /// It could not come that far.
    Failed {
        /// In a sentence.
        detail: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Its app child has ended, so it ends too.
    AppEnded {
        /// How, in a few words.
        how: String,
        /// Was the app killed for breaking a rule?
        violation: bool,
    },
}
