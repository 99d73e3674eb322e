//! What each app's manifest says about the web.
//!
//! Answers: which rules and credentials are an app's?
//! Never: reads a manifest again while running: what the user vetted at the start is in force until the end, and a file
//! that an app's update replaced changes nothing. An app without a readable manifest has no way out.
//! Carries: I-06, I-12.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bus::id::AppId;
use manifest::{CredentialUse, Manifest};

use crate::allowed_host::{LineError, Rules, Suffixes};

/// One app's way out.
#[derive(Clone, Debug)]
pub struct AppRules {
    /// Where it may go.
    pub rules: Rules,
    /// What is added on the way, by the name in the manifest.
    pub credentials: BTreeMap<String, CredentialUse>,
}

/// All apps'.
#[derive(Clone, Debug)]
pub struct Book {
    apps: HashMap<AppId, AppRules>,
    nothing: AppRules,
}

impl Book {
    /// From the apps' folders. What is wrong with one is logged, and that app has no way out.
    #[must_use]
    pub fn load(dirs: &[PathBuf], suffixes: &Suffixes) -> Self {
        let (manifests, errors) = manifest::load_all(dirs, None, &manifest::limits::DEFAULT);
        for error in errors {
            tracing::warn!(%error, "this app has no way out");
        }
        let mut book = Self::empty(suffixes);
        for manifest in manifests {
            match AppRules::of(&manifest, suffixes) {
                Ok(rules) => book.insert(manifest.app, rules),
                Err(error) => {
                    let file = manifest.dir.join("app.toml");
                    tracing::warn!(app = %manifest.app, file = %file.display(), %error, "this app has no way out");
                }
            }
        }
        book
    }

    /// Nobody may go anywhere.
    #[must_use]
    pub fn empty(suffixes: &Suffixes) -> Self {
        let nothing = AppRules { rules: Rules::nothing(suffixes), credentials: BTreeMap::new() };
        Self { apps: HashMap::new(), nothing }
    }

    /// Adds an app's, or replaces them.
    pub fn insert(&mut self, app: AppId, rules: AppRules) {
        self.apps.insert(app, rules);
    }

    /// Those of an app; of one that is not known: none.
    #[must_use]
    pub fn of(&self, app: &AppId) -> &AppRules {
        self.apps.get(app).unwrap_or(&self.nothing)
    }
}

impl AppRules {
    /// From a manifest.
    ///
    /// # Errors
    /// Names the first line that means nothing.
    pub fn of(manifest: &Manifest, suffixes: &Suffixes) -> Result<Self, LineError> {
        let network = &manifest.network;
        Ok(Self {
            rules: Rules::new(suffixes, &network.domains, &network.hosts, &network.local)?
                .with_methods(network.methods.clone()),
            credentials: manifest.credentials.clone(),
        })
    }
}
