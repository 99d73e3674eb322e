//! The hub as a NATS micro service (ADR-32).
//!
//! Answers: is the hub there, and which version is it, for whoever asks with the ordinary `nats` command line?
//! Never: offers an endpoint; the hub is spoken to on its own subjects only.

use async_nats::service::{Service, ServiceExt};
use bus::client::Bus;

/// Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` for as long as what it returns is kept.
///
/// # Errors
/// If the connection is closed.
pub async fn start(bus: &Bus, apps: usize) -> Result<Service, async_nats::Error> {
    bus.nats()
        .service_builder()
        .description("secgpt hub: plans queries, carries plans out, permits every flow")
        .metadata([("apps".to_owned(), apps.to_string())].into_iter().collect())
        .start("secgpt-hub", env!("CARGO_PKG_VERSION"))
        .await
}
