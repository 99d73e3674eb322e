//! A plan: what is to be done for a query, written by a model and carried out by a program.
//!
//! Answers: is this a plan that can be carried out as it stands?
//! Never: repairs one; addresses what is not installed. What a model wrote is data.
//! Carries: I-17.

pub mod conformance;
pub mod graph;
pub mod record;
pub mod sight;
pub mod value;

mod error;
mod parse;
mod schema;

use std::collections::BTreeSet;

use bus::id::{AppId, Functionality, StepId};
use serde_json::{Value, json};

pub use conformance::{Conformance, Flowing, Used, conformance};
pub use error::PlanError;
pub use record::{Derived, Record, Recorded};
pub use schema::schema;
pub use sight::Sight;
pub use value::{Derivation, Resolved, Source, Unresolved, derives, resolve};

use crate::registry::Catalogue;

/// What the planner said.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// No app is needed.
    Answer(String),
    /// This is to be done.
    Steps(Plan),
}

/// At least one step, each referring only to earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the planner's order.
    pub steps: Vec<Step>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name within the plan.
    pub id: StepId,
    /// What.
    pub kind: StepKind,
    /// Steps whose end it waits for, whatever their end.
    pub after: BTreeSet<StepId>,
    /// Steps whose values it uses, by `$from` or `$derive`; it cannot run without them.
    pub needs: BTreeSet<StepId>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Calls a functionality.
    Call {
        /// Which.
        functionality: Functionality,
        /// With literals, and markers where values of earlier steps go.
        args: Value,
    },
    /// Hands work to an app's own model.
    Delegate {
        /// Which app.
        app: AppId,
        /// What it should do.
        request: String,
    },
}

impl Plan {
    /// Reads what the planner wrote: one JSON object, alone or in a code fence.
    ///
    /// # Errors
    /// Why it cannot be carried out, precisely enough for the planner to mend it.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Planned, PlanError> {
        parse::parse(text, catalogue)
    }

    /// The step of this name.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// The plan that consists of one delegated step, whose text is the answer.
    #[must_use]
    pub fn only_delegate(&self) -> Option<&Step> {
        match self.steps.as_slice() {
            [step] if matches!(step.kind, StepKind::Delegate { .. }) => Some(step),
            _ => None,
        }
    }

    /// `{"steps": […]}`, as shown to the user.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"steps": self.steps.iter().map(Step::to_json).collect::<Vec<Value>>()})
    }
}

impl Step {
    /// The app that does it.
    #[must_use]
    pub fn app(&self) -> &AppId {
        match &self.kind {
            StepKind::Call { functionality, .. } => &functionality.app,
            StepKind::Delegate { app, .. } => app,
        }
    }

    /// What it calls, `<app>.<functionality>`; the app alone for a delegate.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.kind {
            StepKind::Call { functionality, .. } => functionality.to_string(),
            StepKind::Delegate { app, .. } => app.to_string(),
        }
    }

    fn to_json(&self) -> Value {
        match &self.kind {
            StepKind::Call { functionality, args } => {
                json!({"id": self.id, "kind": "call", "functionality": functionality, "args": args, "after": self.after})
            }
            StepKind::Delegate { app, request } => {
                json!({"id": self.id, "kind": "delegate", "app": app, "request": request, "after": self.after})
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
