//! Faults on demand: what a model's server does on a bad day.
//!
//! Answers: does this request get a fault, and which?
//! Never: invents one; each was asked for, with a number of times.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A fault, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many requests.
    #[serde(default = "once")]
    pub times: u32,
    /// Only for conversations of this kind (`planner`, `spoke`, …); for all, if absent.
    #[serde(default)]
    pub on: Option<String>,
    /// With [`FaultKind::Busy`]: what `Retry-After` says, seconds.
    #[serde(default)]
    pub retry_after_s: u32,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Status 429 with `Retry-After`.
    Busy,
    /// Status 500.
    Error,
    /// No answer, ever.
    Hang,
    /// The connection ends in the middle of the answer.
    Cut,
    /// Status 200 with a body that is not JSON.
    NotJson,
}

/// The faults still to come.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// These.
    pub fn new(faults: Vec<Fault>) -> Faults {
        Faults(Mutex::new(faults))
    }

    /// One more.
    pub fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// None any more.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The fault for a request of this kind; it is used up by that.
    pub fn take(&self, kind: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|fault| fault.times != 0);
        let fault = faults.iter_mut().find(|fault| fault.on.as_deref().is_none_or(|on| on == kind))?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

fn once() -> u32 {
    1
}
