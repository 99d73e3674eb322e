//! The hub as a NATS micro service (ADR-32).
//!
//! Answers: is the hub there, and how much is it asked, for whoever looks with the ordinary `nats` command line?
//! Never: tells what was asked.

use std::time::Duration;

use bus::client::{Bus, BusError};
use bus::service::Service;
use bus::subject::{Service as To, pattern};

/// The hub's entry in the list. Cheap to clone.
#[derive(Clone)]
pub struct Listed(Service);

const QUERIES: usize = 0;
const REQUESTS: usize = 1;

impl Listed {
    /// Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` from now on.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn start(bus: &Bus) -> Result<Self, BusError> {
        let about = "plans queries, carries plans out, permits every flow";
        let spokes = pattern::every_spoke_to(To::Isc);
        let endpoints = [("users", pattern::EVERY_USER_OUT), ("spokes", spokes.as_str())];
        Ok(Self(Service::start(bus, "secgpt-hub", about, &endpoints).await?))
    }

    /// Counts what a user asks. The time is not counted: a person or a model may have a part in it.
    pub fn query(&self) {
        self.0.note(QUERIES, Duration::ZERO, None);
    }

    /// Counts what a spoke asks.
    pub fn request(&self) {
        self.0.note(REQUESTS, Duration::ZERO, None);
    }
}
