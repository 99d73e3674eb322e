//! A flow as the rules of the policy see it.
//!
//! Answers: which facts of a question may a rule speak of?
//! Never: decides; the rules are in `data/policies`, and the crate `policy` asks them.
//! Carries: I-06, I-07.

use ::policy::{Caller, Facts, Receiver};
pub use ::policy::{Fault, Faults, NoSuchPreset, PRESETS, Policy, Preset, Ruling, Said};

use bus::id::StepId;

use super::destination::{Destination, Whence};
use super::label::Label;
use super::question::{Origin, Question, Target};
use crate::plan::Conformance;

/// The facts of a question.
#[must_use]
pub fn facts(question: &Question) -> Facts {
    let function = match &question.to {
        Target::Functionality(functionality) => Some(functionality.name.clone()),
        Target::App(_) => None,
    };
    Facts {
        user: question.user.clone(),
        from: match &question.from {
            Origin::Plan => Caller::Plan,
            Origin::Memory => Caller::Memory,
            Origin::App(app) => Caller::App(app.clone()),
        },
        app: question.to.app().clone(),
        function,
        effect: question.effect,
        category: question.category(),
        expected: question.conformance.is_expected(),
        accounted: question.unaccounted().is_empty(),
        attended: question.attended,
        step: step(question).cloned(),
        labels: question.labels.to_strings().into_iter().collect(),
        receivers: question.destinations.iter().map(receiver).collect(),
    }
}

/// The step that it is, or that it was asked for in.
fn step(question: &Question) -> Option<&StepId> {
    match &question.conformance {
        Conformance::Expected { step } => Some(step),
        Conformance::Unexpected { .. } => question.step.as_ref(),
    }
}

fn receiver(destination: &Destination) -> Receiver {
    let value = destination.value.clone();
    match &destination.whence {
        Whence::User => Receiver::Named(value),
        Whence::Planner => Receiver::Unnamed(value),
        Whence::Step { labels, .. } => Receiver::Derived(value, labels.to_strings().into_iter().collect()),
        Whence::App(app) => Receiver::Derived(value, [Label::App(app.clone()).to_string()].into()),
    }
}
