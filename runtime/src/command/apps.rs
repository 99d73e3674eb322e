//! `secgpt apps`: what is installed, and how something comes and goes.
//!
//! Answers: which apps are there, and in which state is each?
//! Never: starts one outside of its jail; changes one that a person has not agreed to.

mod add;
mod agree;
mod pin;
mod remove;
mod show;
mod sign_in;

use std::path::{Path, PathBuf};

use bus::id::AppId;
use manifest::{Manifest, ManifestError};
use serde_json::{Value, json};

use super::{authorize, defaults, print, print_json, say};
use crate::cli::{Apps, Global};
use crate::config::Config;
use crate::error::Error;
use crate::offered;
use crate::show::clean;
use crate::show::paint::Paint;

/// Does what was asked for.
///
/// # Errors
/// What went wrong, with the way out.
pub async fn run(config: &Config, global: &Global, apps: &Apps) -> Result<u8, Error> {
    match apps {
        Apps::List => list(config, global).await,
        Apps::Show { app } => show::run(config, global, app).await,
        Apps::Add(add) => add::run(config, global, add).await,
        Apps::Pin(pin) => pin::run(config, global, pin).await,
        Apps::Remove(remove) => remove::run(config, global, remove).await,
        // What the hub keeps, and what the egress-gateway does.
        Apps::Default(what) => defaults::run(config, global, what).await,
        Apps::Authorize(what) => authorize::run(config, global, what).await,
    }
}

/// The apps of the configured folders, and what is wrong with those that do not load.
pub fn installed(config: &Config) -> (Vec<Manifest>, Vec<String>) {
    let (found, errors) = load(config);
    (found, errors.iter().map(ToString::to_string).collect())
}

fn load(config: &Config) -> (Vec<Manifest>, Vec<ManifestError>) {
    let (mut found, errors) =
        manifest::load_all(&config.apps.present(), config.apps.enabled.as_deref(), &config.limits);
    found.sort_by(|a, b| a.app.cmp(&b.app));
    (found, errors)
}

/// The folder of an app, whether or not it loads.
fn folder(config: &Config, app: &AppId) -> Option<PathBuf> {
    let mut folders = config.apps.present().into_iter().map(|dir| dir.join(app.as_str()));
    folders.find(|dir| dir.join("app.toml").exists())
}

/// There is none of that name.
fn unknown(config: &Config, app: &AppId) -> Error {
    let names: Vec<String> = load(config).0.iter().map(|manifest| manifest.app.to_string()).collect();
    Error::failed(format!("there is no app {app}")).hint(format!("installed are {}", names.join(", ")))
}

async fn list(config: &Config, global: &Global) -> Result<u8, Error> {
    let (found, errors) = load(config);
    let waiting = offered::waiting(config, &found).await?;
    let waits = |app: &AppId| {
        waiting.iter().find(|(other, _)| other == app).map(|(_, waiting)| offered::way_out(app, *waiting))
    };
    if global.json {
        let bad = errors.iter().map(|error| {
            json!({"app": name_of(error), "state": state(config, error), "problem": error.to_string(),
                   "hint": error.hint, "functionalities": []})
        });
        let good = found
            .iter()
            .map(|app| show::describe(app, if waits(&app.app).is_some() { "waiting" } else { "ok" }));
        let all: Vec<Value> = good.chain(bad).collect();
        print_json(&all)?;
        return Ok(0);
    }
    let paint = Paint::stdout(global.color);
    for app in &found {
        let from =
            show::origin(&app.dir).map(|from| format!("  {}", clean::line(&from, 100))).unwrap_or_default();
        print(&format!("{}{}\n", paint.name(app.app.as_str()), paint.dim(&from)));
        if let Some(way_out) = waits(&app.app) {
            print(&format!("  {}\n", paint.bad(&format!("not offered yet: {way_out}"))));
        }
        for function in &app.functions {
            print(&format!(
                "  {:<28} {:<12} {}\n",
                function.name.as_str(),
                show::effect(function),
                paint.dim(&clean::line(function.summary.as_deref().unwrap_or("—"), 100))
            ));
        }
    }
    for error in &errors {
        print(&format!(
            "{}  {}\n",
            paint.name(&clean::line(&name_of(error), 60)),
            paint.bad(state(config, error))
        ));
        say(&clean::line(&format!("warning: {error}"), 2000));
        if let Some(hint) = &error.hint {
            say(&clean::line(&format!("  {hint}"), 2000));
        }
    }
    Ok(0)
}

/// The app that does not load: its folder's name.
fn name_of(error: &ManifestError) -> String {
    let folder = error.file.parent().and_then(Path::file_name);
    folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// One that would load if it were pinned has changed; any other is broken.
fn state(config: &Config, error: &ManifestError) -> &'static str {
    let stands = error.file.parent().is_some_and(|dir| Manifest::as_it_stands(dir, &config.limits).is_ok());
    if stands { "changed" } else { "broken" }
}
