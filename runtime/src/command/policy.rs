//! `secgpt policy`: rules, tried and explained with nothing at work.
//!
//! Answers: are these rules, what would they decide, why was a flow decided so, and which would spare questions?
//! Never: changes what is in force without a person's word; a rule that was accepted counts when the hub has started anew.

mod cases;
mod explain;
mod suggest;

use std::path::PathBuf;

use policy::{Faults, Policy, Preset, SCHEMA, VOCABULARY};

use super::{print, print_json, say};
use crate::cli::{Global, PolicyCommand};
use crate::config::Config;
use crate::error::Error;

/// Does it.
///
/// # Errors
/// If a file cannot be read, or no query is kept.
pub fn run(
    config: impl FnOnce() -> Result<Config, Error>,
    global: &Global,
    command: &PolicyCommand,
) -> Result<u8, Error> {
    match command {
        PolicyCommand::Check { files } => check(&config()?, global, files),
        PolicyCommand::Test { file } => cases::run(&config()?, global, file),
        PolicyCommand::Schema => {
            print(SCHEMA);
            Ok(0)
        }
        PolicyCommand::Explain { list: true, .. } => explain::list(&config()?, global),
        PolicyCommand::Explain { session, flow, .. } => {
            explain::run(&config()?, global, session.as_ref(), *flow)
        }
        PolicyCommand::Suggest { accept, out } => suggest::run(&config()?, global, *accept, out.as_deref()),
    }
}

/// The policy that a hub would have in force with this configuration.
fn in_force(config: &Config) -> Result<Policy, Error> {
    load(config, &config.permission.preset, &config.permission.policies).map_err(|faults| {
        Error::usage(format!("the policy cannot be used: {faults}")).hint("`secgpt policy check` tells more")
    })
}

fn load(config: &Config, preset: &str, files: &[PathBuf]) -> Result<Policy, Faults> {
    // An unknown name was refused with the configuration.
    let preset = preset.parse().unwrap_or(Preset::Balanced);
    Policy::load(preset, config.presets_dir().as_deref(), files)
}

/// The exit code is 1 if something is wrong.
fn check(config: &Config, global: &Global, files: &[PathBuf]) -> Result<u8, Error> {
    let files = if files.is_empty() { &config.permission.policies } else { files };
    let (faults, notes, rules) = match load(config, &config.permission.preset, files) {
        Ok(policy) => (Vec::new(), policy.notes().to_vec(), policy.rules().len()),
        Err(faults) => (faults.0, Vec::new(), 0),
    };
    if global.json {
        let told = |all: &[policy::Fault]| -> Vec<serde_json::Value> {
            all.iter()
                .map(|fault| serde_json::json!({"file": fault.file, "line": fault.line, "what": fault.what, "help": fault.help}))
                .collect()
        };
        print_json(&serde_json::json!({"faults": told(&faults), "notes": told(&notes), "rules": rules}))?;
        return Ok(u8::from(!faults.is_empty()));
    }
    for fault in &faults {
        say(&format!("error: {fault}"));
    }
    for note in &notes {
        say(&format!("note: {note}"));
    }
    if faults.iter().any(|fault| fault.by_schema) {
        say(VOCABULARY);
    }
    if faults.is_empty() {
        print(&format!("{rules} rules, with those of {}: nothing wrong\n", config.permission.preset));
    }
    Ok(u8::from(!faults.is_empty()))
}
