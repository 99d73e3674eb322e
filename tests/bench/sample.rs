//! A handful of measured times.
//!
//! Answers: what is the median of these, and what do 99 of 100 stay under?

use std::time::Duration;

/// Measured times, in any order.
#[derive(Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e6);
    }

    pub fn append(&mut self, mut other: Sample) {
        self.0.append(&mut other.0);
    }

    /// The value that `share` of the sample stays under, microseconds; nearest rank.
    pub fn percentile_us(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// To two significant places behind the dot.
pub fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
