//! What would have to be otherwise for a flow to run unasked.
//!
//! Answers: which facts, and no fewer, would change the ruling?
//! Never: guesses; each set of changes is put to the rules.

use crate::compile::Policy;
use crate::facts::Facts;
use crate::ruling::Ruling;

/// A fact that could have been otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is a step of the plan.
    Planned,
    /// The user named who receives.
    Named,
    /// Its other arguments stand in the user's words, in the plan, or in a field of a result.
    Accounted,
}

const ALL: [Change; 3] = [Change::Planned, Change::Named, Change::Accounted];

impl Change {
    fn is_had(self, facts: &Facts) -> bool {
        match self {
            Self::Planned => facts.expected,
            Self::Named => facts.receivers.all_named(),
            Self::Accounted => facts.accounted,
        }
    }

    fn make(self, facts: &mut Facts) {
        match self {
            // The plan does it itself, or has the app do it on its own.
            Self::Planned => facts.expected = true,
            Self::Named => {
                let receivers = std::mem::take(&mut facts.receivers);
                facts.receivers.named = receivers.named;
                facts.receivers.named.extend(receivers.derived);
                facts.receivers.named.extend(receivers.unnamed);
            }
            Self::Accounted => facts.accounted = true,
        }
    }
}

impl Policy {
    /// The smallest sets of changes with which the flow would run unasked; none if no change of facts would do.
    #[must_use]
    pub fn would_run_with(&self, facts: &Facts) -> Vec<Vec<Change>> {
        let lacking: Vec<Change> = ALL.into_iter().filter(|change| !change.is_had(facts)).collect();
        for size in 1..=lacking.len() {
            let enough: Vec<Vec<Change>> = subsets(&lacking, size)
                .into_iter()
                .filter(|changes| {
                    let mut facts = facts.clone();
                    changes.iter().for_each(|change| change.make(&mut facts));
                    matches!(self.ruling(&facts), Ruling::Proceeds(_))
                })
                .collect();
            if !enough.is_empty() {
                return enough;
            }
        }
        Vec::new()
    }
}

fn subsets(of: &[Change], size: usize) -> Vec<Vec<Change>> {
    let Some((first, rest)) = of.split_first() else {
        return if size == 0 { vec![Vec::new()] } else { Vec::new() };
    };
    let mut all = subsets(rest, size);
    if 0 < size {
        let with = subsets(rest, size.saturating_sub(1));
        all.extend(with.into_iter().map(|rest| std::iter::once(*first).chain(rest).collect()));
    }
    all
}
