//! Reading a plan.
//!
//! Answers: what did the model write, and is every name in it one that exists?
//! Never: takes anything on trust; the model may have been asked for a form and not kept it.
//! Carries: I-17.

use std::collections::{BTreeMap, BTreeSet};

use bus::id::{AppId, Functionality, StepId};
use bus::limits::{MAX_PAYLOAD, MAX_STEPS};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::value::named_steps;
use super::{Plan, PlanError, Planned, Step, StepKind};
use crate::registry::Catalogue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    steps: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCall {
    id: String,
    #[serde(rename = "kind")]
    _kind: String,
    functionality: String,
    #[serde(default)]
    args: Map<String, Value>,
    #[serde(default)]
    after: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDelegate {
    id: String,
    #[serde(rename = "kind")]
    _kind: String,
    app: String,
    request: String,
    #[serde(default)]
    after: Vec<String>,
}

pub(super) fn parse(text: &str, catalogue: &Catalogue) -> Result<Planned, PlanError> {
    let raw: RawPlan = read(text)?;
    if MAX_STEPS < raw.steps.len() {
        return Err(PlanError::TooMany { count: raw.steps.len() });
    }
    if raw.steps.is_empty() {
        let answer = raw.answer.filter(|answer| !answer.trim().is_empty());
        return answer.map(Planned::Answer).ok_or(PlanError::Nothing);
    }
    // With steps, what stands in "answer" is talk about them, and the steps are what was planned.
    let mut ids = BTreeMap::new();
    let mut halves = Vec::new();
    for (place, raw) in raw.steps.into_iter().enumerate() {
        let half = half(raw, place, catalogue)?;
        if ids.insert(half.id.clone(), place).is_some() {
            return Err(PlanError::Duplicate { id: half.id });
        }
        halves.push(half);
    }
    let steps = halves.into_iter().map(|half| whole(half, &ids)).collect::<Result<Vec<_>, _>>()?;
    check_order(&steps, &ids)?;
    for step in &steps {
        check_arguments(step, catalogue)?;
    }
    Ok(Planned::Steps(Plan { steps }))
}

/// A step whose references were not looked up yet.
struct Half {
    id: StepId,
    kind: StepKind,
    after: Vec<String>,
    needs: BTreeSet<String>,
}

fn read(text: &str) -> Result<RawPlan, PlanError> {
    let not_json = |detail: String| PlanError::NotJson { detail };
    if MAX_PAYLOAD < text.len() {
        return Err(not_json(format!("it has {} bytes", text.len())));
    }
    let value: Value = serde_json::from_str(unfenced(text)).map_err(|error| not_json(error.to_string()))?;
    if !value.is_object() {
        return Err(not_json("it is another kind of value".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| PlanError::Shape { detail: error.to_string() })
}

/// Models like to put JSON in a code fence. One fence around everything is taken off; nothing else is.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inside.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside).trim())
}

fn half(raw: Value, place: usize, catalogue: &Catalogue) -> Result<Half, PlanError> {
    let shape = |error: serde_json::Error| PlanError::Shape {
        detail: format!("step {}: {error}", place.saturating_add(1)),
    };
    match raw.get("kind").and_then(Value::as_str) {
        Some("call") => {
            let raw: RawCall = serde_json::from_value(raw).map_err(shape)?;
            let id = step_id(&raw.id)?;
            let unknown = || PlanError::UnknownFunctionality {
                step: id.clone(),
                name: raw.functionality.clone(),
                meant: nearest(
                    &raw.functionality,
                    catalogue.functionalities().map(|(functionality, _)| functionality.to_string()),
                ),
            };
            let functionality = Functionality::parse(&raw.functionality).map_err(|_| unknown())?;
            let spec = catalogue.get(&functionality).ok_or_else(unknown)?;
            let args = spec.own_names(Value::Object(raw.args));
            let needs =
                named_steps(&args).map_err(|detail| PlanError::Marker { step: id.clone(), detail })?;
            Ok(Half { id, kind: StepKind::Call { functionality, args }, after: raw.after, needs })
        }
        Some("delegate") => {
            let raw: RawDelegate = serde_json::from_value(raw).map_err(shape)?;
            let id = step_id(&raw.id)?;
            let app = AppId::parse(&raw.app).ok().filter(|app| catalogue.app(app).is_some());
            let app = app.ok_or_else(|| PlanError::UnknownApp {
                step: id.clone(),
                name: raw.app.clone(),
                meant: nearest(&raw.app, catalogue.apps().map(|manifest| manifest.app.to_string())),
            })?;
            let kind = StepKind::Delegate { app, request: raw.request };
            Ok(Half { id, kind, after: raw.after, needs: BTreeSet::new() })
        }
        _ => Err(PlanError::Shape {
            detail: format!("step {}: \"kind\" is \"call\" or \"delegate\"", place.saturating_add(1)),
        }),
    }
}

fn step_id(text: &str) -> Result<StepId, PlanError> {
    StepId::parse(text).map_err(|error| PlanError::Id { id: error.text, rule: error.rule })
}

fn whole(half: Half, ids: &BTreeMap<StepId, usize>) -> Result<Step, PlanError> {
    let Half { id, kind, after, needs } = half;
    let known = |names: &mut dyn Iterator<Item = String>| {
        names
            .map(|to| {
                let found = StepId::parse(&to).ok().filter(|to| ids.contains_key(to));
                found.ok_or_else(|| PlanError::UnknownReference { step: id.clone(), to })
            })
            .collect::<Result<BTreeSet<StepId>, PlanError>>()
    };
    let needs = known(&mut needs.into_iter())?;
    let mut after = known(&mut after.into_iter())?;
    after.extend(needs.iter().cloned());
    Ok(Step { id, kind, after, needs })
}

/// Each step may wait only for earlier ones, so that there is always one that can run.
fn check_order(steps: &[Step], ids: &BTreeMap<StepId, usize>) -> Result<(), PlanError> {
    let mut forward = None;
    for (place, step) in steps.iter().enumerate() {
        for to in &step.after {
            if ids.get(to).is_none_or(|to| place <= *to) {
                forward.get_or_insert((step.id.clone(), to.clone()));
            }
        }
    }
    let Some((step, to)) = forward else { return Ok(()) };
    Err(circle(steps, &step)
        .map_or(PlanError::ForwardReference { step, to }, |steps| PlanError::Cycle { steps }))
}

/// The way from a step back to itself, if there is one.
fn circle(steps: &[Step], start: &StepId) -> Option<Vec<StepId>> {
    let by_id: BTreeMap<&StepId, &Step> = steps.iter().map(|step| (&step.id, step)).collect();
    let (mut seen, mut ways) = (BTreeSet::new(), vec![vec![start.clone()]]);
    while let Some(way) = ways.pop() {
        let here = way.last().and_then(|last| by_id.get(last))?;
        for next in &here.after {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}

/// Arguments without markers can be checked at once, so that the planner can be asked again.
fn check_arguments(step: &Step, catalogue: &Catalogue) -> Result<(), PlanError> {
    let StepKind::Call { functionality, args } = &step.kind else { return Ok(()) };
    if !step.needs.is_empty() {
        return Ok(());
    }
    catalogue.get(functionality).map_or(Ok(()), |spec| spec.check_request(args)).map_err(|detail| {
        PlanError::Arguments { step: step.id.clone(), functionality: functionality.clone(), detail }
    })
}

/// The name that differs least, if it differs little. Between names that exist, so nothing that an app wrote in
/// prose comes in.
fn nearest(wrong: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let wrong: Vec<char> = wrong.chars().take(120).collect();
    let scored = names.map(|name| (distance(&wrong, &name.chars().collect::<Vec<_>>()), name));
    let (differs, name) = scored.min()?;
    (differs <= wrong.len().div_ceil(3)).then_some(name)
}

/// How many letters to change, add or take away.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for ((y, above_left), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let change = above_left.saturating_add(usize::from(x != y));
            next.push(change.min(above.saturating_add(1)).min(left.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
