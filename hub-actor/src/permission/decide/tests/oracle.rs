//! The presets as they are meant, written down a second time: as a function.
//!
//! What `data/policies` says in rules is held against it over the whole domain.

use bus::id::{AppId, StepId};
use bus::message::user::{Category, Effect};

use super::{question, target, unexpected};
use crate::permission::decide::{Decision, decide};
use crate::permission::destination::{Destination, Whence};
use crate::permission::grant::Grants;
use crate::permission::label::{Label, Labels};
use crate::permission::policy::{Policy, Preset};
use crate::permission::question::{Origin, Question, Target};
use crate::plan::{Conformance, Sight, Source};

pub enum Judged {
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
        return match (&question.from, preset) {
            (Origin::App(_), _) => asks("write", format!("{to} changes something.")),
            (_, Preset::Strict) => asks("write", format!("{to} changes something.")),
            // What a model made, or took from a text, may be what a stranger wanted it to be.
            _ if !question.unaccounted().is_empty() => asks(
                "derived",
                format!("Not all that {to} is given stands in your words or in a field of a result."),
            ),
            _ => Judged::Runs {
                rule: "planned-write",
                why: format!("Step {step} of the plan, as planned, and you named who receives."),
            },
        };
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

/// Verdict, rule and sentence; of a prompt the part that the rule says.
fn told(decision: &Decision) -> (&'static str, String, String) {
    match decision {
        Decision::Allow { by, reason } => ("allow", by.clone(), reason.clone()),
        Decision::Ask { by, reason, .. } => ("ask", by.clone(), reason.clone()),
        Decision::Deny { by, reason } => ("deny", by.clone(), reason.clone()),
    }
}

#[test]
fn the_presets_decide_as_they_are_meant_over_the_whole_domain() {
    let step = || StepId::parse("s1").unwrap();
    let app = |name: &str| AppId::parse(name).unwrap();
    let froms = [Origin::Plan, Origin::Memory, Origin::App(app("mail")), Origin::App(app("drive"))];
    let whences = [
        Whence::User,
        Whence::Planner,
        Whence::App(app("mail")),
        Whence::Step { step: step(), labels: Labels::of(Label::App(app("drive"))), sight: Sight::Field },
    ];
    let receivers: Vec<Vec<Whence>> = std::iter::once(Vec::new())
        .chain(whences.iter().map(|whence| vec![whence.clone()]))
        .chain(whences.iter().map(|whence| vec![Whence::User, whence.clone()]))
        .collect();
    let sights = [None, Some(Sight::Field), Some(Sight::Text), Some(Sight::Made)];
    let mut looked_at = 0;
    for preset in [Preset::Strict, Preset::Balanced, Preset::Locked] {
        let policy = Policy::preset(preset);
        for from in &froms {
            for to in ["mail.send", "mail", "drive.search"] {
                for effect in [Effect::Read, Effect::Write, Effect::Irreversible] {
                    for expected in [true, false] {
                        for receivers in &receivers {
                            for sight in sights {
                                let to_whom = |whence: &Whence| Destination {
                                    parameter: "to".into(),
                                    value: "bob@x.example".into(),
                                    whence: whence.clone(),
                                };
                                let source = |sight| Source {
                                    at: "/body".into(),
                                    step: step(),
                                    labels: Labels::none(),
                                    sight,
                                };
                                let question = Question {
                                    from: from.clone(),
                                    to: target(to),
                                    effect,
                                    conformance: if expected {
                                        question().conformance
                                    } else {
                                        unexpected("x")
                                    },
                                    destinations: receivers.iter().map(to_whom).collect(),
                                    sources: sight.map(source).into_iter().collect(),
                                    ..question()
                                };
                                agree(preset, &policy, &question);
                                looked_at += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(looked_at, 3 * 4 * 3 * 3 * 2 * 9 * 4);
}

#[track_caller]
fn agree(preset: Preset, policy: &Policy, question: &Question) {
    let (verdict, by, reason) = told(&decide(policy, &Grants::default(), question));
    match (judge(preset, question), preset) {
        (Judged::Runs { rule, why }, _) => {
            assert_eq!((verdict, by, reason), ("allow", format!("policy:{rule}"), why), "{question:?}");
        }
        (Judged::Asks { .. }, Preset::Locked) => {
            assert_eq!((verdict, by.as_str()), ("deny", "policy:locked"), "{question:?}");
        }
        (Judged::Asks { rule, why }, _) => {
            assert_eq!((verdict, by), ("ask", format!("policy:{rule}")), "{question:?}");
            assert!(reason.contains(&why), "{reason:?} does not say {why:?}");
        }
    }
}
