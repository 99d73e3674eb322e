//! `secgpt policy explain`: why a flow of a past query was decided so.
//!
//! Answers: by which rule, carrying what, as which words of the plan, and what would change it?
//! Never: says of a rule what the rules, asked again, do not say.

use bus::id::SessionId;
use bus::message::user::{Category, Effect, Flow, Named};
use policy::{Change, Facts, Policy, Ruling};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::cases::word;
use super::{in_force, print, print_json};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::past::{self, Past};
use crate::show::clean;

/// A flow with all that is to be said of it.
struct Explained<'a> {
    number: usize,
    flow: &'a Flow,
    /// The words of the plan.
    step: Option<String>,
    /// The rule that the policy of today names.
    rule: Option<&'a policy::Rule>,
    changes: Vec<String>,
}

/// Prints all flows of a conversation's queries, or one of them.
pub fn run(
    config: &Config,
    global: &Global,
    session: Option<&SessionId>,
    wanted: Option<usize>,
) -> Result<u8, Error> {
    let policy = in_force(config)?;
    let queries = past::of_session(&config.state_dir, session)?;
    let mut number = 0_usize;
    let mut told = Vec::new();
    for query in &queries {
        let mut text = format!(
            "“{}” (session {}, for {})\n",
            clean::line(&query.query, 200),
            query.outcome.session,
            query.user
        );
        let before = told.len();
        for flow in &query.outcome.flows {
            number = number.saturating_add(1);
            if wanted.is_none_or(|wanted| wanted == number) {
                let explained = explained(&policy, query, number, flow);
                text.push_str(&shown(&explained));
                told.push(as_json(query, &explained));
            }
        }
        if !global.json && before < told.len() {
            print(&text);
        }
    }
    if let (Some(wanted), true) = (wanted, told.is_empty()) {
        return Err(Error::usage(format!("there is no flow {wanted}; there are {number}")));
    }
    if global.json {
        print_json(&told)?;
    } else if number == 0 {
        print("nothing flowed: the answer needed no app\n");
    }
    Ok(0)
}

/// Prints the conversations that are kept, the newest first.
pub fn list(config: &Config, global: &Global) -> Result<u8, Error> {
    let sessions = past::sessions(&config.state_dir);
    let mut told = Vec::new();
    for (when, queries) in sessions.iter().rev() {
        let Some(first) = queries.first() else { continue };
        let flows: usize = queries.iter().map(|query| query.outcome.flows.len()).sum();
        let session = &first.outcome.session;
        let day = OffsetDateTime::from(*when).format(&Iso8601::DEFAULT).unwrap_or_default();
        let day = day.get(..16).unwrap_or(&day).replace('T', " ");
        if !global.json {
            let query = clean::line(&first.query, 80);
            print(&format!("{session}  {day}  {flows:>3} flows  for {}: {query}\n", first.user));
        }
        told.push(json!({"session": session, "time": day, "user": first.user, "query": first.query, "queries": queries.len(), "flows": flows}));
    }
    match (global.json, told.is_empty()) {
        (true, _) => print_json(&told)?,
        (false, true) => print("no conversation is kept\n"),
        (false, false) => print("Explain one with `secgpt policy explain --session S`.\n"),
    }
    Ok(0)
}

fn explained<'a>(policy: &'a Policy, query: &Past, number: usize, flow: &'a Flow) -> Explained<'a> {
    let facts = Facts::of_flow(&query.user, flow, query.attended).ok();
    let ruling = facts.as_ref().map(|facts| policy.ruling(facts));
    let named = flow.by.strip_prefix("policy:").and_then(|rule| policy.rule(rule));
    // A person, a grant or the clock had the last word: then the rule that let them.
    let rule = named.or_else(|| policy.rule(ruling.as_ref()?.rule()?));
    let changes = match (&facts, &ruling) {
        (Some(facts), Some(ruling)) => changes(policy, query, facts, flow, ruling),
        _ => Vec::new(),
    };
    Explained { number, flow, step: step(query, flow), rule, changes }
}

/// The step as the plan has it.
fn step(query: &Past, flow: &Flow) -> Option<String> {
    let id = flow.step.as_ref()?;
    let steps = query.outcome.plan.get("steps").and_then(Value::as_array)?;
    let step = steps.iter().find(|step| step.get("id").and_then(Value::as_str) == Some(id.as_str()))?;
    Some(clean::line(&step.to_string(), 400))
}

fn changes(policy: &Policy, query: &Past, facts: &Facts, flow: &Flow, ruling: &Ruling) -> Vec<String> {
    let mut found = Vec::new();
    match ruling {
        Ruling::Proceeds(said) => {
            let id = &said.rule;
            found.push(format!(
                "a rule of your own: @id(\"not-this\") forbid (principal, action, resource == {}); it goes before {id}",
                resource(flow)
            ));
            return found;
        }
        Ruling::Forbidden(said) => {
            found.push(format!("nothing but the policy: the rule {} goes before every yes", said.rule));
            return found;
        }
        Ruling::Nothing => found.push("a rule that permits it: none does".to_owned()),
        Ruling::Asks { said, each_time } => {
            found.push(match (query.attended, each_time) {
                (false, _) => "somebody there to be asked: with --consent ask, or in a chat".to_owned(),
                (true, _) => format!("your answer: the rule {} has it asked", said.rule),
            });
            if let Some(grant) = flow.by.strip_prefix("grant:") {
                found.push(format!(
                    "your earlier answer: `secgpt grants revoke {grant}` takes it back, and a no ends with the query"
                ));
            } else if flow.category == Category::Data {
                found.push("a grant for these items: answer “session” when you are asked".to_owned());
            } else if flow.effect == Effect::Irreversible || *each_time {
                found.push("no earlier answer: it is asked about each time".to_owned());
            } else {
                found.push("a grant: answer “session” or “always” when you are asked".to_owned());
            }
        }
    }
    for set in policy.would_run_with(facts) {
        let parts: Vec<String> = set.into_iter().map(|change| in_words(change, flow)).collect();
        found.push(format!("{}: then it runs unasked", parts.join(", and ")));
    }
    found
}

fn in_words(change: Change, flow: &Flow) -> String {
    match change {
        Change::Planned => format!("asking for {} in the query, so that the plan has it", flow.to),
        Change::Named => {
            let unnamed = flow.receivers.iter().filter(|receiver| receiver.whence != Named::User);
            let values: Vec<String> =
                unnamed.map(|receiver| format!("“{}”", clean::line(&receiver.value, 80))).collect();
            format!("naming {} in the query", values.join(", "))
        }
        Change::Accounted => "giving the other values word for word in the query".to_owned(),
    }
}

/// As a rule names it.
pub fn resource(flow: &Flow) -> String {
    let kind = if flow.to.contains('.') { "Functionality" } else { "App" };
    format!("{kind}::\"{}\"", flow.to)
}

fn receivers(flow: &Flow) -> Vec<String> {
    let whence = |receiver: &bus::message::user::Receiver| match receiver.whence {
        Named::User => "which you named".to_owned(),
        Named::Planner => "which the planner made up".to_owned(),
        Named::Step | Named::App => format!("from {}", receiver.sources.join(", ")),
    };
    flow.receivers
        .iter()
        .map(|receiver| {
            let (parameter, value) =
                (clean::line(&receiver.parameter, 40), clean::line(&receiver.value, 120));
            format!("{parameter} = {value}, {}", whence(receiver))
        })
        .collect()
}

fn shown(of: &Explained<'_>) -> String {
    let flow = of.flow;
    let line = |name: &str, text: &str| format!("    {name:<11}{text}\n");
    let plan = match (flow.expected, &of.step) {
        (true, Some(step)) => format!("as planned: {step}"),
        (true, None) => "as planned".to_owned(),
        (false, Some(step)) => format!("not in the plan; asked for during {step}"),
        (false, None) => "not in the plan".to_owned(),
    };
    let mut text = format!("  flow {}: {} → {}\n", of.number, flow.from, flow.to);
    text.push_str(&line("decision", &format!("{} by {}", word(flow.decision), flow.by)));
    text.push_str(&line("because", &clean::line(&flow.reason, 600)));
    text.push_str(&line("with", &clean::line(&flow.args.to_string(), 300)));
    text.push_str(&line("labels", &clean::line(&flow.labels.join(", "), 300)));
    text.push_str(&line("plan", &plan));
    for receiver in receivers(flow) {
        text.push_str(&line("receiver", &receiver));
    }
    if let Some(rule) = of.rule {
        text.push_str(&line("rule", &format!("{} ({}:{})", rule.id, rule.file, rule.line)));
        rule.text.lines().for_each(|rule| text.push_str(&line("", rule)));
    }
    text.push_str("    what would change it\n");
    of.changes.iter().for_each(|change| text.push_str(&format!("      - {change}\n")));
    text
}

fn as_json(query: &Past, of: &Explained<'_>) -> Value {
    json!({
        "number": of.number,
        "query": query.query,
        "session": query.outcome.session,
        "flow": of.flow,
        "plan": of.step,
        "rule": of.rule.map(|rule| json!({"id": rule.id, "file": rule.file, "line": rule.line, "text": rule.text})),
        "changes": of.changes,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What could change a decision that an earlier answer made is that answer, and not another one.
    #[test]
    fn what_a_grant_decided_is_changed_by_taking_the_grant_back() {
        let flow = |by: &str| -> Flow {
            serde_json::from_value(json!({"from": "plan", "to": "mail.create_draft", "args": {"to": ["a@x.example"]}, "labels": ["user"],
                "expected": true, "effect": "write", "category": "exec", "decision": "allow", "by": by, "reason": "", "accounted": true,
                "step": "s1", "receivers": [{"parameter": "to", "value": "a@x.example", "whence": "planner", "sources": []}]}))
            .unwrap()
        };
        let policy = Policy::preset(policy::Preset::Balanced);
        let told = |by: &str| {
            let outcome = super::super::super::ask::failed_outcome(&Error::failed("x"), None);
            let user = bus::id::UserId::parse("ann").unwrap();
            let past = Past { user, query: "q".to_owned(), attended: true, outcome, played: false };
            explained(&policy, &past, 1, &flow(by)).changes.join("\n")
        };
        assert!(told("grant:g1").contains("secgpt grants revoke g1"), "{}", told("grant:g1"));
        assert!(!told("grant:g1").contains("a grant: answer"), "{}", told("grant:g1"));
        assert!(told("user").contains("a grant: answer"), "{}", told("user"));
        assert!(told("user").contains("naming “a@x.example” in the query"), "{}", told("user"));
    }
}
