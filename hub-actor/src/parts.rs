//! The parts of the hub, as they know each other.
//!
//! Answers: whom does one ask for what?
//! Never: does anything itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::client::Bus;

use crate::apps::Apps;
use crate::choosing::Chooser;
use crate::instructions::Instructions;
use crate::memory::actor::Memory;
use crate::permission::actor::Permission;
use crate::planner::actor::Planner;
use crate::service::Listed;
use crate::spokes::Spokes;

/// Handles to all actors, and what never changes. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// The connection.
    pub bus: Bus,
    /// The installed apps.
    pub apps: Apps,
    /// What models are told.
    pub instructions: Arc<Instructions>,
    /// Who does the work.
    pub spokes: Spokes,
    /// Who permits it.
    pub permission: Permission,
    /// Who finds out which app is to do it.
    pub choosing: Chooser,
    /// Who plans it.
    pub planner: Planner,
    /// Who remembers it.
    pub memory: Memory,
    /// The model that answered last.
    pub model: Model,
    /// How often the bus was lost.
    pub outages: Outages,
    /// The hub as a micro service.
    pub service: Listed,
}

/// How often the connection to the bus was lost. What was said around such a moment may not have been heard.
#[derive(Clone, Debug, Default)]
pub struct Outages(Arc<AtomicU64>);

impl Outages {
    /// Counts from now on.
    #[must_use]
    pub fn watch(bus: &Bus) -> Self {
        let (outages, bus) = (Self::default(), bus.clone());
        let count = Arc::clone(&outages.0);
        actix::spawn(async move {
            loop {
                bus.lost().await;
                count.fetch_add(1, Ordering::Relaxed);
                while !bus.is_connected() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        outages
    }

    /// How often so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The model that answered last, as the gateway named it.
#[derive(Clone, Debug, Default)]
pub struct Model(Arc<Mutex<Option<String>>>);

impl Model {
    /// This one answered.
    pub fn answered(&self, name: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
    }

    /// What the user should know about it: its name, and whether it is a model at all.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let name = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        if name.starts_with("scripted") {
            return Some(format!("{name}: answers come from rules, not from a language model"));
        }
        Some(name)
    }
}
