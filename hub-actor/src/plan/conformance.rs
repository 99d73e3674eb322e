//! Whether a flow is what the plan foresaw.
//!
//! Answers: is this a step of the plan, unused, with the arguments that the plan gives?
//! Never: takes an app's word for it; arguments are compared with the plan and the record.
//! Carries: I-17.

use std::collections::BTreeSet;

use bus::id::{AppId, Functionality, StepId};
use bus::message::user::Effect;
use serde_json::Value;

use super::{Plan, Record, Step, StepKind, resolve};
use crate::permission::destination::stands_in;

/// Is it expected?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conformance {
    /// As planned, by this step.
    Expected {
        /// Which.
        step: StepId,
    },
    /// Not as planned.
    Unexpected {
        /// In what it differs, as a sentence for the user without a full stop.
        differs: String,
    },
}

impl Conformance {
    /// Is it as planned?
    #[must_use]
    pub fn is_expected(&self) -> bool {
        matches!(self, Self::Expected { .. })
    }
}

/// Which steps of the plan were used up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// By the executor. Add a step when its flow was decided. No app can use one up.
    pub by_plan: BTreeSet<StepId>,
}

/// A flow to be compared with the plan.
#[derive(Clone, Copy, Debug)]
pub enum Flowing<'a> {
    /// The executor comes to a step; `args` as sent.
    Step {
        /// Which.
        step: &'a StepId,
        /// The arguments; for a delegate its request, as a text.
        args: &'a Value,
    },
    /// An app asks for a functionality.
    Asked {
        /// Which app.
        by: &'a AppId,
        /// For what.
        functionality: &'a Functionality,
        /// What it does to the world.
        effect: Effect,
        /// With which arguments.
        args: &'a Value,
        /// All that the user said in this conversation.
        words: &'a str,
    },
}

/// Compares a flow with the plan and what was recorded.
///
/// What an app asks for is expected in two cases only, both while it works on a step delegated to it, and both of a functionality of
/// its own: it reads; or it changes something as it was told to, see `told`. What it asks of another app is never a step
/// of the plan, even if the plan does the very same: the plan gives that value to the executor, and here the app would
/// get it.
#[must_use]
pub fn conformance(plan: &Plan, used: &Used, record: &Record, flowing: Flowing<'_>) -> Conformance {
    match flowing {
        Flowing::Step { step, args } => of_step(plan, used, record, step, args),
        Flowing::Asked { by, functionality, effect, args, words } => {
            if functionality.app == *by
                && let Some(step) = working(plan, used, by)
                && (effect == Effect::Read
                    || (effect == Effect::Write && told(step, functionality, args, words)))
            {
                return Conformance::Expected { step: step.id.clone() };
            }
            of_app(plan, record, by, functionality, args)
        }
    }
}

/// The step that was delegated to this app and has begun.
fn working<'a>(plan: &'a Plan, used: &Used, by: &AppId) -> Option<&'a Step> {
    plan.steps.iter().find(|step| {
        matches!(&step.kind, StepKind::Delegate { app, .. } if app == by) && used.by_plan.contains(&step.id)
    })
}

/// Was the app told to do just this? Every word of the functionality's name and every value must stand in the user's
/// words or in the request of the plan, and there must be a value: `delete_all` without one could be anybody's wish.
fn told(step: &Step, wanted: &Functionality, args: &Value, words: &str) -> bool {
    let StepKind::Delegate { request, .. } = &step.kind else { return false };
    let said = format!("{words}\n{request}");
    let low: Vec<String> = said
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty())
        .collect();
    let named = wanted.name.as_str().split('_').filter(|part| !part.is_empty()).all(|part| {
        let part = part.to_lowercase();
        low.iter().any(|word| word.starts_with(&part))
    });
    let mut values = 0_usize;
    named && stand_in(&said, args, &mut values) && 0 < values
}

/// Does each value stand in the words by itself? A truth value stands nowhere.
fn stand_in(words: &str, value: &Value, count: &mut usize) -> bool {
    let mut one = |text: &str| {
        *count = count.saturating_add(1);
        stands_in(words, text)
    };
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::String(text) => text.is_empty() || one(text),
        Value::Number(number) => one(&number.to_string()),
        Value::Array(items) => items.iter().all(|item| stand_in(words, item, count)),
        Value::Object(fields) => fields.values().all(|field| stand_in(words, field, count)),
    }
}

fn of_step(plan: &Plan, used: &Used, record: &Record, id: &StepId, args: &Value) -> Conformance {
    let Some(step) = plan.step(id) else { return unexpected(format!("the plan has no step {id}")) };
    if used.by_plan.contains(id) {
        return unexpected(format!("step {id} of the plan was carried out already"));
    }
    match resolve(step, record) {
        Ok(resolved) if resolved.args == *args => Conformance::Expected { step: id.clone() },
        Ok(resolved) => unexpected(difference(&resolved.args, args)),
        Err(unresolved) => unexpected(unresolved.to_string()),
    }
}

fn of_app(plan: &Plan, record: &Record, by: &AppId, wanted: &Functionality, args: &Value) -> Conformance {
    let same = |step: &&Step| {
        matches!(&step.kind, StepKind::Call { functionality, .. } if functionality == wanted)
            && resolve(step, record).is_ok_and(|resolved| resolved.args == *args)
    };
    match plan.steps.iter().find(same) {
        Some(step) => {
            unexpected(format!("{by} asks for what step {} does, which is not meant for it", step.id))
        }
        None => unexpected(format!("{wanted} is not in the plan; {by} asks for it")),
    }
}

fn unexpected(differs: String) -> Conformance {
    Conformance::Unexpected { differs }
}

/// Names the arguments that differ, not their values: those are shown with the flow.
fn difference(planned: &Value, given: &Value) -> String {
    let (Value::Object(planned), Value::Object(given)) = (planned, given) else {
        return "the arguments are not those of the plan".to_owned();
    };
    let names: BTreeSet<&String> = planned.keys().chain(given.keys()).collect();
    let differing: Vec<String> = names
        .into_iter()
        .filter(|name| planned.get(*name) != given.get(*name))
        .map(|name| crate::permission::label::printable(name, 40))
        .collect();
    format!("not as planned: {}", differing.join(", "))
}

#[cfg(test)]
mod tests;
