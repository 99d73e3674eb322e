//! Prompts that are open.
//!
//! Answers: is this asked already, who waits for the answer, and what did the answer settle?
//! Never: takes an answer from another user, a second answer, or one that was not offered.
//! Carries: I-05, I-07.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bus::id::{UserId, WorkId};
use bus::message::user::{Choice, Consent, Flow, Prompt, Verdict};
use tokio::sync::oneshot;

use super::decide::Decision;
use super::grant::{Extent, Grant, GrantId};
use super::offer::{accepts, widths};
use super::question::{Origin, Question, Target};
use crate::inquiry::Inquiry;

/// Prompts of one query that may be open at once. An app that asks for more is told no.
const OPEN_AT_ONCE: usize = 16;

/// Flows that one prompt asks about together, at most. A person can look through so many.
pub const TOGETHER: usize = 64;

/// Questions with a person in front of them: one, or several of a kind.
pub struct Open {
    /// For which query.
    pub inquiry: Arc<Inquiry>,
    /// What differs from the plan, if anything does; the same for all.
    pub warning: Option<String>,
    by: String,
    offers: Vec<Choice>,
    /// Is it on a screen? Until then more of the kind may join.
    shown: bool,
    items: Vec<Item>,
}

struct Item {
    question: Question,
    waiting: Vec<oneshot::Sender<Flow>>,
}

impl Open {
    /// What is asked, in the order in which it came. Never empty.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.items.iter().map(|item| &item.question)
    }

    /// Whose prompt it is.
    fn is_of(&self, user: &UserId) -> bool {
        self.questions().all(|question| question.user == *user)
    }

    /// Tells all who wait, each of its own flow.
    pub fn settle(self, flow: impl Fn(usize, &Question) -> Flow) {
        for (place, item) in self.items.into_iter().enumerate() {
            let flow = flow(place, &item.question);
            for waiting in item.waiting {
                // Whoever does not wait any more does not act on it either.
                let _ = waiting.send(flow.clone());
            }
        }
    }

    /// Would a person answer both in one go? The same sender wants the same thing of the same receiver for the same
    /// reason, and only what it says differs.
    fn takes(&self, question: &Question, warning: Option<&String>, by: &str) -> bool {
        let Some(first) = self.items.first() else { return false };
        let of = &first.question;
        !self.shown
            && self.items.len() < TOGETHER
            && matches!(question.to, Target::Functionality(_))
            && (&of.query, &of.from, &of.to, of.effect)
                == (&question.query, &question.from, &question.to, question.effect)
            && (of.user == question.user && of.pin == question.pin)
            && (self.warning.as_ref(), self.by.as_str()) == (warning, by)
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
    /// A prompt of this name is to be shown in a moment, when others of the kind have had the time to join it.
    Soon(WorkId),
    /// It is part of a prompt that is open already.
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
    /// Takes a question in that `decision` asks about; `answer` will get the flow as decided, and comes back if there
    /// is nobody to give it.
    pub fn ask(
        &mut self,
        question: &Question,
        decision: &Decision,
        inquiry: &Arc<Inquiry>,
        answer: oneshot::Sender<Flow>,
    ) -> Asked {
        let Decision::Ask { by, warning, offers, .. } = decision else {
            return Asked::No { by: "policy:none", reason: "It was not to be asked.".into(), answer };
        };
        let items = self.open.values_mut().flat_map(|open| open.items.iter_mut());
        if let Some(item) = items.into_iter().find(|item| same(&item.question, question)) {
            item.waiting.push(answer);
            return Asked::Shared;
        }
        if self.unanswered.contains(&way(question)) {
            let reason = "Nobody answered when this was asked before, so it is refused.";
            return Asked::No { by: "timeout", reason: reason.into(), answer };
        }
        let item = Item { question: question.clone(), waiting: vec![answer] };
        if let Some(open) = self.open.values_mut().find(|open| open.takes(question, warning.as_ref(), by)) {
            open.items.push(item);
            return Asked::Shared;
        }
        let of_query = |open: &&Open| open.questions().any(|open| open.query == question.query);
        if OPEN_AT_ONCE <= self.open.values().filter(of_query).count() {
            let reason = format!("{OPEN_AT_ONCE} prompts of this query are open already.");
            let [answer] = <[_; 1]>::try_from(item.waiting).unwrap_or_else(|_| [oneshot::channel().0]);
            return Asked::No { by: "limit:prompts", reason, answer };
        }
        let id = WorkId::fresh();
        let open = Open {
            inquiry: Arc::clone(inquiry),
            warning: warning.clone(),
            by: by.clone(),
            offers: offers.clone(),
            shown: false,
            items: vec![item],
        };
        self.open.insert(id.clone(), open);
        Asked::Soon(id)
    }

    /// The prompt as it is to be shown now; from here on nothing joins it. `None` if it is moot meanwhile.
    pub fn show(
        &mut self,
        id: &WorkId,
        apps_words: Option<&str>,
        limit_ms: u64,
        decide: impl Fn(&Question) -> Decision,
    ) -> Option<(Prompt, &Open)> {
        let open = self.open.get_mut(id)?;
        let (first, rest) = open.items.split_first()?;
        let decision = decide(&first.question);
        let mut prompt = first.question.prompt(id.clone(), &decision, apps_words, limit_ms)?;
        prompt.others = rest.iter().map(|item| item.question.flow(&decide(&item.question))).collect();
        if open.offers.iter().any(|offer| matches!(offer, Choice::Session | Choice::Always)) {
            prompt.widths = widths(open.items.iter().map(|item| &item.question));
        }
        open.shown = true;
        Some((prompt, open))
    }

    /// Takes the first answer of the user who was asked.
    #[must_use]
    pub fn answered(&mut self, user: &UserId, prompt: &WorkId) -> Option<Open> {
        let open = self.open.get(prompt)?;
        // Nobody can have seen what was not shown.
        if !open.shown || !open.is_of(user) {
            return None;
        }
        self.open.remove(prompt)
    }

    /// Nobody answered in time.
    #[must_use]
    pub fn expired(&mut self, prompt: &WorkId) -> Option<Open> {
        let open = self.open.remove(prompt)?;
        self.unanswered.extend(open.questions().map(way));
        Some(open)
    }

    /// Open prompts that an answer to another has settled, each with the decisions on its flows.
    #[must_use]
    pub fn settled_by(&mut self, decide: impl Fn(&Question) -> Decision) -> Vec<(Open, Vec<Decision>)> {
        let settled: Vec<(WorkId, Vec<Decision>)> = self
            .open
            .iter()
            .map(|(id, open)| (id.clone(), open.questions().map(&decide).collect::<Vec<_>>()))
            .filter(|(_, all)| all.iter().all(|decision| !matches!(decision, Decision::Ask { .. })))
            .collect();
        settled.into_iter().filter_map(|(id, decisions)| Some((self.open.remove(&id)?, decisions))).collect()
    }

    /// A query is over: what it asked is moot.
    pub fn query_ended(&mut self, query: &WorkId) {
        self.open.retain(|_, open| open.questions().all(|question| &question.query != query));
        self.unanswered.retain(|(of, ..)| of != query);
    }
}

/// What a person's answer makes of the flows of a prompt.
pub struct Answered {
    choice: Choice,
    /// The reason of those that were allowed.
    pub yes: &'static str,
    no: &'static str,
    allowed: Vec<bool>,
}

/// Reads an answer. One that was not offered is a no, and so is one for a place that the prompt does not have.
#[must_use]
pub fn answered(open: &Open, consent: &Consent) -> Answered {
    let choice = consent.choice;
    let offered = open.offers.contains(&choice) && open.questions().all(|question| accepts(question, choice));
    let meant = |place: usize| match &consent.only {
        None => true,
        Some(only) => u32::try_from(place).is_ok_and(|place| only.contains(&place)),
    };
    let allows = offered && choice != Choice::Deny;
    Answered {
        choice,
        yes: match choice {
            Choice::Once => "You allowed it once.",
            Choice::Session => "You allowed it for this session.",
            Choice::Always => "You allowed it for always.",
            Choice::Deny => "You refused it.",
        },
        no: if offered {
            "You refused it."
        } else {
            "The answer was not one of those offered, so it is refused."
        },
        allowed: (0..open.items.len()).map(|place| allows && meant(place)).collect(),
    }
}

impl Answered {
    /// Was this one allowed?
    #[must_use]
    pub fn allows(&self, place: usize) -> bool {
        self.allowed.get(place).copied().unwrap_or(false)
    }

    /// The flow as it ended.
    #[must_use]
    pub fn flow(&self, place: usize, question: &Question) -> Flow {
        let (verdict, reason) =
            if self.allows(place) { (Verdict::Allow, self.yes) } else { (Verdict::Deny, self.no) };
        question.flow_with(verdict, "user", reason)
    }

    /// What is to be remembered: of a yes, for the flows that it was meant for; of a no, if all were refused.
    #[must_use]
    pub fn grant(&self, open: &Open, consent: &Consent, id: GrantId, now: u64) -> Option<Grant> {
        let extent = Extent { width: consent.width.clone(), days: consent.days };
        let allowed: Vec<&Question> = open
            .questions()
            .enumerate()
            .filter(|(place, _)| self.allows(*place))
            .map(|(_, question)| question)
            .collect();
        if allowed.is_empty() {
            let all: Vec<&Question> = open.questions().collect();
            return Grant::of_answers(&all, Choice::Deny, &extent, id, now);
        }
        Grant::of_answers(&allowed, self.choice, &extent, id, now)
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
