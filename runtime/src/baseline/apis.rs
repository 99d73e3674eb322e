//! The baseline's way to web APIs: the same gateway with the same credentials, and nobody who decides.
//!
//! Answers: what does an API say when it is simply called?
//! Never: asks the hub. Credentials that are kept for everyone go along; those of one user do not, as no user is meant.

use std::collections::BTreeMap;

use bus::id::{AppId, SpokeAddr, SpokeId};
use spoke::plain::Plain;

use crate::config::Config;
use crate::error::Error;
use crate::system::System;

/// The apps of kind `http`, each on a connection of its own.
pub struct Apis {
    system: System,
    plain: BTreeMap<AppId, Plain>,
}

impl Apis {
    /// Joins the system that runs, or starts one.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn open(config: &Config, apps: impl Iterator<Item = &AppId>) -> Result<Self, Error> {
        let system = System::open(config, "baseline", |_| {}).await?;
        let mut plain = BTreeMap::new();
        for app in apps {
            let addr = SpokeAddr { app: app.clone(), id: SpokeId::fresh() };
            plain.insert(app.clone(), Plain::new(system.spoke(&addr).await?, addr));
        }
        Ok(Self { system, plain })
    }

    /// The requests of an app.
    pub fn of(&self, app: &AppId) -> Option<&Plain> {
        self.plain.get(app)
    }

    /// Stops what was started for it.
    pub async fn close(self) {
        drop(self.plain);
        self.system.close().await;
    }
}
