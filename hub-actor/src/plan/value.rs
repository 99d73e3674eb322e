//! Values in the arguments of a step that come from earlier steps.
//!
//! Answers: which steps does an argument need, what is to be derived, and what are the arguments in the end?
//! Never: reads a marker in what an app returned: a result is put in as it is, once.
//! Carries: I-17.

use std::collections::BTreeSet;

use bus::id::StepId;
use manifest::Schema;
use serde_json::{Map, Value, json};

use super::record::Record;
use super::sight::{self, Sight};
use super::{Step, StepKind};
use crate::permission::label::{Label, Labels};

/// A value to be had by a quarantined conversation before the step can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Derivation {
    /// Where in the arguments it goes: a JSON Pointer.
    pub at: String,
    /// From which step's result.
    pub step: StepId,
    /// What is wanted; from the plan, word for word.
    pub instruction: String,
    /// The form of the value.
    pub schema: Schema,
}

/// The arguments of a step, with all values in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The arguments; for a delegate its request, as a text, or with the results of the steps that it comes after.
    pub args: Value,
    /// Which parts of the arguments are not the plan's own words.
    pub sources: Vec<Source>,
    /// The user's own words, and all that was put in.
    pub labels: Labels,
}

/// A part of the arguments that came from an earlier step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where in the arguments: a JSON Pointer.
    pub at: String,
    /// The step that it came from.
    pub step: StepId,
    /// What that value carries.
    pub labels: Labels,
    /// What was in sight of whatever chose it.
    pub sight: Sight,
}

/// Why a step's arguments cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The earlier step gave no value.
    #[error("step {step} has no result")]
    NoResult {
        /// Which.
        step: StepId,
    },
    /// The earlier step's value has no such part.
    #[error("the result of step {step} has nothing at {path:?}")]
    NoPart {
        /// Which.
        step: StepId,
        /// Where it was looked for.
        path: String,
    },
    /// The value was not derived yet, or could not be.
    #[error("the value at {at} was not derived")]
    NotDerived {
        /// Where in the arguments.
        at: String,
    },
}

/// A place in arguments where another step's value goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Marker {
    From { step: String, path: String },
    Derive { step: String, instruction: String, schema: Value },
}

impl Marker {
    pub(super) fn step(&self) -> &str {
        match self {
            Self::From { step, .. } | Self::Derive { step, .. } => step,
        }
    }
}

/// What is to be derived for this step, in order.
#[must_use]
pub fn derives(step: &Step) -> Vec<Derivation> {
    let StepKind::Call { args, .. } = &step.kind else { return Vec::new() };
    let mut derivations = Vec::new();
    visit(args, &mut String::new(), &mut |at, marker| {
        if let Ok(Marker::Derive { step, instruction, schema }) = marker
            && let (Ok(step), Ok(schema)) = (StepId::parse(&step), Schema::parse(schema))
        {
            derivations.push(Derivation { at: at.to_owned(), step, instruction, schema });
        }
    });
    derivations
}

/// Puts the recorded values in the places of the markers.
///
/// # Errors
/// If a value is not there.
pub fn resolve(step: &Step, record: &Record) -> Result<Resolved, Unresolved> {
    let mut resolved = Resolved { args: Value::Null, sources: Vec::new(), labels: Labels::of(Label::User) };
    resolved.args = match &step.kind {
        StepKind::Call { args, .. } => put_in(args, &mut String::new(), step, record, &mut resolved)?,
        StepKind::Delegate { request, .. } => handed_over(request, step, record, &mut resolved),
    };
    Ok(resolved)
}

/// A delegate's work: the request of the plan, and what the steps that it comes after have returned.
fn handed_over(request: &str, step: &Step, record: &Record, into: &mut Resolved) -> Value {
    let mut results = Vec::new();
    for earlier in &step.after {
        let Some(recorded) = record.result(earlier) else { continue };
        let at = format!("/results/{}/value", results.len());
        into.took(&at, earlier.clone(), recorded.labels.clone(), sight::of_taken(&recorded.value));
        results.push(json!({"step": earlier, "value": recorded.value}));
    }
    if results.is_empty() {
        return Value::String(request.to_owned());
    }
    json!({"request": request, "results": results})
}

fn put_in(
    value: &Value,
    at: &mut String,
    step: &Step,
    record: &Record,
    into: &mut Resolved,
) -> Result<Value, Unresolved> {
    let length = at.len();
    match (marker(value), value) {
        (Some(Ok(Marker::From { step: from, path })), _) => {
            let from = StepId::parse(&from).map_err(|_| Unresolved::NotDerived { at: at.clone() })?;
            let recorded = record.result(&from).ok_or_else(|| Unresolved::NoResult { step: from.clone() })?;
            let part = part(&recorded.value, &path)
                .ok_or_else(|| Unresolved::NoPart { step: from.clone(), path: path.clone() })?;
            into.took(at, from, recorded.labels.clone(), sight::of_taken(part));
            Ok(part.clone())
        }
        (Some(Ok(Marker::Derive { step: from, .. })), _) => {
            let not_derived = || Unresolved::NotDerived { at: at.clone() };
            let from = StepId::parse(&from).map_err(|_| not_derived())?;
            let derived = record.derivation(&step.id, at).ok_or_else(not_derived)?;
            // Whatever the caller says of the conversation, the value carries what its source carried.
            let mut labels = derived.recorded.labels.clone();
            if let Some(source) = record.result(&from) {
                labels.add(&source.labels);
            }
            into.took(at, from, labels, derived.sight);
            Ok(derived.recorded.value.clone())
        }
        // A malformed marker does not come out of the parser.
        (Some(Err(_)), _) => Err(Unresolved::NotDerived { at: at.clone() }),
        (None, Value::Object(fields)) => {
            let mut out = Map::new();
            for (name, field) in fields {
                push(at, name);
                out.insert(name.clone(), put_in(field, at, step, record, into)?);
                at.truncate(length);
            }
            Ok(Value::Object(out))
        }
        (None, Value::Array(items)) => {
            let mut out = Vec::new();
            for (index, item) in items.iter().enumerate() {
                push(at, &index.to_string());
                out.push(put_in(item, at, step, record, into)?);
                at.truncate(length);
            }
            Ok(Value::Array(out))
        }
        (None, literal) => Ok(literal.clone()),
    }
}

impl Resolved {
    fn took(&mut self, at: &str, step: StepId, labels: Labels, sight: Sight) {
        self.labels.add(&labels);
        self.sources.push(Source { at: at.to_owned(), step, labels, sight });
    }
}

/// The part at a path: a JSON Pointer (`/flights/0/price`), or names and indices with dots (`flights.0.price`);
/// empty for the whole.
#[must_use]
pub fn part<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() || path.starts_with('/') {
        return value.pointer(path);
    }
    // A field may have a dot in its own name.
    if let Some(field) = value.get(path) {
        return Some(field);
    }
    path.split('.').try_fold(value, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => value.get(name),
    })
}

/// Reads a marker: an object with `$from` or `$derive`. `None` if it is an ordinary value.
pub(super) fn marker(value: &Value) -> Option<Result<Marker, String>> {
    let fields = value.as_object()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let only = |known: &[&str]| {
        let stray = fields.keys().find(|name| !known.contains(&name.as_str()));
        stray.map_or(Ok(()), |stray| {
            Err(format!("{{\"{}\"}} has no field {stray:?}", known.first().unwrap_or(&"")))
        })
    };
    if fields.contains_key("$from") {
        let read = || {
            only(&["$from", "path"])?;
            let step = text("$from").ok_or("\"$from\" is not the id of a step")?;
            let path = match fields.get("path") {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(path)) => path.clone(),
                Some(_) => return Err("\"path\" is not a text".to_owned()),
            };
            Ok(Marker::From { step, path })
        };
        return Some(read());
    }
    if fields.contains_key("$derive") {
        let read = || {
            only(&["$derive", "instruction", "schema"])?;
            let step = text("$derive").ok_or("\"$derive\" is not the id of a step")?;
            let instruction = text("instruction").filter(|text| !text.trim().is_empty());
            let instruction = instruction.ok_or("\"$derive\" has no instruction")?;
            let schema = fields.get("schema").cloned().ok_or("\"$derive\" has no schema")?;
            Schema::parse(schema.clone()).map_err(|error| format!("the schema of \"$derive\", {error}"))?;
            Ok(Marker::Derive { step, instruction, schema })
        };
        return Some(read());
    }
    None
}

/// Calls `found` for every marker, with where it stands.
pub(super) fn visit(value: &Value, at: &mut String, found: &mut dyn FnMut(&str, Result<Marker, String>)) {
    if let Some(marker) = marker(value) {
        found(at, marker);
        return;
    }
    let length = at.len();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                push(at, name);
                visit(field, at, found);
                at.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                push(at, &index.to_string());
                visit(item, at, found);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

/// The steps that the markers in these arguments name.
pub(super) fn named_steps(args: &Value) -> Result<BTreeSet<String>, String> {
    let (mut steps, mut wrong) = (BTreeSet::new(), None);
    visit(args, &mut String::new(), &mut |_, marker| match marker {
        Ok(marker) => _ = steps.insert(marker.step().to_owned()),
        Err(what) => _ = wrong.get_or_insert(what),
    });
    wrong.map_or(Ok(steps), Err)
}

fn push(at: &mut String, name: &str) {
    at.push('/');
    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
}
