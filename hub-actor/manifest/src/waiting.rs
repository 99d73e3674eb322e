//! What an app of the web needs before it is of use.
//!
//! Answers: is there anything that it could do as it stands?
//! Never: decides whether it may; an app that waits is only not offered to who did not name it.

use crate::load::{AppKind, Manifest};

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Its `[network]` names nothing that it could reach.
    Network,
    /// It says which credential goes with its requests, and there is none.
    Credential,
}

impl Manifest {
    /// What the app still waits for; `authorized` says whether any credential of it is kept. A program does something
    /// without the web, and an app that is instructions only needs nothing.
    #[must_use]
    pub fn waits_for(&self, authorized: bool) -> Option<Waiting> {
        match self.kind {
            AppKind::Prompt | AppKind::Stdio { .. } => None,
            AppKind::Remote { .. } | AppKind::Http { .. } if self.network.is_empty() => {
                Some(Waiting::Network)
            }
            AppKind::Remote { .. } | AppKind::Http { .. } => {
                (!self.credentials.is_empty() && !authorized).then_some(Waiting::Credential)
            }
        }
    }
}
