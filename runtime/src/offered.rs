//! Which apps are offered where the settings name none.
//!
//! Answers: which of the installed apps can do something as they stand, and what do the others wait for?
//! Never: hides one that the settings name, or one whose manifest is at fault: the hub says what is wrong with it.

use bus::id::AppId;
use manifest::{Manifest, Waiting};

use crate::command::authorize;
use crate::config::Config;
use crate::error::Error;

/// The apps of which a credential is kept, as far as that decides which are offered.
///
/// # Errors
/// If it cannot be found out.
pub async fn authorized(config: &Config) -> Result<Vec<AppId>, Error> {
    // What the settings name waits for nothing.
    if config.apps.enabled.is_some() {
        return Ok(Vec::new());
    }
    let (found, _) = manifest::load_all(&config.apps.present(), None, &config.limits);
    kept(config, &found).await
}

/// The apps that are offered: those of the settings, or all but those that wait for something.
///
/// # Errors
/// If it cannot be found out which apps have a credential.
pub async fn apps(config: &Config) -> Result<Vec<Manifest>, Error> {
    let (mut found, _) =
        manifest::load_all(&config.apps.present(), config.apps.enabled.as_deref(), &config.limits);
    let waiting = waiting(config, &found).await?;
    found.retain(|app| !waiting.iter().any(|(other, _)| *other == app.app));
    Ok(found)
}

/// Of these apps those that wait for something, unless the settings name them.
///
/// # Errors
/// If it cannot be found out which apps have a credential.
pub async fn waiting(config: &Config, apps: &[Manifest]) -> Result<Vec<(AppId, Waiting)>, Error> {
    if config.apps.enabled.is_some() {
        return Ok(Vec::new());
    }
    let authorized = kept(config, apps).await?;
    let of = |app: &Manifest| Some((app.app.clone(), app.waits_for(authorized.contains(&app.app))?));
    Ok(apps.iter().filter_map(of).collect())
}

/// The apps of which a credential is kept; nobody is asked where none of these apps waits for one.
async fn kept(config: &Config, apps: &[Manifest]) -> Result<Vec<AppId>, Error> {
    match apps.iter().any(|app| app.waits_for(false).is_some()) {
        true => authorize::authorized(config).await,
        false => Ok(Vec::new()),
    }
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
