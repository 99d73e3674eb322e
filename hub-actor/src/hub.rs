//! All actors together.
//!
//! Answers: in which order do they start and stop?
//! Never: works with settings that it does not understand, or without the grants that users gave.
//! Carries: I-05, I-18.

use std::sync::Arc;
use std::time::Duration;

use bus::client::{Bus, BusError};
use bus::identity::{IdentityError, Signer};
use bus::launch::{Child, HubConfig, LaunchError};
use bus::subject::Auditor;

use crate::apps::Apps;
use crate::choosing::Chooser;
use crate::choosing::store::DefaultsStore;
use crate::dispatch::{self, Subscriptions};
use crate::grants_store::{GrantsError, GrantsStore};
use crate::instructions::{Instructions, Missing};
use crate::memory::actor::Memory;
use crate::memory::store::{Store, StoreError};
use crate::parts::{Model, Outages, Parts};
use crate::permission::actor::Permission;
use crate::permission::grant::{Grant, Grants};
use crate::permission::policy::{Faults, NoSuchPreset, Policy, Preset};
use crate::planner::actor::Planner;
use crate::service::Listed;
use crate::session::Desk;
use crate::spokes::Spokes;

/// How often the grants are asked for: a server that has just started needs a moment until it serves them.
const GRANTS_ATTEMPTS: u32 = 5;

/// How long the last messages have to leave.
const FAREWELL: Duration = Duration::from_millis(500);

/// The hub at work.
pub struct Hub {
    parts: Parts,
    desk: Desk,
}

/// Why the hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No connection.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// No subscriptions.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The preset is not one.
    #[error(transparent)]
    Preset(#[from] NoSuchPreset),
    /// A rule is none, or the schema does not allow it.
    #[error("the policy cannot be used: {0}")]
    Policies(#[from] Faults),
    /// The model's instructions are not there.
    #[error(transparent)]
    Instructions(#[from] Missing),
    /// The signing key is damaged.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The memory's address is none.
    #[error(transparent)]
    Memory(#[from] StoreError),
    /// The grants cannot be read.
    #[error(transparent)]
    Grants(#[from] GrantsError),
}

impl StartError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Launch(_) | Self::Bus(_) => "see `url` and `credentials` under [bus] in the configuration",
            Self::Preset(_) | Self::Policies(_) => {
                "see `preset` and `policies` under [permission] in the configuration; `secgpt policy check FILE` tries a file"
            }
            Self::Memory(_) => "see `url` under [memory] in the configuration",
            Self::Grants(_) => "the NATS server needs JetStream, and a disk that is not full",
            Self::Instructions(_) | Self::Identity(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl Hub {
    /// Starts everything. Returns when the hub hears, and the grants are in force.
    ///
    /// # Errors
    /// If it cannot work.
    pub async fn start(child: &Child<HubConfig>) -> Result<Self, StartError> {
        let bus = child.connect("hub", Auditor::Hub).await?;
        Self::start_on(bus, &child.config).await
    }

    /// Starts everything on a connection that is there.
    ///
    /// # Errors
    /// As [`Hub::start`].
    pub async fn start_on(bus: Bus, config: &HubConfig) -> Result<Self, StartError> {
        let preset = config.preset.parse::<Preset>()?;
        let policy = Policy::load(preset, config.presets.as_deref(), &config.policies)?;
        for note in policy.notes() {
            tracing::warn!(%note, "a rule deserves a look");
        }
        let instructions = Arc::new(Instructions::load(&config.prompts)?);
        let signer = Signer::new(&config.signing_seed, config.account.clone())?;
        let store = Store::open(&config.memory_url, Duration::from_secs(config.memory_ttl_s))?;
        let apps = Apps::load(config);

        let subscriptions = Subscriptions::begin(&bus).await?;
        let (grants_store, grants) = grants(&bus).await?;
        let defaults_store = DefaultsStore::beside(&grants_store);
        let defaults = defaults_store.load().await?;

        let spokes = Spokes::start(&bus, apps.offers(), signer);
        let timeout = Duration::from_millis(config.prompt_timeout_ms);
        let permission = Permission::start(&bus, policy, Grants::new(grants), grants_store, timeout);
        let choosing = Chooser::start(apps.clone(), defaults, defaults_store, timeout);
        let model = Model::default();
        let planner = Planner::start(&bus, Arc::clone(&instructions), model.clone(), config.embeddings);
        let memory =
            Memory::start(store, spokes.clone(), Arc::clone(&instructions), config.summary_token_limit);
        if let Err(why) = memory.ping().await {
            tracing::warn!(
                why,
                "the hub starts without conversation memory; it will use it when it is there"
            );
        }
        let service = Listed::start(&bus).await?;
        let parts = Parts {
            bus: bus.clone(),
            apps,
            instructions,
            spokes,
            permission,
            choosing,
            planner,
            memory,
            model,
            outages: Outages::watch(&bus),
            service,
        };
        let desk = Desk::start(parts.clone());
        subscriptions.dispatch(&parts, &desk);
        actix::spawn(dispatch::watch(bus, parts.spokes.clone()));
        Ok(Self { parts, desk })
    }

    /// Ends every query with a sentence, has every spoke stopped, and sends what is left to send.
    pub async fn stop(self) {
        self.desk.stop().await;
        self.parts.memory.settle().await;
        self.parts.spokes.stop_all().await;
        // The process ends whether or not the broker is there to take what is left.
        if self.parts.bus.nats().drain().await.is_ok() {
            let _ = tokio::time::timeout(FAREWELL, self.parts.bus.lost()).await;
        }
    }
}

async fn grants(bus: &Bus) -> Result<(GrantsStore, Vec<Grant>), GrantsError> {
    let mut attempt = 1;
    loop {
        let opened = async {
            let store = GrantsStore::open(bus.nats()).await?;
            let grants = store.load().await?;
            Ok((store, grants))
        };
        match opened.await {
            Err(error) if attempt < GRANTS_ATTEMPTS => {
                tracing::warn!(%error, attempt, "the grants are not to be had yet");
                tokio::time::sleep(Duration::from_millis(200).saturating_mul(attempt)).await;
                attempt += 1;
            }
            opened => return opened,
        }
    }
}
