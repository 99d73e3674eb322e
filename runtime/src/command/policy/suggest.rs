//! `secgpt policy suggest`: rules that would have spared questions, least first.
//!
//! Answers: which rule would have let through what was always allowed, and nothing that was refused?
//! Never: suggests what is not in the plan, what was refused once, or stored data; puts a rule in force that nobody
//! accepted, or writes one with which the hub would not start.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bus::message::user::{Category, Effect, Flow, Named, Verdict};
use policy::{Facts, Policy, Ruling};
use serde_json::json;

use super::explain::resource;
use super::{in_force, print, print_json};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::past;
use crate::state::{make_private, write_private};

/// A flow that the rules have asked about, as they see it, and what a person said.
struct Seen {
    facts: Facts,
    flow: Flow,
    allowed: bool,
    /// By a person, now or earlier. Where nobody was, nobody refused.
    refused: bool,
    /// Was a person bothered with it?
    asked: bool,
}

/// A rule that could be written.
#[derive(Debug)]
struct Suggestion {
    what: String,
    id: String,
    rule: String,
    spared: usize,
    irreversible: bool,
    /// How wide it is, beside others for the same: 0 is the narrowest.
    width: usize,
}

/// Prints them, or writes one into a file.
pub fn run(config: &Config, global: &Global, accept: Option<usize>, out: Option<&Path>) -> Result<u8, Error> {
    let policy = in_force(config)?;
    let seen = seen(config, &policy);
    let suggestions = suggestions(config, &policy, &seen);
    if let Some(number) = accept {
        let chosen = number.checked_sub(1).and_then(|place| suggestions.get(place));
        let chosen = chosen.ok_or_else(|| {
            Error::usage(format!("there is no suggestion {number}; there are {}", suggestions.len()))
        })?;
        let file = out.unwrap_or(&config.permission.accepted);
        add(config, file, &chosen.rule)?;
        let named = file.display();
        let counts =
            if file == config.permission.accepted || config.permission.policies.iter().any(|of| of == file) {
                "It counts when secgpt has started anew.".to_owned()
            } else {
                format!("It counts when the settings name the file: [permission] policies = [\"{named}\"]")
            };
        match global.json {
            true => print_json(&json!({"rule": chosen.id, "file": file, "note": counts}))?,
            false => print(&format!("{} is written to {named}\n{counts}\n", chosen.id)),
        }
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
            seen.iter().filter(|one| one.asked).count(),
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
    for past in past::all(&config.state_dir).into_iter().filter(|past| !past.played) {
        for flow in past.outcome.flows {
            let Ok(facts) = Facts::of_flow(&past.user, &flow, past.attended) else { continue };
            if matches!(policy.ruling(&facts), Ruling::Asks { each_time: false, .. }) {
                let (allowed, asked) = (flow.decision == Verdict::Allow, flow.by == "user");
                let refused = !allowed && (asked || flow.by.starts_with("grant:"));
                seen.push(Seen { facts, allowed, refused, asked, flow });
            }
        }
    }
    seen
}

/// What can be undone first, the narrowest first, and of these the one first that spares most.
fn suggestions(config: &Config, policy: &Policy, seen: &[Seen]) -> Vec<Suggestion> {
    let refused =
        |to: &str| seen.iter().any(|other| other.flow.to == to && other.refused && other.facts.expected);
    let mut found: Vec<Suggestion> = Vec::new();
    let mut known = BTreeSet::new();
    for one in seen {
        let planned = one.facts.expected && one.facts.accounted && one.flow.from == "plan";
        if !planned || !one.allowed || one.flow.category == Category::Data || refused(&one.flow.to) {
            continue;
        }
        for (width, (what, when)) in widths(seen, &one.flow).into_iter().enumerate() {
            if !known.insert(format!("{} {when}", one.flow.to)) {
                continue;
            }
            let id = free_name(policy, &found, &one.flow.to);
            let rule = text(&id, &one.flow, &when);
            if let Some(spared) = spares(config, seen, &rule) {
                let irreversible = one.flow.effect == Effect::Irreversible;
                found.push(Suggestion { what, id, rule, spared, irreversible, width });
            }
        }
    }
    found.sort_by_key(|of| (of.irreversible, of.width, Reverse(of.spared)));
    found
}

/// A name that no rule has: two rules of one name are none.
fn free_name(policy: &Policy, found: &[Suggestion], to: &str) -> String {
    let name = to.replace('.', "-");
    let taken = |id: &String| policy.rule(id).is_some() || found.iter().any(|other| other.id == *id);
    let mut id = format!("accepted-{name}");
    let mut number = 1_u32;
    while taken(&id) {
        number = number.saturating_add(1);
        id = format!("accepted-{name}-{number}");
    }
    id
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
    let right = !through.iter().any(|one| one.refused);
    let spared = through.iter().filter(|one| one.asked && one.allowed).count();
    (right && 0 < spared).then_some(spared)
}

/// Puts the rule behind what the file holds, if a hub would start with all of it.
fn add(config: &Config, file: &Path, rule: &str) -> Result<(), Error> {
    let wrong = |faults: &dyn std::fmt::Display| {
        Error::failed(format!("nothing is written, as a hub would not start with it: {faults}"))
    };
    let read = |file: &Path| match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => {
            text.map_err(|error| Error::failed(format!("{} cannot be read", file.display())).because(error))
        }
    };
    let text = match read(file)? {
        text if text.is_empty() => format!("{rule}\n"),
        text => format!("{}\n\n{rule}\n", text.trim_end()),
    };
    let others = config.permission.policies.iter().filter(|other| *other != file);
    let mut texts = others
        .map(|other| Ok((other.display().to_string(), read(other)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    texts.push((file.display().to_string(), text.clone()));
    let preset = config.permission.preset.parse().unwrap_or(policy::Preset::Balanced);
    texts.push(preset.source(config.presets_dir().as_deref()).map_err(|faults| wrong(&faults))?);
    Policy::of_texts(&texts).map_err(|faults| wrong(&faults))?;
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        make_private(dir)?;
    }
    write_private(file, text.as_bytes())
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
