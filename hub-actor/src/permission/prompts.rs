//! Prompts that are open.
//!
//! Answers: is this asked already, who waits for the answer, and what did the answer settle?
//! Never: takes an answer from another user, a second answer, or one that was not offered.
//! Carries: I-05, I-07.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bus::id::{UserId, WorkId};
use bus::message::user::{Choice, Flow, Verdict};
use tokio::sync::oneshot;

use super::decide::Decision;
use super::offer::accepts;
use super::question::{Origin, Question, Target};
use crate::inquiry::Inquiry;

/// Prompts of one query that may be open at once. An app that asks for more is told no.
const OPEN_AT_ONCE: usize = 16;

/// A question with a person in front of it.
pub struct Open {
    /// What is asked.
    pub question: Question,
    /// For which query.
    pub inquiry: Arc<Inquiry>,
    waiting: Vec<oneshot::Sender<Flow>>,
}

impl Open {
    /// Tells all who wait.
    pub fn settle(self, flow: &Flow) {
        for waiting in self.waiting {
            // Whoever does not wait any more does not act on it either.
            let _ = waiting.send(flow.clone());
        }
    }
}

/// All open prompts, and those that nobody answered.
#[derive(Default)]
pub struct Prompts {
    open: HashMap<WorkId, Open>,
    unanswered: HashSet<(WorkId, Origin, Target)>,
}

/// What is to be done with a question that asks.
#[derive(Debug)]
pub enum Asked {
    /// A prompt is to be shown under this name.
    Show(WorkId),
    /// The same is being asked already; the answer will count for both.
    Shared,
    /// It is not asked: the answer is no.
    No {
        /// By this rule.
        by: &'static str,
        /// For this reason.
        reason: String,
        /// To be told there.
        answer: oneshot::Sender<Flow>,
    },
}

impl Prompts {
    /// Takes a question in; `answer` will get the flow as decided, and comes back if there is nobody to give it.
    pub fn ask(
        &mut self,
        question: &Question,
        inquiry: &Arc<Inquiry>,
        answer: oneshot::Sender<Flow>,
    ) -> Asked {
        if let Some(open) = self.open.values_mut().find(|open| same(&open.question, question)) {
            open.waiting.push(answer);
            return Asked::Shared;
        }
        if self.unanswered.contains(&way(question)) {
            let reason = "Nobody answered when this was asked before, so it is refused.";
            return Asked::No { by: "timeout", reason: reason.into(), answer };
        }
        if OPEN_AT_ONCE <= self.open.values().filter(|open| open.question.query == question.query).count() {
            let reason = format!("{OPEN_AT_ONCE} prompts of this query are open already.");
            return Asked::No { by: "limit:prompts", reason, answer };
        }
        let id = WorkId::fresh();
        let open = Open { question: question.clone(), inquiry: Arc::clone(inquiry), waiting: vec![answer] };
        self.open.insert(id.clone(), open);
        Asked::Show(id)
    }

    /// Takes the first answer of the user who was asked.
    #[must_use]
    pub fn answered(&mut self, user: &UserId, prompt: &WorkId) -> Option<Open> {
        if &self.open.get(prompt)?.question.user != user {
            return None;
        }
        self.open.remove(prompt)
    }

    /// Nobody answered in time.
    #[must_use]
    pub fn expired(&mut self, prompt: &WorkId) -> Option<Open> {
        let open = self.open.remove(prompt)?;
        self.unanswered.insert(way(&open.question));
        Some(open)
    }

    /// Open prompts that an answer to another has settled, each with its decision.
    #[must_use]
    pub fn settled_by(&mut self, decide: impl Fn(&Question) -> Decision) -> Vec<(Open, Decision)> {
        let settled: Vec<(WorkId, Decision)> = self
            .open
            .iter()
            .map(|(id, open)| (id.clone(), decide(&open.question)))
            .filter(|(_, decision)| !matches!(decision, Decision::Ask { .. }))
            .collect();
        settled.into_iter().filter_map(|(id, decision)| Some((self.open.remove(&id)?, decision))).collect()
    }

    /// A query is over: what it asked is moot.
    pub fn query_ended(&mut self, query: &WorkId) {
        self.open.retain(|_, open| &open.question.query != query);
        self.unanswered.retain(|(of, ..)| of != query);
    }
}

/// What a person's choice makes of the flow: the verdict, and the reason in a sentence.
#[must_use]
pub fn verdict(question: &Question, choice: Choice) -> (Verdict, &'static str) {
    if !accepts(question, choice) {
        return (Verdict::Deny, "The answer was not one of those offered, so it is refused.");
    }
    match choice {
        Choice::Once => (Verdict::Allow, "You allowed it once."),
        Choice::Session => (Verdict::Allow, "You allowed it for this session."),
        Choice::Always => (Verdict::Allow, "You allowed it for always."),
        Choice::Deny => (Verdict::Deny, "You refused it."),
    }
}

/// Would a person see the same prompt?
fn same(a: &Question, b: &Question) -> bool {
    a.query == b.query
        && a.from == b.from
        && a.to == b.to
        && a.args == b.args
        && a.labels == b.labels
        && a.conformance == b.conformance
}

fn way(question: &Question) -> (WorkId, Origin, Target) {
    (question.query.clone(), question.from.clone(), question.to.clone())
}
