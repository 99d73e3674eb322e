//! The installed apps, as they were last taken up.
//!
//! Answers: which apps are there now, and what is wrong with the others?
//! Never: looks at the folders unless it is told to; takes up an app whose files are not those that were pinned.
//! Carries: I-17.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bus::id::AppId;
use bus::launch::HubConfig;
use bus::message::profile::Limits;
use manifest::{Manifest, ManifestError};

use crate::registry::Catalogue;
use crate::spokes::book::Offer;
use crate::spokes::{empty, empty_offer};

/// The apps. Cheap to clone; all clones see what is taken up.
#[derive(Clone, Debug)]
pub struct Apps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folders: Folders,
    now: RwLock<Known>,
    /// One at a time asks and looks, so that what is taken up last was read last.
    looking: tokio::sync::Mutex<()>,
}

/// Where apps are, and which of them count.
#[derive(Clone, Debug)]
struct Folders {
    dirs: Vec<PathBuf>,
    /// Those that the settings name. Nobody can add to them while the hub runs.
    enabled: Option<Vec<AppId>>,
    limits: Limits,
}

/// What was found.
#[derive(Clone, Debug)]
struct Known {
    catalogue: Catalogue,
    problems: Arc<Vec<ManifestError>>,
}

impl Apps {
    /// Those in the folders of the settings.
    #[must_use]
    pub fn load(config: &HubConfig) -> Self {
        let folders =
            Folders { dirs: config.apps.clone(), enabled: config.enabled.clone(), limits: config.limits };
        let now = RwLock::new(folders.look(&config.authorized));
        Self(Arc::new(Inner { folders, now, looking: tokio::sync::Mutex::default() }))
    }

    /// Looks at the folders again, for queries that come from now on. `authorized` finds out of which apps a credential is
    /// kept.
    ///
    /// # Errors
    /// If that is not known, or nobody could look; then all stays as it was.
    pub async fn take_up(
        &self,
        authorized: impl Future<Output = Result<Vec<AppId>, String>>,
    ) -> Result<(), String> {
        let _alone = self.0.looking.lock().await;
        let authorized = authorized.await?;
        let folders = self.0.folders.clone();
        // Every file of an app is read for its hash, which may take a while.
        let known = tokio::task::spawn_blocking(move || folders.look(&authorized))
            .await
            .map_err(|error| format!("the apps' folders could not be looked at: {error}"))?;
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Those that can be used.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        self.now().catalogue
    }

    /// What is wrong with those that cannot.
    #[must_use]
    pub fn problems(&self) -> Arc<Vec<ManifestError>> {
        self.now().problems
    }

    /// What their spokes are started with; and what one without an app is.
    #[must_use]
    pub fn offers(&self) -> HashMap<AppId, Offer> {
        let of = |manifest: &Manifest| {
            let (profile, hash) = (manifest.profile(), manifest.hash.clone());
            let credentials = !manifest.credentials.is_empty();
            (manifest.app.clone(), Offer { profile, hash, credentials })
        };
        let mut offers: HashMap<AppId, Offer> = self.catalogue().apps().map(of).collect();
        offers.insert(empty(), empty_offer(self.0.folders.limits));
        offers
    }

    fn now(&self) -> Known {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Folders {
    fn look(&self, authorized: &[AppId]) -> Known {
        let (mut manifests, problems) = manifest::load_all(&self.dirs, self.enabled.as_deref(), &self.limits);
        for problem in &problems {
            tracing::warn!(%problem, hint = problem.hint, "an app is not loaded");
        }
        // An app that the settings name is there, whatever it waits for.
        if self.enabled.is_none() {
            manifests.retain(|app| app.waits_for(authorized.contains(&app.app)).is_none());
        }
        Known { catalogue: Catalogue::new(manifests), problems: Arc::new(problems) }
    }
}
