//! `secgpt policy test`: flows with the decisions that somebody expects.
//!
//! Answers: do the rules decide as expected, and if not, how do they?
//! Never: counts grants; what is tried are the rules alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bus::id::{AppId, Functionality, StepId, UserId};
use bus::message::user::{Effect, Verdict};
use policy::{Caller, Facts, Policy, Receiver, category_of};
use serde::Deserialize;

use super::{load, print, print_json};
use crate::cli::Global;
use crate::config::{Config, PRESETS};
use crate::error::Error;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    /// As configured, if absent.
    preset: Option<String>,
    /// Beside the file; as configured, if absent.
    policies: Option<Vec<PathBuf>>,
    /// The flows.
    flow: Vec<Case>,
}

/// A flow, and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "plan")]
    from: String,
    to: String,
    #[serde(default = "read")]
    effect: Effect,
    #[serde(default = "yes")]
    expected: bool,
    #[serde(default = "yes")]
    accounted: bool,
    #[serde(default = "yes")]
    attended: bool,
    #[serde(default = "me")]
    user: UserIdText,
    step: Option<StepId>,
    #[serde(default = "by_the_user")]
    labels: BTreeSet<String>,
    #[serde(default)]
    named: Vec<String>,
    #[serde(default)]
    derived: Vec<Derived>,
    #[serde(default)]
    unnamed: Vec<String>,
    decision: Verdict,
    by: Option<String>,
}

/// A name that is checked when the flow is read.
type UserIdText = String;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derived {
    value: String,
    sources: BTreeSet<String>,
}

fn plan() -> String {
    "plan".to_owned()
}

fn me() -> String {
    "me".to_owned()
}

fn read() -> Effect {
    Effect::Read
}

fn yes() -> bool {
    true
}

fn by_the_user() -> BTreeSet<String> {
    BTreeSet::from(["user".to_owned()])
}

impl Case {
    fn facts(&self) -> Result<Facts, bus::id::IdError> {
        let (app, function) = match self.to.contains('.') {
            true => Functionality::parse(&self.to).map(|to| (to.app, Some(to.name)))?,
            false => (AppId::parse(&self.to)?, None),
        };
        let from = Caller::parse(&self.from)?;
        let named = self.named.iter().cloned().map(Receiver::Named);
        let derived =
            self.derived.iter().map(|one| Receiver::Derived(one.value.clone(), one.sources.clone()));
        let unnamed = self.unnamed.iter().cloned().map(Receiver::Unnamed);
        Ok(Facts {
            user: UserId::parse(&self.user)?,
            category: category_of(&from, &app, &self.labels),
            from,
            app,
            function,
            effect: self.effect,
            expected: self.expected,
            accounted: self.accounted,
            attended: self.attended,
            step: self.step.clone(),
            labels: self.labels.clone(),
            receivers: named.chain(derived).chain(unnamed).collect(),
        })
    }

    /// What was decided, and whether that was expected.
    fn tried(&self, policy: &Policy) -> Result<(bool, Verdict, String, String), bus::id::IdError> {
        let (verdict, by, why) = policy.ruling(&self.facts()?).verdict(self.attended);
        let as_expected = verdict == self.decision && self.by.as_ref().is_none_or(|wanted| *wanted == by);
        Ok((as_expected, verdict, by, why))
    }
}

/// The exit code is 1 if a decision is another than the expected one.
pub fn run(config: &Config, global: &Global, file: &Path) -> Result<u8, Error> {
    let cases = parse(file)?;
    let preset = cases.preset.clone().unwrap_or_else(|| config.permission.preset.clone());
    if !PRESETS.contains(&preset.as_str()) {
        return Err(Error::usage(format!("{}: there is no preset {preset:?}", file.display())));
    }
    let beside = file.parent().unwrap_or_else(|| Path::new("."));
    let files = match &cases.policies {
        Some(files) => files.iter().map(|named| beside.join(named)).collect(),
        None => config.permission.policies.clone(),
    };
    let policy = load(config, &preset, &files)
        .map_err(|faults| Error::usage(format!("the policy cannot be used: {faults}")))?;
    let mut differing = 0_usize;
    let mut told = Vec::new();
    for case in &cases.flow {
        let (as_expected, verdict, by, why) = case
            .tried(&policy)
            .map_err(|error| Error::usage(format!("{}: flow {:?}: {error}", file.display(), case.name)))?;
        differing = differing.saturating_add(usize::from(!as_expected));
        if global.json {
            told.push(serde_json::json!({"name": case.name, "as_expected": as_expected, "expected": case.decision, "decision": verdict, "by": by, "reason": why}));
        } else if as_expected {
            print(&format!("ok    {}: {} by {by}\n", case.name, word(verdict)));
        } else {
            let wanted = case.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            print(&format!(
                "DIFF  {}: {} → {}\n      - {}{wanted}\n      + {} by {by}: {why}\n",
                case.name,
                case.from,
                case.to,
                word(case.decision),
                word(verdict)
            ));
        }
    }
    if global.json {
        print_json(&told)?;
    } else {
        print(&format!("{} flows, {differing} decided otherwise than expected\n", cases.flow.len()));
    }
    Ok(u8::from(0 < differing))
}

fn parse(file: &Path) -> Result<Cases, Error> {
    let wrong = |what: String| Error::usage(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    match file.extension().is_some_and(|ending| ending == "json") {
        true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string())),
        false => toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or_default();
                before.matches('\n').count().saturating_add(1)
            });
            let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            wrong(format!("{at}{}", error.message().trim()))
        }),
    }
}

pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Ask => "ask",
        Verdict::Deny => "deny",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_examples_decide_as_they_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/policies");
        let cases = parse(&folder.join("examples/flows.toml")).unwrap();
        let files: Vec<PathBuf> =
            cases.policies.iter().flatten().map(|file| folder.join("examples").join(file)).collect();
        let policy = Policy::load(policy::Preset::Balanced, Some(&folder), &files).unwrap();
        for case in &cases.flow {
            let (as_expected, _, by, why) = case.tried(&policy).unwrap();
            assert!(as_expected, "{}: {by}: {why}", case.name);
        }
        // Control: under the preset alone not all of them do.
        let preset = Policy::load(policy::Preset::Balanced, Some(&folder), &[]).unwrap();
        assert!(cases.flow.iter().any(|case| !case.tried(&preset).unwrap().0));
    }

    #[test]
    fn a_key_that_is_none_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("flows.toml");
        std::fs::write(&file, "[[flow]]\nname = \"x\"\nto = \"mail\"\nefect = \"read\"\n").unwrap();
        let error = parse(&file).unwrap_err().line();
        assert!(error.contains("line 4") && error.contains("efect"), "{error}");
    }
}
