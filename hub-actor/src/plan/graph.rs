//! The order of a plan's steps.
//!
//! Answers: which steps can run now, and which never can?
//! Never: lets one app keep another from running. A step that fails holds up only steps that use its value;
//! a step that merely comes after it runs all the same.

use std::collections::{BTreeMap, BTreeSet};

use bus::id::StepId;

use super::{Plan, Step};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a value.
    Value,
    /// Without: failed, refused, cancelled, or blocked itself.
    Nothing,
}

/// Steps that can run: not begun, all they wait for has ended, all they use has a value. In the plan's order.
#[must_use]
pub fn ready<'a>(plan: &'a Plan, begun: &BTreeSet<StepId>, ended: &BTreeMap<StepId, End>) -> Vec<&'a Step> {
    let can = |step: &&Step| {
        !begun.contains(&step.id)
            && !ended.contains_key(&step.id)
            && step.after.iter().all(|earlier| ended.contains_key(earlier))
            && step.needs.iter().all(|earlier| ended.get(earlier) == Some(&End::Value))
    };
    plan.steps.iter().filter(can).collect()
}

/// Steps that can no longer run, each with the step whose value it lacks. The caller lets them end with
/// [`End::Nothing`] and asks again, as others may use theirs.
#[must_use]
pub fn blocked<'a>(
    plan: &'a Plan,
    begun: &BTreeSet<StepId>,
    ended: &BTreeMap<StepId, End>,
) -> Vec<(&'a Step, StepId)> {
    plan.steps
        .iter()
        .filter(|step| !begun.contains(&step.id) && !ended.contains_key(&step.id))
        .filter_map(|step| {
            let lacks = step.needs.iter().find(|earlier| ended.get(*earlier) == Some(&End::Nothing))?;
            Some((step, lacks.clone()))
        })
        .collect()
}

/// Has every step ended?
#[must_use]
pub fn is_done(plan: &Plan, ended: &BTreeMap<StepId, End>) -> bool {
    plan.steps.iter().all(|step| ended.contains_key(&step.id))
}
