//! An ordered list of things that are put in force.
//!
//! Answers: what is done, in which order, and how long did each take?
//! Never: goes on after one that failed.

use crate::error::{Error, Layer};
use std::time::{Duration, Instant};

/// One layer: what it does in a sentence, and the code that does it.
pub(crate) struct Step<With> {
    pub(crate) layer: Layer,
    pub(crate) what: &'static str,
    pub(crate) act: fn(&With) -> Result<(), Error>,
}

/// Does all of them in order.
pub(crate) fn take<With>(steps: &[Step<With>], with: &With) -> Result<Vec<(Layer, Duration)>, Error> {
    let mut timings = Vec::with_capacity(steps.len());
    for step in steps {
        let begun = Instant::now();
        (step.act)(with)?;
        timings.push((step.layer, begun.elapsed()));
    }
    Ok(timings)
}

/// The steps for people.
pub(crate) fn list<With>(steps: &[Step<With>]) -> Vec<(Layer, &'static str)> {
    steps.iter().map(|step| (step.layer, step.what)).collect()
}
