//! What the steps of a plan returned, and where that came from.
//!
//! Answers: which value did this step give, carrying which labels?
//! Never: loses a label: what is taken from a record carries all that the record carries.

use std::collections::BTreeMap;

use bus::id::StepId;
use serde_json::Value;

use super::sight::Sight;
use crate::permission::label::Labels;

/// Values that were obtained while a plan is carried out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    results: BTreeMap<StepId, Recorded>,
    /// By the step that wanted it and where in its arguments it goes.
    derived: BTreeMap<(StepId, String), Derived>,
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The value.
    pub value: Value,
    /// Its sources.
    pub labels: Labels,
}

/// A value that a quarantined conversation gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The value, with what the conversation carried.
    pub recorded: Recorded,
    /// What was in sight of it.
    pub sight: Sight,
}

impl Record {
    /// A step ended with this value. Its first end counts.
    pub fn finished(&mut self, step: StepId, value: Value, labels: Labels) {
        self.results.entry(step).or_insert(Recorded { value, labels });
    }

    /// This value was derived for the argument at `at` of `step`.
    pub fn derived(&mut self, step: StepId, at: String, derived: Derived) {
        self.derived.entry((step, at)).or_insert(derived);
    }

    /// What the step returned.
    #[must_use]
    pub fn result(&self, step: &StepId) -> Option<&Recorded> {
        self.results.get(step)
    }

    /// What was derived for the argument at `at` of `step`.
    #[must_use]
    pub fn derivation(&self, step: &StepId, at: &str) -> Option<&Derived> {
        self.derived.get(&(step.clone(), at.to_owned()))
    }
}
