//! Rulings that were given before.
//!
//! Answers: what did the rules say of the very same facts?
//! Never: takes facts for the same that differ in anything; grows beyond its bounds.
//! Carries: I-06, I-07.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::facts::Facts;
use crate::ruling::Ruling;

/// How many rulings are kept. When there are so many, all are forgotten: to work one out again costs some ten
/// microseconds, and a flow of new facts can then displace no more than time.
const MOST: usize = 1024;

/// Bytes of facts that are kept at most for one ruling. An app may write receivers as long as a message.
const LONGEST: usize = 2 << 10;

/// What one policy said so far. Rules have no clock and no state, so what they said they would say again.
#[derive(Default)]
pub struct Given(Mutex<HashMap<Facts, Ruling>>);

impl Given {
    /// The ruling on these facts, worked out unless it is known.
    pub fn or(&self, facts: &Facts, work_out: impl FnOnce() -> Ruling) -> Ruling {
        if LONGEST < facts.bytes() {
            return work_out();
        }
        // A panic between two whole entries leaves them whole.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ruling) = known().get(facts) {
            return ruling.clone();
        }
        let ruling = work_out();
        let mut known = known();
        if MOST <= known.len() {
            known.clear();
        }
        known.insert(facts.clone(), ruling.clone());
        ruling
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruling::tests::facts;

    fn kept(given: &Given) -> usize {
        given.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    #[test]
    fn what_was_said_is_said_again_without_the_rules() {
        let given = Given::default();
        assert_eq!(given.or(&facts(), || Ruling::Nothing), Ruling::Nothing);
        assert_eq!(given.or(&facts(), || unreachable!("it is known")), Ruling::Nothing);
    }

    #[test]
    fn rulings_in_any_number_and_facts_of_any_length_do_not_pile_up() {
        let given = Given::default();
        let long = Facts { labels: ["x".repeat(LONGEST)].into(), ..facts() };
        given.or(&long, || Ruling::Nothing);
        assert_eq!(kept(&given), 0);
        for number in 0..3 * MOST {
            let other = Facts { labels: [number.to_string()].into(), ..facts() };
            given.or(&other, || Ruling::Nothing);
            assert!(kept(&given) <= MOST);
        }
        assert_ne!(kept(&given), 0);
    }
}
