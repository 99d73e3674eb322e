//! The decision on a flow.
//!
//! Answers: allow, ask or deny; by which rule; and why, in a sentence?
//! Never: looks at a clock or waits for anything; the same question has the same answer.
//! Carries: I-05, I-06, I-07.

use bus::message::user::Choice;

use super::grant::{Answer, Grants, Scope};
use super::offer::offers;
use super::policy::{Policy, Ruling, Said, facts};
use super::question::Question;
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

/// Decides. In this order: what a rule forbids stays forbidden, and what none permits does not happen; a person's no;
/// what the rules let proceed; a person's yes; and then it is asked, or denied where nobody is there.
///
/// What runs and what is asked about stands in `data/policies`, as rules.
#[must_use]
pub fn decide(policy: &Policy, grants: &Grants, question: &Question) -> Decision {
    // Whether a person is asked, and if so, each time.
    let (said, asks) = match policy.ruling(&facts(question)) {
        Ruling::Forbidden(said) => return deny(&said.rule, said.why),
        Ruling::Nothing => {
            let to = &question.to;
            return deny("none", format!("No rule permits {} to reach {to}.", question.from));
        }
        Ruling::Proceeds(said) => (said, None),
        Ruling::Asks { said, each_time } => (said, Some(each_time)),
    };
    if let Some(grant) = grants.settling(question, Answer::Deny) {
        let reason = format!("You refused {} → {} before.", grant.caller, grant.target);
        return Decision::Deny { by: format!("grant:{}", grant.id), reason };
    }
    match asks {
        None => Decision::Allow { by: format!("policy:{}", said.rule), reason: said.why },
        Some(each_time) => asked(grants, question, &said, each_time),
    }
}

fn deny(rule: &str, reason: String) -> Decision {
    Decision::Deny { by: format!("policy:{rule}"), reason }
}

/// A person's yes, or the prompt.
fn asked(grants: &Grants, question: &Question, said: &Said, each_time: bool) -> Decision {
    if let (false, Some(grant)) = (each_time, grants.settling(question, Answer::Allow)) {
        let held = match grant.scope {
            Scope::Query(_) => "for this query",
            Scope::Session(_) => "for this session",
            Scope::Always => "for always",
        };
        let reason = format!("You allowed {} → {} {held}.", grant.caller, grant.target);
        return Decision::Allow { by: format!("grant:{}", grant.id), reason };
    }
    if !question.attended {
        return deny("unattended", format!("{} Nobody is there to be asked, so it is denied.", said.why));
    }
    let told = [question.sentence(), said.why.clone()]
        .into_iter()
        .chain(question.receivers())
        .chain(question.unaccounted())
        .chain(question.lookalikes())
        .chain(question.provenance());
    Decision::Ask {
        by: format!("policy:{}", said.rule),
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

#[cfg(test)]
mod tests;
