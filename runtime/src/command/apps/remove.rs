//! `secgpt apps remove`: an app that was added goes again.
//!
//! Answers: what goes with it: its folder, its grants, its credentials, and, if wanted, its data?
//! Never: removes an app that was not added by `secgpt apps add`, or anybody's data without being told to.
//! Carries: I-15.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bus::id::{AppId, UserId};
use bus::message::user::Admin;
use serde_json::{Value, json};

use super::agree::{self, Word};
use super::{folder, unknown};
use crate::cli::{Global, Remove};
use crate::command::{authorize, print, print_json, say, starting, take_up, user};
use crate::config::Config;
use crate::error::Error;
use crate::install::staging::Staging;
use crate::state::State;
use crate::system::System;

/// Removes one.
///
/// # Errors
/// If it was not added, or something of it cannot be removed.
pub(super) async fn run(config: &Config, global: &Global, remove: &Remove) -> Result<u8, Error> {
    let app = &remove.app;
    let place = config.apps.added().join(app.as_str());
    if !place.is_dir() {
        return Err(match folder(config, app) {
            Some(dir) => Error::failed(format!("{app} was not added by `secgpt apps add`"))
                .hint(format!("its folder is {}; `enabled` under [apps] leaves an app out", dir.display())),
            None => unknown(config, app),
        });
    }
    let state = State::open(&config.state_dir)?;
    let data = data(&state, app);
    if !remove.yes {
        if !agree::anybody() {
            return Err(agree::nobody("removing an app"));
        }
        let also = match (remove.data, data.len()) {
            (true, 1..) => " with all that it has stored",
            (false, 1..) => " (what it has stored stays)",
            _ => "",
        };
        if agree::ask(&format!("Remove {app}{also}?"), false).await? != Word::Yes {
            say("not removed");
            return Ok(3);
        }
    }
    let grants = revoke(config, global, app, &state).await?;
    let credentials = authorize::forget(config, app).await?;
    gone(&state, app, place)?;
    let stored = if remove.data { data } else { Vec::new() };
    for dir in &stored {
        fs::remove_dir_all(dir)
            .map_err(|error| Error::failed(format!("{} cannot be removed", dir.display())).because(error))?;
    }
    if global.json {
        print_json(&json!({"removed": app, "grants": grants, "credentials": credentials, "data": stored}))?;
    } else {
        print(&format!("removed {app}, {grants} grants and {credentials} credentials of it\n"));
    }
    take_up::by_running(config, global, app).await?;
    Ok(0)
}

/// Out of its place in one step; then file by file.
fn gone(state: &State, app: &AppId, place: PathBuf) -> Result<(), Error> {
    let staging = Staging::begin(state, app)?;
    let away = staging.scratch("removed");
    fs::rename(&place, &away)
        .map_err(|error| Error::failed(format!("{} cannot be removed", place.display())).because(error))?;
    fs::remove_dir_all(&away)
        .map_err(|error| Error::failed(format!("{} cannot be removed", away.display())).because(error))
}

/// The folders in which it has stored something, one for each user.
fn data(state: &State, app: &AppId) -> Vec<PathBuf> {
    let users = fs::read_dir(state.path("data")).into_iter().flatten().flatten();
    users.map(|user| user.path().join(app.as_str())).filter(|dir| dir.is_dir()).collect()
}

/// Takes back what the app was allowed and what others were allowed with it, of all who are known here.
async fn revoke(config: &Config, global: &Global, app: &AppId, state: &State) -> Result<usize, Error> {
    let mut users = BTreeSet::from([user(None)?]);
    for entry in fs::read_dir(state.path("data")).into_iter().flatten().flatten() {
        users.extend(entry.file_name().to_str().and_then(|name| UserId::parse(name).ok()));
    }
    let mut system = System::open(config, "admin", starting(global.quiet || global.json)).await?;
    let result = async {
        let mut count = 0_usize;
        for user in &users {
            let client = system.client(user).await?;
            let grants = system.during(client.admin(&Admin::Grants)).await?;
            for grant in grants.as_array().into_iter().flatten().filter(|grant| is_of(grant, app)) {
                if let Some(id) = grant.get("id").and_then(Value::as_str) {
                    system.during(client.admin(&Admin::Revoke { grant: id.to_owned() })).await?;
                    count = count.saturating_add(1);
                }
            }
        }
        Ok(count)
    }
    .await;
    system.close().await;
    result
}

fn is_of(grant: &Value, app: &AppId) -> bool {
    let names = |field: &str| {
        let text = grant.get(field).and_then(Value::as_str).unwrap_or_default();
        text == app.as_str() || text.split('.').next() == Some(app.as_str())
    };
    names("caller") || names("functionality")
}
