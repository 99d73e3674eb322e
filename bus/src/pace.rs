//! Who speaks too fast?
//!
//! Answers: is this message of a spoke taken, is it dropped, or is its spoke to be ended?
//! Never: reads a clock; ends a spoke for a burst; remembers more spokes than it was told to.
//! Carries: I-16.
//!
//! The one rule for all services. What comes faster than the rate is dropped unread. A spoke that is above its rate in two
//! [`WINDOW`]s in a row does not slow down: dropping alone would leave the others to share what it leaves of the machine.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::id::SpokeAddr;

/// How long drops are counted together. Two of them are long enough for a burst to end in, and short enough that a flood
/// does not fill the queues of the broker.
pub const WINDOW: Duration = Duration::from_millis(250);

/// How often a verdict is said again, should nobody have heard it.
const AGAIN: Duration = Duration::from_secs(1);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the rate.
    Take,
    /// It is not read.
    Drop,
    /// It is not read, and the spoke is to be ended.
    End,
}

/// How fast each spoke speaks to one service.
#[derive(Clone, Debug)]
pub struct Paces {
    rate: (u32, u32),
    most: usize,
    of: HashMap<SpokeAddr, Pace>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    bucket: Bucket,
    /// When the present window began.
    began: Instant,
    /// Was something dropped in the one before, and in this one?
    dropped: (bool, bool),
    /// When it was last said that the spoke is to be ended.
    said: Option<Instant>,
}

impl Paces {
    /// For `(a second, at once)` messages of each spoke. Beyond `most` spokes, those that were silent are forgotten.
    #[must_use]
    pub fn new(rate: (u32, u32), most: usize) -> Self {
        Self { rate, most, of: HashMap::new() }
    }

    /// A message of this spoke is here.
    pub fn heard(&mut self, spoke: &SpokeAddr, now: Instant) -> Verdict {
        if let Some(pace) = self.of.get_mut(spoke) {
            return pace.heard(now);
        }
        if self.most <= self.of.len() {
            self.of.retain(|_, pace| !pace.bucket.is_full(now));
        }
        let bucket = Bucket::new(self.rate, now);
        let pace = Pace { bucket, began: now, dropped: (false, false), said: None };
        self.of.entry(spoke.clone()).or_insert(pace).heard(now)
    }

    /// For what a spoke is ended, as a part of a sentence.
    #[must_use]
    pub fn why(&self) -> String {
        format!("it sent more than {} messages a second", self.rate.0)
    }
}

impl Pace {
    fn heard(&mut self, now: Instant) -> Verdict {
        self.pass(now);
        if self.bucket.take(now) {
            return Verdict::Take;
        }
        self.dropped.1 = true;
        let due = self.said.is_none_or(|said| AGAIN <= now.saturating_duration_since(said));
        if self.dropped.0 && due {
            self.said = Some(now);
            return Verdict::End;
        }
        Verdict::Drop
    }

    /// Lets windows pass.
    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed < WINDOW {
            return;
        }
        self.dropped = (self.dropped.1 && passed < WINDOW * 2, false);
        self.began = now;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::{AppId, SpokeId};

    fn spoke(id: &str) -> SpokeAddr {
        SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse(id).unwrap() }
    }

    /// Says so many messages, evenly, within so many milliseconds; returns how many were taken, and when the end came.
    fn say(paces: &mut Paces, from: Instant, id: &str, count: u32, ms: u32) -> (u32, Option<Duration>) {
        let (mut taken, mut end) = (0, None);
        for n in 0..count {
            let passed = Duration::from_millis(u64::from(ms)) * n / count.max(1);
            match paces.heard(&spoke(id), from + passed) {
                Verdict::Take => taken += 1,
                Verdict::Drop => {}
                Verdict::End => end = end.or(Some(passed)),
            }
        }
        (taken, end)
    }

    #[test]
    fn who_keeps_to_the_rate_is_taken_for_ever() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        assert_eq!(say(&mut paces, start, "a", 10_000, 10_000), (10_000, None));
    }

    #[test]
    fn a_burst_is_dropped_and_forgiven() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        let (taken, end) = say(&mut paces, start, "a", 50_000, 200);
        assert!(taken < 400 && end.is_none(), "{taken} {end:?}");
        // The next one comes after a pause; drops long ago do not count with it.
        assert_eq!(say(&mut paces, start + Duration::from_secs(1), "a", 50_000, 200).1, None);
    }

    #[test]
    fn who_goes_on_is_ended_within_two_windows() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        let (_, end) = say(&mut paces, start, "a", 100_000, 600);
        assert!(end.is_some_and(|end| WINDOW <= end && end <= WINDOW * 2), "{end:?}");
        assert_eq!(say(&mut paces, start, "b", 100, 600), (100, None), "its neighbour is not");
    }

    #[test]
    fn the_verdict_is_said_again_but_not_with_each_message() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        let ends = (0..300_000_u32)
            .filter(|n| paces.heard(&spoke("a"), start + Duration::from_micros(10) * *n) == Verdict::End)
            .count();
        assert_eq!(ends, 3, "in three seconds");
    }

    #[test]
    fn those_that_were_silent_are_forgotten_and_those_above_their_rate_are_not() {
        let (mut paces, start) = (Paces::new((1000, 10), 2), Instant::now());
        say(&mut paces, start, "loud", 10_000, 300);
        say(&mut paces, start, "calm", 1, 1);
        paces.heard(&spoke("new"), start + Duration::from_millis(300));
        assert!(paces.of.contains_key(&spoke("loud")) && !paces.of.contains_key(&spoke("calm")));
    }
}
