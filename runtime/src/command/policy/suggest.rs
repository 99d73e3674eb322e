//! `secgpt policy suggest`: rules that would have spared questions, least first.
//!
//! Answers: which rule would have let through what was always allowed, and nothing that was refused?
//! Never: suggests what is not in the plan, what was refused once, or stored data; puts a rule in force.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bus::message::user::{Category, Effect, Flow, Named, Verdict};
use policy::{Facts, Policy, Ruling};
use serde_json::json;

use super::explain::resource;
use super::{in_force, print, print_json};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::past;
use crate::state::make_private;

/// A flow that was asked about, as the rules see it, and whether a person allowed it.
struct Seen {
    facts: Facts,
    flow: Flow,
    allowed: bool,
}

/// A rule that could be written.
#[derive(Debug)]
struct Suggestion {
    what: String,
    rule: String,
    spared: usize,
    irreversible: bool,
}

/// Prints them, or writes one into a file.
pub fn run(config: &Config, global: &Global, accept: Option<usize>, out: Option<&Path>) -> Result<u8, Error> {
    let policy = in_force(config)?;
    let seen = seen(config, &policy);
    let suggestions = suggestions(config, &seen);
    if let Some(number) = accept {
        let chosen = number.checked_sub(1).and_then(|place| suggestions.get(place));
        let chosen = chosen.ok_or_else(|| {
            Error::usage(format!("there is no suggestion {number}; there are {}", suggestions.len()))
        })?;
        let file = out.map_or_else(|| config.state_dir.join("policies/own.cedar"), PathBuf::from);
        append(&file, &chosen.rule)?;
        let named = file.display();
        print(&format!(
            "written to {named}\nIt counts when the configuration names it: [permission] policies = [\"{named}\"]\n"
        ));
        return Ok(0);
    }
    if global.json {
        let one = |of: &Suggestion| json!({"what": of.what, "rule": of.rule, "spares": of.spared, "irreversible": of.irreversible});
        print_json(&suggestions.iter().map(one).collect::<Vec<_>>())?;
        return Ok(0);
    }
    if suggestions.is_empty() {
        print("no suggestion: of what you were asked about, nothing planned was allowed every time\n");
    }
    for (number, suggestion) in suggestions.iter().enumerate() {
        print(&format!(
            "{}. {}\n   would have spared {} of {} questions{}\n\n{}\n",
            number.saturating_add(1),
            suggestion.what,
            suggestion.spared,
            seen.len(),
            if suggestion.irreversible { "; what it does CANNOT BE UNDONE" } else { "" },
            suggestion.rule
        ));
    }
    if !suggestions.is_empty() {
        print("Accept one with `secgpt policy suggest --accept N`.\n");
    }
    Ok(0)
}

fn seen(config: &Config, policy: &Policy) -> Vec<Seen> {
    let mut seen = Vec::new();
    for past in past::all(&config.state_dir) {
        for flow in past.outcome.flows {
            let Ok(facts) = Facts::of_flow(&past.user, &flow, past.attended) else { continue };
            if matches!(policy.ruling(&facts), Ruling::Asks { each_time: false, .. }) {
                seen.push(Seen { facts, allowed: flow.decision == Verdict::Allow, flow });
            }
        }
    }
    seen
}

/// Narrowest first for each functionality; of like ones the one that spares most.
fn suggestions(config: &Config, seen: &[Seen]) -> Vec<Suggestion> {
    let refused =
        |to: &str| seen.iter().any(|other| other.flow.to == to && !other.allowed && other.facts.expected);
    let mut found: Vec<Suggestion> = Vec::new();
    let mut known = BTreeSet::new();
    for one in seen {
        let planned = one.facts.expected && one.facts.accounted && one.flow.from == "plan";
        if !planned || !one.allowed || one.flow.category == Category::Data || refused(&one.flow.to) {
            continue;
        }
        for (what, when) in widths(seen, &one.flow) {
            let number = found.len().saturating_add(1);
            if !known.insert(format!("{} {when}", one.flow.to)) {
                continue;
            }
            let name: String = one.flow.to.chars().map(|c| if c == '.' { '-' } else { c }).collect();
            let rule = text(&format!("suggested-{name}-{number}"), &one.flow, &when);
            if let Some(spared) = spares(config, seen, &rule) {
                let irreversible = one.flow.effect == Effect::Irreversible;
                found.push(Suggestion { what, rule, spared, irreversible });
            }
        }
    }
    found
}

/// The conditions, narrowest first: these receivers; receivers from these sources.
fn widths(seen: &[Seen], flow: &Flow) -> Vec<(String, String)> {
    let like =
        || seen.iter().filter(|other| other.flow.to == flow.to && other.allowed && other.facts.expected);
    let unnamed: BTreeSet<String> = like()
        .flat_map(|other| &other.flow.receivers)
        .filter(|receiver| receiver.whence != Named::User)
        .map(|receiver| quoted(&receiver.value))
        .collect();
    if unnamed.is_empty() {
        return vec![(
            format!("{} as planned, to receivers that you name", flow.to),
            "context.destinations.all_named".to_owned(),
        )];
    }
    let list = unnamed.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut widths = vec![(
        format!("{} as planned, to {list} and whom you name", flow.to),
        format!(
            "[{list}].containsAll(context.destinations.derived) &&\n  [{list}].containsAll(context.destinations.unnamed)"
        ),
    )];
    let sources: BTreeSet<&String> = flow.receivers.iter().flat_map(|receiver| &receiver.sources).collect();
    if !sources.is_empty() && !flow.receivers.iter().any(|receiver| receiver.whence == Named::Planner) {
        let list: Vec<String> = sources.iter().map(|label| format!("Label::{}", quoted(label))).collect();
        let plain: Vec<&str> = sources.iter().map(|label| label.as_str()).collect();
        widths.push((
            format!("{} as planned, to whomever {} gives", flow.to, plain.join(", ")),
            format!("[{}].containsAll(context.destinations.sources)", list.join(", ")),
        ));
    }
    widths
}

/// A text of Cedar. What a receiver is called was written by somebody: nothing in it ends the text.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            other => out.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
    out.push('"');
    out
}

fn text(id: &str, flow: &Flow, when: &str) -> String {
    format!(
        "@id(\"{id}\")\n@reason(\"Step {{step}} of the plan, by a rule that was suggested and accepted.\")\npermit (principal is Plan, action == Action::\"proceed\", resource == {})\nwhen {{\n  context.expected &&\n  context.accounted &&\n  {when}\n}};\n",
        resource(flow)
    )
}

/// How many questions the rule would have spared; none if it would have let through what was refused.
fn spares(config: &Config, seen: &[Seen], rule: &str) -> Option<usize> {
    let preset: policy::Preset = config.permission.preset.parse().ok()?;
    let mut texts = vec![("suggested.cedar".to_owned(), rule.to_owned())];
    texts.push(preset.source(config.presets_dir().as_deref()).ok()?);
    let policy = Policy::of_texts(&texts).ok()?;
    let lets = |one: &&Seen| matches!(policy.ruling(&one.facts), Ruling::Proceeds(_));
    let through: Vec<&Seen> = seen.iter().filter(lets).collect();
    let right = through.iter().all(|one| one.allowed);
    (right && !through.is_empty()).then_some(through.len())
}

fn append(file: &Path, rule: &str) -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::failed(format!("{} cannot be written", file.display())).because(error);
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        make_private(dir)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(failed)?;
    writeln!(file, "{rule}").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_is_called_does_not_end_the_rule() {
        assert_eq!(quoted("a\"]); permit"), "\"a\\\"]); permit\"");
        assert_eq!(quoted("a\\\nb\u{200b}"), "\"a\\\\\\u{a}b\\u{200b}\"");
    }
}
