//! How often a part may end before the whole is given up.
//!
//! Answers: restart once more, or stop?
//! Never: looks at a clock of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Restarts within the window. A part that cannot run at all uses them up in seconds; one that ends now and then never does.
const MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(30);

/// The restarts of late.
#[derive(Debug, Default)]
pub struct Intensity {
    times: VecDeque<Instant>,
}

impl Intensity {
    /// Notes a restart at `now`; is it one too many?
    pub fn exceeded(&mut self, now: Instant) -> bool {
        while self.times.front().is_some_and(|&time| WINDOW < now.saturating_duration_since(time)) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        MAX < self.times.len()
    }

    /// For the sentence that says so.
    #[must_use]
    pub fn allowed() -> String {
        format!("{MAX} restarts in {} s", WINDOW.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_restart_in_half_a_minute_is_one_too_many() {
        let (mut intensity, start) = (Intensity::default(), Instant::now());
        for second in 0..5 {
            assert!(!intensity.exceeded(start + Duration::from_secs(second)));
        }
        assert!(intensity.exceeded(start + Duration::from_secs(6)));
    }

    #[test]
    fn restarts_that_are_far_apart_never_add_up() {
        let (mut intensity, start) = (Intensity::default(), Instant::now());
        for times in 0..100 {
            assert!(!intensity.exceeded(start + Duration::from_secs(10 * times)), "{times}");
        }
    }
}
