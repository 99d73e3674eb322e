//! The order of a plan's steps.
//!
//! Answers: which steps can run now, and which never can?
//! Never: lets one app keep another from running. A step that fails holds up only steps that use its value;
//! a step that merely comes after it runs all the same.

use std::collections::{BTreeMap, BTreeSet};

use bus::id::StepId;

use super::{Plan, Step, StepKind};

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

/// Steps of a loop that can be asked about before it is their turn: they have all their values, and wait only for steps that call the
/// same functionality and have begun. So a person sees the whole of "one mail to each of these", not one mail after the
/// other. They still run in their order.
#[must_use]
pub fn ahead<'a>(plan: &'a Plan, begun: &BTreeSet<StepId>, ended: &BTreeMap<StepId, End>) -> Vec<&'a Step> {
    let mut open: BTreeSet<&StepId> = begun.iter().filter(|step| !ended.contains_key(*step)).collect();
    let mut found = Vec::new();
    for step in &plan.steps {
        let alike = |earlier: &StepId| {
            open.contains(earlier) && plan.step(earlier).is_some_and(|earlier| calls_the_same(earlier, step))
        };
        if !begun.contains(&step.id)
            && !ended.contains_key(&step.id)
            && step.needs.iter().all(|earlier| ended.get(earlier) == Some(&End::Value))
            && step.after.iter().all(|earlier| ended.contains_key(earlier) || alike(earlier))
        {
            open.insert(&step.id);
            found.push(step);
        }
    }
    found
}

/// Do both call the same functionality?
#[must_use]
pub fn calls_the_same(a: &Step, b: &Step) -> bool {
    match (&a.kind, &b.kind) {
        (StepKind::Call { functionality: a, .. }, StepKind::Call { functionality: b, .. }) => a == b,
        _ => false,
    }
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
