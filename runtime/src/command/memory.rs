//! `secgpt memory`: what is remembered of a user's conversations.
//!
//! Answers: what is kept, and how is it forgotten?
//! Never: shows one user's memory to another.

use bus::message::user::Admin;
use serde_json::Value;

use super::{admin, print, print_json, user};
use crate::cli::{Global, Memory};
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;

/// Shows or forgets.
///
/// # Errors
/// If the hub does not answer.
pub async fn run(config: &Config, global: &Global, memory: &Memory) -> Result<u8, Error> {
    let (who, what) = match memory {
        Memory::Show { app, user } => (user, Admin::Memory { app: app.clone() }),
        Memory::Forget { app, user } => (user, Admin::Forget { app: app.clone() }),
    };
    let value = admin(config, global.quiet || global.json, &user(who.as_ref())?, &what).await?;
    match (memory, global.json) {
        (_, true) => print_json(&value)?,
        (Memory::Show { .. }, false) => print(&shown(&value)),
        (Memory::Forget { .. }, false) => print("forgotten\n"),
    }
    Ok(0)
}

/// Each app with what is kept under it, indented; texts of others made harmless.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Object(apps) if apps.is_empty() => "nothing is remembered\n".to_owned(),
        Value::Array(items) if items.is_empty() => "nothing is remembered\n".to_owned(),
        Value::Null => "nothing is remembered\n".to_owned(),
        other => {
            let mut text = String::new();
            tree(other, 0, &mut text);
            text
        }
    }
}

fn tree(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let is_leaf = |value: &Value| !(value.is_object() || value.is_array());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = clean::line(name, 60);
                if is_leaf(value) {
                    text.push_str(&format!("{indent}{name}: {}\n", crate::show::value_line(value, 400)));
                } else {
                    text.push_str(&format!("{indent}{name}\n"));
                    tree(value, depth.saturating_add(1), text);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let line = match item {
                    Value::Object(fields) if fields.values().all(is_leaf) => fields
                        .values()
                        .map(|value| crate::show::value_line(value, 400))
                        .collect::<Vec<_>>()
                        .join(": "),
                    other => crate::show::value_line(other, 800),
                };
                text.push_str(&format!("{indent}- {line}\n"));
            }
        }
        leaf => text.push_str(&format!("{indent}{}\n", crate::show::value_line(leaf, 400))),
    }
}
