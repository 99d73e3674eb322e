//! How a service hears spokes.
//!
//! Answers: over which connection does it hear them, and who hears of those that send too much?
//! Never: has anything but spokes' words on that connection, once it is in force.
//! Carries: I-16.
//!
//! It is a connection of its own, because a connection on which more comes than can be read sends nothing: its reader uses
//! up all that one turn may do. And at the broker, everything for one connection stands in one queue; what the core says to
//! itself must not wait there behind a flood.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::{Address, Bus, BusError, Inbound, dial, for_ever, options};
use crate::id::{AppId, SpokeAddr, SpokeId};
use crate::identity::Credential;
use crate::limits::{EAR_QUEUE, READ_AT_ONCE};
use crate::pace::{Excess, Paces};

/// Floods that wait to be made known. Each is said again after a second.
const FLOODS: usize = 64;

/// A spoke that is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flood {
    /// Which.
    pub spoke: SpokeAddr,
    /// Why, as a part of a sentence.
    pub why: String,
}

/// How fast each spoke may speak to one service, on however many subscriptions.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    paces: Arc<Mutex<Paces>>,
    floods: mpsc::Sender<Flood>,
}

impl Gate {
    pub(super) fn paces(&self) -> std::sync::MutexGuard<'_, Paces> {
        // Nothing panics while it holds the lock; and if it did, the rates are whole.
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes known that a spoke is to be ended.
    pub(super) fn end(&self, spoke: &str, excess: Excess) {
        let named = spoke.split_once('.').and_then(|(app, id)| {
            Some(SpokeAddr { app: AppId::parse(app).ok()?, id: SpokeId::parse(id).ok()? })
        });
        if let Some(spoke) = named {
            let why = self.paces().why(excess);
            // If nobody has heard of the last ones yet, this one comes again.
            let _ = self.floods.try_send(Flood { spoke, why });
        }
    }
}

/// What is needed for a second connection in the same role.
#[derive(Debug)]
pub(super) struct Way {
    address: Address,
    credential: Credential,
    name: String,
    inbox: String,
}

impl Way {
    pub(super) fn new(address: &Address, credential: &Credential, name: &str, inbox: &str) -> Self {
        let (address, credential) = (address.clone(), credential.clone());
        Self { address, credential, name: name.to_owned(), inbox: inbox.to_owned() }
    }
}

/// Hears spokes.
pub struct Ear {
    pub(super) bus: Bus,
    pub(super) client: async_nats::Client,
    gate: Gate,
}

impl Bus {
    /// A connection for what spokes say to this service, and where it is said which of them are to be ended.
    ///
    /// # Errors
    /// If the broker cannot be reached, or the role is not of the core.
    pub async fn ear(&self, paces: Paces) -> Result<(Ear, mpsc::Receiver<Flood>), BusError> {
        let way = self.way.as_ref().ok_or_else(|| BusError::Refused("this role hears no spokes".into()))?;
        let name = format!("{} (ear)", way.name);
        let (options, _) = options(&way.credential, &name, &way.inbox, EAR_QUEUE)?;
        let client = dial(&way.address, for_ever(options.read_buffer_capacity(READ_AT_ONCE))).await?;
        let (floods, heard) = mpsc::channel(FLOODS);
        let gate = Gate { paces: Arc::new(Mutex::new(paces)), floods };
        Ok((Ear { bus: self.clone(), client, gate }, heard))
    }
}

impl Ear {
    /// Hears all that matches a pattern of [`crate::subject::pattern`]: counted before any of it is handled, and each
    /// spoke in its turn. In force when [`Ear::in_force`] has returned.
    ///
    /// # Errors
    /// As [`Bus::subscribe`].
    pub async fn hear(&self, pattern: &str) -> Result<Inbound, BusError> {
        let refused = |error: &dyn std::fmt::Display| BusError::Refused(error.to_string());
        let subscriber = self.client.subscribe(pattern.to_owned()).await.map_err(|error| refused(&error))?;
        Ok(Inbound::new(self.bus.clone(), subscriber).behind(self.gate.clone()))
    }
}
