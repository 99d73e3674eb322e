//! `secgpt apps default`: which app does it, where several can and a query names none.
//!
//! Answers: what did the user choose for good, and how is that taken back?
//! Never: permits anything; whether an app may run is decided elsewhere.

use bus::message::user::Admin;
use serde_json::Value;

use super::{admin, print, print_json, user};
use crate::cli::{Defaults, Global};
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;

/// Lists, sets or clears.
///
/// # Errors
/// If the hub does not answer, or knows no such functionality or default.
pub async fn run(config: &Config, global: &Global, defaults: &Defaults) -> Result<u8, Error> {
    let (who, what) = match defaults {
        Defaults::List { user } => (user, Admin::Defaults),
        Defaults::Set { functionality, user } => {
            (user, Admin::SetDefault { functionality: functionality.clone() })
        }
        Defaults::Clear { name, user } => (user, Admin::ClearDefault { name: name.clone() }),
    };
    let value = admin(config, global.quiet || global.json, &user(who.as_ref())?, &what).await?;
    match (defaults, global.json) {
        (_, true) => print_json(&value)?,
        (Defaults::Clear { name, .. }, false) => print(&format!("cleared {name}\n")),
        (Defaults::List { .. } | Defaults::Set { .. }, false) => print(&table(&value)),
    }
    Ok(0)
}

/// One line a default.
pub fn table(value: &Value) -> String {
    let Some(defaults) = value.as_array().filter(|defaults| !defaults.is_empty()) else {
        return "no defaults\n".to_owned();
    };
    let line = |default: &Value| {
        let field = |name: &str| default.get(name).and_then(Value::as_str).map(|text| clean::line(text, 80));
        format!("{}  by {}\n", field("functionality").unwrap_or_default(), field("app").unwrap_or_default())
    };
    defaults.iter().map(line).collect()
}
