//! How often people are asked.
//!
//! Answers: how many prompts did a user see, about what, how many of them with a warning, and how many again?
//! Never: keeps what was asked beyond who wanted what of whom; decides anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bus::id::{UserId, WorkId};
use serde_json::{Value, json};

use super::decide::Decision;
use super::prompts::{Answered, Open};
use super::question::Question;

/// Users that are counted. Whoever comes later is not; the audit has everything.
const USERS: usize = 10_000;

/// Ways that are remembered for a user, to know a repeat by.
const WAYS: usize = 10_000;

/// The counts of all users since the hub started.
#[derive(Debug, Default)]
pub struct AllStats {
    of: HashMap<UserId, Stats>,
}

#[derive(Debug, Default)]
struct Stats {
    queries: u64,
    queries_with_prompts: u64,
    flows: u64,
    allowed_by_rule: u64,
    allowed_by_grant: u64,
    denied_by_rule: u64,
    denied_by_grant: u64,
    prompts: u64,
    flows_asked: u64,
    warned: u64,
    repeats: u64,
    allowed: u64,
    refused: u64,
    allowed_with_warning: u64,
    unanswered: u64,
    by_rule: BTreeMap<String, u64>,
    asking: BTreeSet<WorkId>,
    ways: BTreeSet<(String, String)>,
}

fn more(count: &mut u64) {
    *count = count.saturating_add(1);
}

impl AllStats {
    fn at(&mut self, user: &UserId) -> Option<&mut Stats> {
        if USERS <= self.of.len() && !self.of.contains_key(user) {
            return None;
        }
        Some(self.of.entry(user.clone()).or_default())
    }

    /// A flow was decided, or is to be asked about.
    pub fn decided(&mut self, question: &Question, decision: &Decision) {
        let Some(stats) = self.at(&question.user) else { return };
        more(&mut stats.flows);
        match decision {
            Decision::Allow { by, .. } if by.starts_with("grant:") => more(&mut stats.allowed_by_grant),
            Decision::Allow { .. } => more(&mut stats.allowed_by_rule),
            Decision::Deny { by, .. } if by.starts_with("grant:") => more(&mut stats.denied_by_grant),
            Decision::Deny { .. } => more(&mut stats.denied_by_rule),
            Decision::Ask { by, .. } => more(stats.by_rule.entry(by.clone()).or_default()),
        }
    }

    /// A prompt is shown.
    pub fn shown(&mut self, open: &Open) {
        let Some(first) = open.questions().next() else { return };
        let Some(stats) = self.at(&first.user) else { return };
        more(&mut stats.prompts);
        stats.asking.insert(first.query.clone());
        if open.warning.is_some() {
            more(&mut stats.warned);
        }
        stats.flows_asked = stats.flows_asked.saturating_add(open.questions().count() as u64);
        let way = (first.from.to_string(), first.to.to_string());
        if stats.ways.contains(&way) {
            more(&mut stats.repeats);
        } else if stats.ways.len() < WAYS {
            stats.ways.insert(way);
        }
    }

    /// A person answered.
    pub fn answered(&mut self, open: &Open, answered: &Answered) {
        for (place, question) in open.questions().enumerate() {
            let Some(stats) = self.at(&question.user) else { return };
            if !answered.allows(place) {
                more(&mut stats.refused);
                continue;
            }
            more(&mut stats.allowed);
            if open.warning.is_some() {
                more(&mut stats.allowed_with_warning);
            }
        }
    }

    /// Nobody did.
    pub fn unanswered(&mut self, open: &Open) {
        for question in open.questions() {
            let Some(stats) = self.at(&question.user) else { return };
            more(&mut stats.unanswered);
        }
    }

    /// A query is over.
    pub fn query_ended(&mut self, user: &UserId, query: &WorkId) {
        let Some(stats) = self.at(user) else { return };
        more(&mut stats.queries);
        if stats.asking.remove(query) {
            more(&mut stats.queries_with_prompts);
        }
    }

    /// This user's, for people.
    #[must_use]
    pub fn of(&self, user: &UserId) -> Value {
        let none = Stats::default();
        let stats = self.of.get(user).unwrap_or(&none);
        let mean = |count: u64| if stats.queries == 0 { 0.0 } else { count as f64 / stats.queries as f64 };
        json!({
            "queries": stats.queries,
            "prompts": stats.prompts,
            "prompts_per_query": mean(stats.prompts),
            "queries_with_prompts": stats.queries_with_prompts,
            "prompts_with_warning": stats.warned,
            "repeated_prompts": stats.repeats,
            "flows": stats.flows,
            "flows_asked": stats.flows_asked,
            "flows_allowed": {"rule": stats.allowed_by_rule, "grant": stats.allowed_by_grant, "user": stats.allowed,
                "user_despite_warning": stats.allowed_with_warning},
            "flows_denied": {"rule": stats.denied_by_rule, "grant": stats.denied_by_grant, "user": stats.refused,
                "unanswered": stats.unanswered},
            "asked_by_rule": stats.by_rule,
        })
    }
}
