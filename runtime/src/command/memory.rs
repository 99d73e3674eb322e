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
use crate::show::{self, clean};

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

/// Whose memory it is, then summary, entities and turns; texts of others made harmless.
pub fn shown(value: &Value) -> String {
    let kept = value.as_array().map_or(&[] as &[Value], Vec::as_slice);
    if kept.is_empty() {
        return "nothing is remembered\n".to_owned();
    }
    kept.iter().map(one).collect()
}

fn one(kept: &Value) -> String {
    let text = |value: Option<&Value>| value.map_or(String::new(), |value| show::value_line(value, MAX_TEXT));
    let of = match kept.get("of").and_then(Value::as_str) {
        Some("hub") => "your conversations".to_owned(),
        Some(of) => format!("the app {}", clean::line(of.trim_start_matches("app:"), 60)),
        None => "?".to_owned(),
    };
    let mut said = format!("{of}\n");
    let summary = text(kept.get("summary"));
    if !summary.is_empty() {
        said.push_str(&format!("  summary   {summary}\n"));
    }
    for (name, value) in kept.get("entities").and_then(Value::as_object).into_iter().flatten() {
        said.push_str(&format!("  {:<9} {}\n", clean::line(name, 40), show::value_line(value, MAX_TEXT)));
    }
    for turn in kept.get("turns").and_then(Value::as_array).into_iter().flatten() {
        said.push_str(&format!("  {:>9} {}\n", text(turn.get("who")), text(turn.get("text"))));
    }
    said
}

/// The longest turn that is shown whole; `--json` shows all.
const MAX_TEXT: usize = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::shown;

    #[test]
    fn memory_is_shown_by_whom_it_belongs_to() {
        let kept = json!([{"of": "app:mail", "turns": [{"who": "user", "text": "hello"}], "summary": "", "entities": {"city": "Irvine"}}]);
        assert_eq!(shown(&kept), "the app mail\n  city      Irvine\n       user hello\n");
        assert_eq!(shown(&json!([])), "nothing is remembered\n");
    }
}
