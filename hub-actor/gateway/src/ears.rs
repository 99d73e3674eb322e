//! What a gateway hears.
//!
//! Answers: over which connections do spokes and the hub speak to a gateway, and who is handled first?
//! Never: returns before what is said next is heard.
//! Carries: I-16.

use bus::client::{Bus, BusError, Inbound};
use bus::envelope::Incoming;
use bus::pace::Paces;
use bus::service::Service as Listed;
use bus::subject::{Service, pattern};

/// The endpoint of spokes in the service's statistics.
pub const SPOKES: usize = 0;

/// The endpoint of the hub.
pub const HUB: usize = 1;

/// Who a gateway is.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// What is said to it.
    pub service: Service,
    /// The name under which `nats service` lists it.
    pub listed: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
}

/// What a gateway hears: spokes over a connection of their own, at their pace, and the hub.
pub struct Ears {
    spokes: Inbound,
    hub: Inbound,
}

impl Ears {
    /// Subscribes, and lists the gateway. What is said after this returns is heard; a spoke that says too much is made known to the
    /// hub for as long as somebody listens.
    ///
    /// # Errors
    /// If the bus does not take the subscriptions.
    pub async fn open(bus: &Bus, name: Name, paces: Paces) -> Result<(Self, Listed), BusError> {
        let spokes_to = pattern::every_spoke_to(name.service);
        let hub_to = pattern::hub_to(name.service);
        let (ear, floods) = bus.ear(paces).await?;
        let ears = Self { spokes: ear.hear(&spokes_to).await?, hub: bus.subscribe(&hub_to).await? };
        let endpoints = [("spokes", spokes_to.as_str()), ("hub", hub_to.as_str())];
        let listed = Listed::start(bus, name.listed, name.about, &endpoints).await?;
        ear.in_force().await?;
        bus.in_force().await?;
        let bus = bus.clone();
        tokio::spawn(async move { bus.tell_floods(floods).await });
        Ok((ears, listed))
    }

    /// The next one; `None` when a connection is closed for good. The hub first: what it says of a spoke's task, its budget and
    /// its user, comes before what that spoke asks.
    pub async fn next(&mut self) -> Option<Incoming> {
        tokio::select! {
            biased;
            incoming = self.hub.next() => incoming,
            incoming = self.spokes.next() => incoming,
        }
    }
}
