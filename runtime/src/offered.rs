//! Which apps are offered where the settings name none.
//!
//! Answers: which of the installed apps can do something as they stand, and what do the others wait for?
//! Never: hides one that the settings name, or one whose manifest is at fault: the hub says what is wrong with it.

use std::collections::BTreeSet;

use bus::id::AppId;
use manifest::{Manifest, Waiting};

use crate::command::authorize;
use crate::config::Config;
use crate::error::Error;

/// The apps that the hub is to load: those of the settings, or all but those that wait for something; `None` for all.
///
/// # Errors
/// If it cannot be found out which apps have a credential.
pub async fn enabled(config: &Config) -> Result<Option<Vec<AppId>>, Error> {
    if config.apps.enabled.is_some() {
        return Ok(config.apps.enabled.clone());
    }
    let (found, errors) = manifest::load_all(&config.apps.present(), None, &config.limits);
    let waiting = waiting(config, &found).await?;
    if waiting.is_empty() {
        return Ok(None);
    }
    let at_fault = errors.iter().filter_map(|error| error.file.parent()?.file_name()?.to_str());
    let at_fault = at_fault.filter_map(|name| AppId::parse(name).ok());
    let good = found.into_iter().map(|manifest| manifest.app);
    let offered: BTreeSet<AppId> =
        good.chain(at_fault).filter(|app| !waiting.iter().any(|(other, _)| other == app)).collect();
    Ok(Some(offered.into_iter().collect()))
}

/// Of these apps those that wait for something, unless the settings name them.
///
/// # Errors
/// If it cannot be found out which apps have a credential.
pub async fn waiting(config: &Config, apps: &[Manifest]) -> Result<Vec<(AppId, Waiting)>, Error> {
    if config.apps.enabled.is_some() {
        return Ok(Vec::new());
    }
    let authorized = match apps.iter().any(|app| app.waits_for(false).is_some()) {
        true => authorize::authorized(config).await?,
        false => BTreeSet::new(),
    };
    let of = |app: &Manifest| Some((app.app.clone(), app.waits_for(authorized.contains(app.app.as_str()))?));
    Ok(apps.iter().filter_map(of).collect())
}

/// What a person does about it.
#[must_use]
pub fn way_out(app: &AppId, waiting: Waiting) -> String {
    match waiting {
        Waiting::Network => {
            format!("name what it may reach under [network] in its app.toml, then: secgpt apps pin {app}")
        }
        Waiting::Credential => format!("secgpt apps authorize {app}"),
    }
}
