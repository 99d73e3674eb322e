//! How fast somebody may speak.
//!
//! Answers: is there room for one more message now?
//! Never: reads a clock; the time is given.
//! Carries: I-16.

use std::time::{Duration, Instant};

/// A bucket of tokens: one for each message, refilled evenly.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Nanoseconds that one token takes to come back.
    refill: u64,
    /// Nanoseconds of credit at most.
    most: u64,
    credit: u64,
    at: Instant,
}

impl Bucket {
    /// Full, for `(a second, at once)` messages.
    #[must_use]
    pub fn new((per_second, at_once): (u32, u32), now: Instant) -> Self {
        let refill = 1_000_000_000 / u64::from(per_second.max(1));
        let most = refill.saturating_mul(u64::from(at_once));
        Self { refill, most, credit: most, at: now }
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.take_some(1, now)
    }

    /// Takes so many tokens, if they are there; else none.
    pub fn take_some(&mut self, tokens: u32, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.credit = self.credit.saturating_add(nanoseconds(passed)).min(self.most);
        match self.credit.checked_sub(self.refill.saturating_mul(u64::from(tokens))) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }

    /// Has nothing been taken for so long that it might as well be forgotten?
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        let passed = nanoseconds(now.saturating_duration_since(self.at));
        self.most <= self.credit.saturating_add(passed)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_the_next_message_is_not() {
        let start = Instant::now();
        let mut bucket = Bucket::new((10, 3), start);
        assert!((0..3).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
    }

    #[test]
    fn a_pause_brings_back_what_the_rate_allows_and_no_more_than_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new((10, 3), start);
        assert!((0..3).all(|_| bucket.take(start)));
        let later = start + Duration::from_millis(100);
        assert!(bucket.take(later));
        assert!(!bucket.take(later));
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..10).filter(|_| bucket.take(much_later)).count(), 3);
    }

    #[test]
    fn several_are_taken_together_or_not_at_all() {
        let start = Instant::now();
        let mut bucket = Bucket::new((10, 3), start);
        assert!(!bucket.take_some(4, start));
        assert!(bucket.take_some(3, start) && !bucket.take(start));
    }

    #[test]
    fn a_bucket_is_full_again_after_a_while() {
        let start = Instant::now();
        let mut bucket = Bucket::new((10, 1), start);
        assert!(bucket.is_full(start));
        assert!(bucket.take(start) && !bucket.is_full(start));
        assert!(bucket.is_full(start + Duration::from_millis(100)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new((10, 1), start);
        assert!(bucket.take(start));
        assert!(!bucket.take(start - Duration::from_secs(5)));
        assert!(!bucket.take(start));
    }
}
