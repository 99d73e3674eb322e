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
    },
}

/// Compares a flow with the plan and what was recorded.
///
/// What an app asks for is expected in one case only: it reads by a functionality of its own, while it works on a step
/// delegated to it. What it asks of another app is never a step of the plan, even if the plan does the very same: the
/// plan gives that value to the executor, and here the app would get it.
#[must_use]
pub fn conformance(plan: &Plan, used: &Used, record: &Record, flowing: Flowing<'_>) -> Conformance {
    match flowing {
        Flowing::Step { step, args } => of_step(plan, used, record, step, args),
        Flowing::Asked { by, functionality, effect, args } => {
            of_app(plan, used, record, by, functionality, effect, args)
        }
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

fn of_app(
    plan: &Plan,
    used: &Used,
    record: &Record,
    by: &AppId,
    wanted: &Functionality,
    effect: Effect,
    args: &Value,
) -> Conformance {
    let works = plan.steps.iter().find(|step| {
        matches!(&step.kind, StepKind::Delegate { app, .. } if app == by) && used.by_plan.contains(&step.id)
    });
    if let (true, Effect::Read, Some(step)) = (wanted.app == *by, effect, works) {
        return Conformance::Expected { step: step.id.clone() };
    }
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
