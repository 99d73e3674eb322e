//! `secgpt stats`: how often a user was asked.
//!
//! Answers: how many prompts came for how many queries, and how many of them with a warning or again?
//! Never: shows another user's.

use bus::message::user::Admin;
use serde_json::Value;

use super::{admin, print, print_json, user};
use crate::cli::{Global, Stats};
use crate::config::Config;
use crate::error::Error;

/// Prints the counts since the hub started.
///
/// # Errors
/// If the hub does not answer.
pub async fn run(config: &Config, global: &Global, stats: &Stats) -> Result<u8, Error> {
    let value =
        admin(config, global.quiet || global.json, &user(stats.user.as_ref())?, &Admin::Stats).await?;
    if global.json {
        print_json(&value)?
    } else {
        print(&table(&value))
    }
    Ok(0)
}

/// What a person wants to know of it.
fn table(value: &Value) -> String {
    let count = |name: &str| value.pointer(name).and_then(Value::as_u64).unwrap_or_default();
    let mean = value.get("prompts_per_query").and_then(Value::as_f64).unwrap_or_default();
    let mut text = format!(
        "{} queries, {} of them with prompts\n{} prompts ({mean:.2} a query): {} with a warning, {} about what was asked before\n",
        count("/queries"),
        count("/queries_with_prompts"),
        count("/prompts"),
        count("/prompts_with_warning"),
        count("/repeated_prompts"),
    );
    text.push_str(&format!(
        "{} flows: allowed {} by rule, {} by grant, {} by you ({} despite a warning); denied {} by rule, {} by grant, {} by you, {} unanswered\n",
        count("/flows"),
        count("/flows_allowed/rule"),
        count("/flows_allowed/grant"),
        count("/flows_allowed/user"),
        count("/flows_allowed/user_despite_warning"),
        count("/flows_denied/rule"),
        count("/flows_denied/grant"),
        count("/flows_denied/user"),
        count("/flows_denied/unanswered"),
    ));
    let rules = value.get("asked_by_rule").and_then(Value::as_object);
    for (rule, count) in rules.into_iter().flatten() {
        text.push_str(&format!("  asked by {rule}: {count}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_counts_are_told_in_sentences() {
        let told = table(
            &json!({"queries": 4, "prompts": 2, "prompts_per_query": 0.5, "queries_with_prompts": 1, "prompts_with_warning": 1,
            "asked_by_rule": {"policy:destination": 2}}),
        );
        assert!(
            told.contains("4 queries, 1 of them with prompts\n2 prompts (0.50 a query): 1 with a warning"),
            "{told}"
        );
        assert!(told.contains("asked by policy:destination: 2"), "{told}");
    }
}
