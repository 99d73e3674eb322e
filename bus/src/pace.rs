//! Who speaks too fast?
//!
//! Answers: is this message of a spoke taken, is it dropped, or is its spoke to be ended?
//! Never: reads a clock; ends a spoke for a burst; remembers more spokes than it was told to.
//! Carries: I-16.
//!
//! The one rule for all services. What comes faster than the rate is dropped unread, and so is what finds its spoke's queue
//! full. A spoke of which something was dropped in two [`WINDOW`]s in a row does not slow down: dropping alone would leave
//! the others to share what it leaves of the machine.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::bucket::Bucket;

/// How long drops are counted together. Two of them are long enough for a burst to end in, and short enough that a flood
/// does not fill the queues of the broker.
pub const WINDOW: Duration = Duration::from_millis(250);

/// How often a verdict is said again, should nobody have heard it.
const AGAIN: Duration = Duration::from_secs(1);

/// So many bytes count as one more message: a few large ones cost as much as many small ones.
const BYTES: usize = 16 << 10;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the rate.
    Take,
    /// It is not read.
    Drop {
        /// Is it the first one in this window? Then that is worth a line.
        first: bool,
    },
    /// It is not read, and the spoke is to be ended.
    End(Excess),
}

/// What it was too much for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The rate.
    Rate,
    /// The queue of what was not handled yet.
    Queue,
}

/// How fast each spoke speaks to one service. A spoke is named by the text that stands for it in subjects.
#[derive(Clone, Debug)]
pub struct Paces {
    rate: (u32, u32),
    most: usize,
    of: HashMap<String, Pace>,
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

    /// A message of `size` bytes of this spoke is here.
    pub fn heard(&mut self, spoke: &str, size: usize, now: Instant) -> Verdict {
        let cost = u32::try_from(size / BYTES).unwrap_or(u32::MAX).saturating_add(1);
        self.with(spoke, now, |pace| {
            if pace.bucket.take_some(cost, now) { Verdict::Take } else { pace.dropped(Excess::Rate, now) }
        })
    }

    /// A message of this spoke was within the rate, but its queue is full.
    pub fn overrun(&mut self, spoke: &str, now: Instant) -> Verdict {
        self.with(spoke, now, |pace| pace.dropped(Excess::Queue, now))
    }

    /// For what a spoke is ended, as a part of a sentence.
    #[must_use]
    pub fn why(&self, excess: Excess) -> String {
        let a_second = self.rate.0;
        match excess {
            Excess::Rate => {
                let bytes = BYTES.saturating_mul(usize::try_from(a_second).unwrap_or(usize::MAX));
                format!("it sent more than {a_second} messages or {} MB a second", bytes / 1_000_000)
            }
            Excess::Queue => "it sent more than could be handled and did not slow down".to_owned(),
        }
    }

    fn with(&mut self, spoke: &str, now: Instant, verdict: impl FnOnce(&mut Pace) -> Verdict) -> Verdict {
        // Looked up first: a name is only copied for a spoke that is new here.
        if let Some(pace) = self.of.get_mut(spoke) {
            return verdict(pace);
        }
        if self.most <= self.of.len() {
            self.of.retain(|_, pace| !pace.bucket.is_full(now));
        }
        let bucket = Bucket::new(self.rate, now);
        let mut pace = Pace { bucket, began: now, dropped: (false, false), said: None };
        let said = verdict(&mut pace);
        self.of.insert(spoke.to_owned(), pace);
        said
    }
}

impl Pace {
    fn dropped(&mut self, excess: Excess, now: Instant) -> Verdict {
        self.pass(now);
        let first = !self.dropped.1;
        self.dropped.1 = true;
        let due = self.said.is_none_or(|said| AGAIN <= now.saturating_duration_since(said));
        if self.dropped.0 && due {
            self.said = Some(now);
            return Verdict::End(excess);
        }
        Verdict::Drop { first }
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
mod tests {
    use super::*;

    /// Says so many messages, evenly, within so many milliseconds; returns how many were taken, and when the end came.
    fn say(paces: &mut Paces, from: Instant, spoke: &str, count: u32, ms: u32) -> (u32, Option<Duration>) {
        let (mut taken, mut end) = (0, None);
        for n in 0..count {
            let passed = Duration::from_millis(u64::from(ms)) * n / count.max(1);
            match paces.heard(spoke, 0, from + passed) {
                Verdict::Take => taken += 1,
                Verdict::Drop { .. } => {}
                Verdict::End(_) => end = end.or(Some(passed)),
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
    fn who_sends_little_in_large_pieces_is_ended_too() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        let verdicts: Vec<Verdict> =
            (0..100).map(|n| paces.heard("a", 1 << 20, start + Duration::from_millis(5) * n)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::End(Excess::Rate)).count(), 1);
        assert!(paces.why(Excess::Rate).contains("1000 messages or 16 MB a second"));
    }

    #[test]
    fn whose_queue_stays_full_is_ended_within_its_rate() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        assert_eq!(paces.overrun("a", start), Verdict::Drop { first: true });
        assert_eq!(paces.overrun("a", start), Verdict::Drop { first: false });
        assert_eq!(paces.overrun("a", start + WINDOW), Verdict::End(Excess::Queue));
    }

    #[test]
    fn the_verdict_is_said_again_but_not_with_each_message() {
        let (mut paces, start) = (Paces::new((1000, 100), 10), Instant::now());
        let ends = (0..300_000_u32)
            .filter(|n| {
                let now = start + Duration::from_micros(10) * *n;
                paces.heard("a", 0, now) == Verdict::End(Excess::Rate)
            })
            .count();
        assert_eq!(ends, 3, "in three seconds");
    }

    #[test]
    fn those_that_were_silent_are_forgotten_and_those_above_their_rate_are_not() {
        let (mut paces, start) = (Paces::new((1000, 10), 2), Instant::now());
        say(&mut paces, start, "loud", 10_000, 300);
        say(&mut paces, start, "calm", 1, 1);
        paces.heard("new", 0, start + Duration::from_millis(300));
        assert!(paces.of.contains_key("loud") && !paces.of.contains_key("calm"));
    }
}
