//! A secgpt that runs already is told that an app has changed.
//!
//! Answers: does it have the app as it is now?
//! Never: makes a command fail that did what it should: the app is as wanted, and the next start has it.

use bus::id::AppId;
use bus::message::user::Admin;
use serde_json::{Value, json};

use super::{say, user};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;
use crate::state::State;
use crate::system::System;

/// Tells the one that runs on this state folder, if one does, and the person what it says. Without one nothing is said.
///
/// # Errors
/// If the state folder cannot be used.
pub(super) async fn by_running(config: &Config, global: &Global, app: &AppId) -> Result<(), Error> {
    if State::open(&config.state_dir)?.try_lock()?.is_ok() {
        return Ok(());
    }
    match told(config).await {
        Ok(apps) if !global.json => say(&format!("the secgpt that runs now {}", words(&apps, app))),
        Ok(_) => {}
        Err(error) => {
            let why = clean::line(&error.line(), 400);
            say(&format!("the secgpt that runs now takes this up when it is started again ({why})"));
        }
    }
    Ok(())
}

async fn told(config: &Config) -> Result<Value, Error> {
    let mut system = System::join(config).await?;
    let client = system.client(&user(None)?).await?;
    let apps = system.during(client.admin(&Admin::TakeUp)).await;
    system.close().await;
    apps
}

/// What it says of the app.
fn words(apps: &Value, app: &AppId) -> String {
    let entry =
        apps.as_array().and_then(|apps| apps.iter().find(|entry| entry.get("app") == Some(&json!(app))));
    match entry.map(|entry| entry.get("problem").and_then(Value::as_str)) {
        Some(None) => "has it as it is now".to_owned(),
        Some(Some(problem)) => format!("does not use it: {}", clean::line(problem, 600)),
        None => "does not offer it".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_person_hears_whether_the_running_one_has_the_app() {
        let app = AppId::parse("clock").unwrap();
        let said = |apps: Value| words(&apps, &app);
        assert_eq!(said(json!([{"app": "mail"}, {"app": "clock", "hash": "x"}])), "has it as it is now");
        assert_eq!(said(json!([{"app": "clock", "problem": "no \u{1b}[2J"}])), "does not use it: no [2J");
        assert_eq!(said(json!([{"app": "mail"}])), "does not offer it");
    }
}
