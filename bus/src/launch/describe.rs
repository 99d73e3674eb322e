//! How an app is asked what it offers before anybody trusts it: started in its jail, off the bus.
//!
//! Answers: which lines pass between `secgpt apps add`, `spoke-host describe` and `spoke describe`?
//! Never: gives the app a user's data, a way out or a place on the bus.
//!
//! `spoke-host describe` reads one [`Request`] from its standard input, starts `spoke describe`, which reads the jail's
//! description of the app, starts it, confines itself, and says [`Described::Ready`]. Now the host reads what the
//! kernel enforces on both, and an empty line to the spoke says that it vouches for them. Then the spoke asks the app,
//! and says what it offered, or why it could not be asked; the host hands that on as the only line of its standard
//! output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::message::offer::Offer;
use crate::message::profile::Profile;

/// What is to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Command, limits and paths; the functionalities are not known yet.
    pub profile: Profile,
    /// The app's folder.
    pub dir: PathBuf,
    /// An empty folder of the app's own to write in, thrown away afterwards.
    pub data: PathBuf,
    /// The spoke program.
    pub spoke: PathBuf,
}

/// What a spoke tells about its app, a JSON object a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Described {
    /// It is confined, and its app runs in its jail.
    Ready,
    /// All that the app said it offers.
    Offer(Box<Offer>),
    /// It could not come that far.
    Failed {
        /// In a sentence.
        detail: String,
        /// What to do.
        hint: Option<String>,
    },
}
