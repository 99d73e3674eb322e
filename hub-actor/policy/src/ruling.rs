//! What the rules say of a flow.
//!
//! Answers: is it forbidden, does it proceed, is a person asked, or does no rule permit it?
//! Never: knows of grants; permits what Cedar could not work out.
//! Carries: I-06, I-07.

use crate::compile::Policy;
use crate::facts::Facts;
use crate::index::Holding;
use crate::rule::{Kind, Rule};

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It never happens, whoever wants it.
    Forbidden(Said),
    /// It runs.
    Proceeds(Said),
    /// A person is asked; an earlier answer may settle it, unless it is to be asked each time.
    Asks {
        /// Which rule.
        said: Said,
        /// No grant settles it.
        each_time: bool,
    },
    /// No rule permits it.
    Nothing,
}

/// By which rule, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The rule's name.
    pub rule: String,
    /// In a sentence.
    pub why: String,
}

impl Policy {
    /// What the rules say of this flow. In this order: a rule that forbids it to proceed; one that has it asked
    /// each time; one that lets it proceed; one that forbids the question; one that has it asked.
    #[must_use]
    pub fn ruling(&self, facts: &Facts) -> Ruling {
        self.0.given.or(facts, || self.work_out(facts))
    }

    fn work_out(&self, facts: &Facts) -> Ruling {
        let Some((names, index)) = &self.0.index else { return Ruling::Nothing };
        let Some(asked) = names.ask(facts) else { return Ruling::Nothing };
        let proceed = index.proceed(&asked);
        if let Some(rule) = self.first(&proceed.forbids) {
            return Ruling::Forbidden(said(rule, facts));
        }
        let proceeds = self.first(&proceed.permits);
        if let (Some(rule), false) = (proceeds, self.0.each_time) {
            return Ruling::Proceeds(said(rule, facts));
        }
        let ask = index.ask(&asked);
        match (proceeds, self.asks(&ask)) {
            (_, Some(rule)) if rule.each_time => Ruling::Asks { said: said(rule, facts), each_time: true },
            (Some(rule), _) => Ruling::Proceeds(said(rule, facts)),
            (None, Some(rule)) if rule.kind == Kind::Forbid => Ruling::Forbidden(said(rule, facts)),
            (None, Some(rule)) => Ruling::Asks { said: said(rule, facts), each_time: false },
            (None, None) => Ruling::Nothing,
        }
    }

    /// The rule that says whether a person is asked: one that forbids it before one that permits it, and of these one
    /// that has it asked each time before the others.
    fn asks(&self, ask: &Holding) -> Option<&Rule> {
        let each_time = || {
            let mut permits = ask.permits.iter().filter_map(|number| self.0.rules.get(*number));
            permits.find(|rule| rule.each_time)
        };
        self.first(&ask.forbids).or_else(each_time).or_else(|| self.first(&ask.permits))
    }

    fn first(&self, numbers: &[usize]) -> Option<&Rule> {
        numbers.first().and_then(|number| self.0.rules.get(*number))
    }
}

fn said(rule: &Rule, facts: &Facts) -> Said {
    Said { rule: rule.id.clone(), why: rule.sentence(facts) }
}

#[cfg(test)]
pub(crate) mod tests;
