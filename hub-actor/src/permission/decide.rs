//! The decision on a flow.
//!
//! Answers: allow, ask or deny; by which rule; and why, in a sentence?
//! Never: looks at a clock or waits for anything; the same question has the same answer.
//! Carries: I-05, I-06, I-07.

use bus::message::user::{Category, Choice, Effect};

use super::destination::Whence;
use super::grant::{Answer, Grants, Scope};
use super::offer::offers;
use super::policy::{Policy, Preset};
use super::question::{Origin, Question, Target};
use crate::plan::Conformance;

/// What becomes of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes through.
    Allow {
        /// `policy:<rule>` or `grant:<id>`.
        by: String,
        /// In a sentence.
        reason: String,
    },
    /// The user is asked.
    Ask {
        /// `policy:<rule>`.
        by: String,
        /// What would happen and why it is asked, in sentences.
        reason: String,
        /// What differs from the plan, if anything does.
        warning: Option<String>,
        /// What may be answered.
        offers: Vec<Choice>,
    },
    /// It does not.
    Deny {
        /// `policy:<rule>` or `grant:<id>`.
        by: String,
        /// In a sentence, with what would mend it.
        reason: String,
    },
}

/// Decides. In this order: what is forbidden stays forbidden; a person's no; what the policy lets through; a
/// person's yes; and then it is asked, or denied where nobody can be or shall be asked.
#[must_use]
pub fn decide(policy: &Policy, grants: &Grants, question: &Question) -> Decision {
    let deny = |rule: &str, reason: String| Decision::Deny { by: format!("policy:{rule}"), reason };
    if let Some(forbid) = policy.forbids(question) {
        let to = &question.to;
        return deny(&forbid.id, format!("The rule {} forbids {} to reach {to}.", forbid.id, question.from));
    }
    let Some(preset) = policy.in_force() else {
        return deny("none", "There is no policy, so nothing is permitted.".to_owned());
    };
    if let Some(grant) = grants.settling(question, Answer::Deny) {
        let reason = format!("You refused {} → {} before.", grant.caller, grant.target);
        return Decision::Deny { by: format!("grant:{}", grant.id), reason };
    }
    let (rule, why) = match judge(preset, question) {
        Judged::Runs { rule, why } => return Decision::Allow { by: format!("policy:{rule}"), reason: why },
        Judged::Asks { rule, why } => (rule, why),
    };
    if let Some(grant) = grants.settling(question, Answer::Allow) {
        let held = match grant.scope {
            Scope::Query(_) => "for this query",
            Scope::Session(_) => "for this session",
            Scope::Always => "for always",
        };
        let reason = format!("You allowed {} → {} {held}.", grant.caller, grant.target);
        return Decision::Allow { by: format!("grant:{}", grant.id), reason };
    }
    if preset == Preset::Locked {
        return deny("locked", format!("{why} Under the preset locked that is denied."));
    }
    if !question.attended {
        return deny("unattended", format!("{why} Nobody is there to be asked, so it is denied."));
    }
    let told =
        [question.sentence(), why].into_iter().chain(question.receivers()).chain(question.provenance());
    Decision::Ask {
        by: format!("policy:{rule}"),
        reason: told.collect::<Vec<String>>().join(" "),
        warning: warning(question),
        offers: offers(question),
    }
}

/// What differs from the plan. A planned flow carries none, even if an earlier step named its receiver: the plan
/// says to take it from there, and the prompt tells who it is.
fn warning(question: &Question) -> Option<String> {
    match &question.conformance {
        Conformance::Expected { .. } => None,
        Conformance::Unexpected { differs } => Some(format!("Not in the plan: {differs}.")),
    }
}

enum Judged {
    Runs { rule: &'static str, why: String },
    Asks { rule: &'static str, why: String },
}

/// What the preset says, grants aside.
fn judge(preset: Preset, question: &Question) -> Judged {
    let to = &question.to;
    let asks = |rule, why| Judged::Asks { rule, why };
    let named = question.destinations.iter().all(|destination| destination.whence == Whence::User);
    let own =
        matches!((&question.from, to), (Origin::App(caller), Target::Functionality(to)) if *caller == to.app);
    if question.category() == Category::Data || question.from == Origin::Memory {
        return asks("stored-data", format!("Stored data is given to {} only if you say so.", to.app()));
    }
    if question.effect == Effect::Irreversible {
        return asks("irreversible", format!("What {to} does cannot be undone, so it is asked each time."));
    }
    let step = match &question.conformance {
        Conformance::Unexpected { .. } => {
            return asks("unexpected", format!("It is not what the plan foresaw for {to}."));
        }
        Conformance::Expected { step } => step,
    };
    if !named {
        return asks("destination", format!("You did not name who receives what {to} sends."));
    }
    if question.effect == Effect::Write {
        return asks("write", format!("{to} changes something."));
    }
    if own {
        return Judged::Runs {
            rule: "own-read",
            why: format!("{} reads its own data for step {step}.", to.app()),
        };
    }
    match preset {
        Preset::Strict => {
            asks("strict", "Under the preset strict every flow is asked about first.".to_owned())
        }
        Preset::Balanced | Preset::Locked => Judged::Runs {
            rule: "expected-read",
            why: format!("Step {step} of the plan, as planned, and it only reads."),
        },
    }
}

#[cfg(test)]
mod tests;
