//! `secgpt grants`: permissions that were given for more than one time.
//!
//! Answers: what may which app do without asking, and how is that taken back?
//! Never: gives a permission.

use bus::message::user::Admin;
use serde_json::Value;
use time::OffsetDateTime;

use super::{admin, print, print_json, user};
use crate::cli::{Global, Grants};
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;

/// Lists or revokes.
///
/// # Errors
/// If the hub does not answer or knows no such grant.
pub async fn run(config: &Config, global: &Global, grants: &Grants) -> Result<u8, Error> {
    let (who, what) = match grants {
        Grants::List { user } => (user, Admin::Grants),
        Grants::Revoke { grant, user } => (user, Admin::Revoke { grant: grant.clone() }),
        Grants::Expire { grant, days, user } => (user, Admin::Expire { grant: grant.clone(), days: *days }),
    };
    let value = admin(config, global.quiet || global.json, &user(who.as_ref())?, &what).await?;
    match (grants, global.json) {
        (_, true) => print_json(&value)?,
        (Grants::List { .. }, false) => print(&table(&value)),
        (Grants::Revoke { grant, .. }, false) => print(&format!("revoked {grant}\n")),
        (Grants::Expire { grant, .. }, false) => {
            print(&format!("{grant} ends on {}\n", day(value.get("expires"))));
        }
    }
    Ok(0)
}

/// The day of a time in Unix seconds.
fn day(seconds: Option<&Value>) -> String {
    let time =
        seconds.and_then(Value::as_i64).and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.date().to_string())
}

/// One line a grant.
pub fn table(value: &Value) -> String {
    let Some(grants) = value.as_array().filter(|grants| !grants.is_empty()) else {
        return "no grants\n".to_owned();
    };
    let line = |grant: &Value| {
        let field = |name: &str| match grant.get(name) {
            Some(Value::String(text)) => clean::line(text, 60),
            Some(Value::Null) | None => String::new(),
            Some(other) => clean::line(&other.to_string(), 60),
        };
        format!(
            "{}  {} {} → {}  {}  {}{}  {}\n",
            field("id"),
            field("decision"),
            field("caller"),
            field("functionality"),
            field("scope"),
            field("reach"),
            match grant.get("expires") {
                None | Some(Value::Null) => String::new(),
                end => format!(", until {}", day(end)),
            },
            day(grant.get("created"))
        )
    };
    grants.iter().map(line).collect()
}
