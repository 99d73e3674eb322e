//! Why a plan cannot be carried out.
//!
//! Answers: what is wrong, in words that a person and the planner understand?
//! Never: carries an app's prose; all it repeats is what the planner itself wrote.
//! Carries: I-17.

use bus::id::{Functionality, StepId};
use bus::limits::MAX_STEPS;

/// A plan that is not carried out. The planner is asked once more, with [`PlanError::for_planner`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is not JSON.
    #[error("the plan is not a JSON object: {detail}")]
    NotJson {
        /// What the JSON parser says.
        detail: String,
    },
    /// It is JSON of another form.
    #[error("the plan does not have the form {{\"answer\", \"steps\"}}: {detail}")]
    Shape {
        /// What the reader says.
        detail: String,
    },
    /// There is neither an answer nor a step.
    #[error("the plan has neither an answer nor a step")]
    Nothing,
    /// There are too many steps.
    #[error("the plan has {count} steps; at most {MAX_STEPS} are carried out")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A step's name is not one.
    #[error("the id {id:?} of a step is not legal: {rule}")]
    Id {
        /// As written.
        id: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Two steps have one name.
    #[error("two steps are named {id}")]
    Duplicate {
        /// The name.
        id: StepId,
    },
    /// There is no such functionality.
    #[error("step {step}: there is no functionality {name:?}{}", did_you(.meant.as_ref()))]
    UnknownFunctionality {
        /// Which step.
        step: StepId,
        /// As written.
        name: String,
        /// What may have been meant.
        meant: Option<String>,
    },
    /// There is no such app.
    #[error("step {step}: there is no app {name:?}{}", did_you(.meant.as_ref()))]
    UnknownApp {
        /// Which step.
        step: StepId,
        /// As written.
        name: String,
        /// What may have been meant.
        meant: Option<String>,
    },
    /// It names a step that is not in the plan.
    #[error("step {step} refers to {to:?}, and there is no such step")]
    UnknownReference {
        /// Which step.
        step: StepId,
        /// As written.
        to: String,
    },
    /// It names a later step.
    #[error("step {step} refers to {to}, which comes later; only earlier steps may be named")]
    ForwardReference {
        /// Which step.
        step: StepId,
        /// The later one.
        to: StepId,
    },
    /// Steps wait for each other.
    #[error("steps wait for each other in a circle: {}", circle(.steps))]
    Cycle {
        /// The circle.
        steps: Vec<StepId>,
    },
    /// A `$from` or `$derive` is malformed.
    #[error("step {step}: {detail}")]
    Marker {
        /// Which step.
        step: StepId,
        /// What is wrong with it.
        detail: String,
    },
    /// The arguments do not fit.
    #[error("step {step}: the arguments do not fit {functionality}: {detail}")]
    Arguments {
        /// Which step.
        step: StepId,
        /// Which functionality.
        functionality: Functionality,
        /// Where they do not.
        detail: String,
    },
}

impl PlanError {
    /// What the planner is told when it is asked once more.
    #[must_use]
    pub fn for_planner(&self) -> String {
        format!(
            "That cannot be carried out: {self}. Answer again, with one JSON object and nothing else, in the form and by the rules given above."
        )
    }
}

fn did_you(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!("; is {name} meant?"))
}

fn circle(steps: &[StepId]) -> String {
    steps.iter().map(StepId::as_str).collect::<Vec<_>>().join(", ")
}
