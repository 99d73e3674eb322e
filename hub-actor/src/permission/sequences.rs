//! Whole sequences of requests, as a spoke may send them, against the decision.
//!
//! Answers: can a spoke, by any order of requests and with a person who answers anyhow, have something changed for a receiver whom
//! neither the user nor a confirmation named?
//! Carries: I-05.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use bus::id::{AppId, Functionality, SessionId, StepId, UserId, WorkId};
use bus::message::user::{Choice, Effect, Width};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::decide::{Decision, decide};
use super::destination;
use super::grant::{Extent, Grant, GrantId, Grants};
use super::label::{Label, Labels};
use super::offer::{accepts, domain, widths};
use super::policy::{Policy, Preset};
use super::question::{Origin, Question, Target};
use crate::plan::{Flowing, Plan, Planned, Record, Used, conformance, resolve};

const WORDS: &str = "Create a draft for bob@x.example with Hello, please";

/// Everybody whom a request may name: the user's, one the plan wrote, look-alikes, strangers.
const RECEIVERS: [&str; 9] = [
    "bob@x.example",
    "b\u{43e}b@x.example",
    "bob@x.example\u{200b}",
    "bob+1@x.example",
    "ob@x.example",
    "eve@evil.example",
    "mal@evil.example",
    "carl@plan.example",
    "x@x.example.evil.example",
];

/// A message of a spoke, and what the person says if it leads to a prompt.
#[derive(Clone, Debug)]
struct Message {
    says: Says,
    to: Vec<&'static str>,
    session: &'static str,
    answer: Choice,
    width: Option<usize>,
}

#[derive(Clone, Debug)]
enum Says {
    /// An app asks for something, while mail works on a step delegated to it.
    Wants { by: &'static str, what: &'static str, effect: Effect },
    /// A step has returned this; a later one of the plan writes to whom it names.
    Gives { what: &'static str, effect: Effect },
}

const CHANGES: [(&str, Effect); 4] = [
    ("mail.create_draft", Effect::Write),
    ("mail.send", Effect::Irreversible),
    ("drive.write", Effect::Write),
    ("drive.share", Effect::Irreversible),
];

fn any_message() -> impl Strategy<Value = Message> {
    let wants = (select(vec!["mail", "drive"]), select(CHANGES.to_vec()))
        .prop_map(|(by, (what, effect))| Says::Wants { by, what, effect });
    let gives = select(CHANGES[..2].to_vec()).prop_map(|(what, effect)| Says::Gives { what, effect });
    let answers = select(vec![Choice::Once, Choice::Session, Choice::Always, Choice::Deny]);
    (
        prop_oneof![3 => wants, 2 => gives],
        prop::collection::vec(select(RECEIVERS.to_vec()), 1..4),
        select(vec!["one", "two"]),
        answers,
        prop::option::of(0..3_usize),
    )
        .prop_map(|(says, to, session, answer, width)| Message { says, to, session, answer, width })
}

/// mail works on a delegated step; the plan itself writes to somebody else, and to whomever a result names.
fn plan() -> Plan {
    let taken = json!({"to": {"$from": "s3", "path": "/messages/0/to"}, "subject": "Hello", "body": "Hello"});
    let steps = json!([
        {"id": "s1", "kind": "delegate", "app": "mail", "request": "Create the draft", "after": []},
        {"id": "s2", "kind": "call", "functionality": "mail.create_draft", "after": [],
            "args": {"to": ["carl@plan.example"], "subject": "Hello", "body": "Hello"}},
        {"id": "s3", "kind": "call", "functionality": "mail.newest", "args": {"count": 1}, "after": []},
        {"id": "s4", "kind": "call", "functionality": "mail.create_draft", "after": [], "args": taken},
        {"id": "s5", "kind": "call", "functionality": "mail.send", "after": [], "args": taken},
    ]);
    let text = json!({"answer": null, "steps": steps}).to_string();
    match Plan::parse(&text, &crate::plan::tests::catalogue()).unwrap() {
        Planned::Steps(plan) => plan,
        other => panic!("{other:?}"),
    }
}

fn question(plan: &Plan, message: &Message) -> Question {
    match message.says {
        Says::Wants { by, what, effect } => wanted(plan, message, by, what, effect),
        Says::Gives { what, effect } => given(plan, message, what, effect),
    }
}

fn wanted(plan: &Plan, message: &Message, by: &str, what: &str, effect: Effect) -> Question {
    let by = AppId::parse(by).unwrap();
    let functionality = Functionality::parse(what).unwrap();
    let args = json!({"to": message.to, "subject": "Hello", "body": "Hello"});
    let step = StepId::parse("s1").unwrap();
    let used = Used { by_plan: [step.clone()].into() };
    let flowing =
        Flowing::Asked { by: &by, functionality: &functionality, effect, args: &args, words: WORDS };
    Question {
        conformance: conformance(plan, &used, &Record::default(), flowing),
        destinations: destination::check(&["to".to_owned()], &args, &[], WORDS, Some(&by)),
        from: Origin::App(by.clone()),
        to: Target::Functionality(functionality),
        args,
        labels: Labels::of(Label::User).with(Label::App(by)),
        ..asked(message, effect, step)
    }
}

/// The executor comes to the step that takes its receivers from what the spoke returned.
fn given(plan: &Plan, message: &Message, what: &str, effect: Effect) -> Question {
    let id = |text: &str| StepId::parse(text).unwrap();
    let mut record = Record::default();
    let value = json!({"messages": [{"id": "m1", "to": message.to, "body": message.to.join(", ")}]});
    record.finished(id("s3"), value, Labels::of(Label::parse("app:mail").unwrap()));
    let step = id(if what == "mail.send" { "s5" } else { "s4" });
    let resolved = resolve(plan.step(&step).unwrap(), &record).unwrap();
    let flowing = Flowing::Step { step: &step, args: &resolved.args };
    Question {
        conformance: conformance(plan, &Used::default(), &record, flowing),
        destinations: destination::check(&["to".to_owned()], &resolved.args, &resolved.sources, WORDS, None),
        from: Origin::Plan,
        to: Target::Functionality(Functionality::parse(what).unwrap()),
        args: resolved.args,
        labels: resolved.labels,
        sources: resolved.sources,
        ..asked(message, effect, step)
    }
}

/// What all questions of these sequences have in common.
fn asked(message: &Message, effect: Effect, step: StepId) -> Question {
    Question {
        user: UserId::parse("ann").unwrap(),
        session: SessionId::parse(message.session).unwrap(),
        query: WorkId::parse("q1").unwrap(),
        from: Origin::Plan,
        to: Target::Functionality(Functionality::parse("mail.send").unwrap()),
        args: json!({}),
        labels: Labels::none(),
        effect,
        conformance: crate::plan::Conformance::Unexpected { differs: "x".into() },
        destinations: Vec::new(),
        sources: Vec::new(),
        pin: "h1".into(),
        attended: true,
        step: Some(step),
    }
}

/// Did the person say yes to this receiver on this way, beyond the one time?
fn confirmed(yes: &[(Question, Width)], question: &Question, receiver: &str) -> bool {
    yes.iter().any(|(of, width)| {
        (&of.from, &of.to) == (&question.from, &question.to)
            && (of.destinations.iter().any(|shown| shown.value == receiver)
                || match width {
                    Width::Shown => false,
                    Width::Domain(of) => domain(receiver).as_ref() == Some(of),
                    Width::Anybody => true,
                })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_sequence_of_requests_changes_anything_for_a_receiver_that_nobody_named(messages in prop::collection::vec(any_message(), 1..20)) {
        let (plan, policy) = (plan(), Policy::preset(Preset::Balanced));
        let mut grants = Grants::default();
        // What the person said yes to, beyond this once.
        let mut yes: Vec<(Question, Width)> = Vec::new();
        for (number, message) in messages.iter().enumerate() {
            let question = question(&plan, message);
            prop_assert_eq!(question.destinations.len(), message.to.len());
            match decide(&policy, &grants, &question) {
                Decision::Deny { .. } => {}
                Decision::Allow { by, .. } => {
                    prop_assert!(question.effect == Effect::Write, "{:?} by {}", message, by);
                    for receiver in &message.to {
                        let named = *receiver == RECEIVERS[0];
                        prop_assert!(named || confirmed(&yes, &question, receiver), "{:?} by {}", message, by);
                    }
                    // And what an app wants never without the person's word: its own change is asked about.
                    let planned = question.from == Origin::Plan;
                    prop_assert!(planned || by.starts_with("grant:"), "{:?} by {}", message, by);
                }
                Decision::Ask { warning, .. } => {
                    // An app's wish for another's receiver is never shown as planned.
                    let others = message.to.iter().any(|receiver| *receiver != RECEIVERS[0]);
                    let wanted = question.from != Origin::Plan;
                    prop_assert!(!(wanted && others) || warning.is_some(), "{:?}", message);
                    let offered = widths(std::iter::once(&question));
                    let width = message.width.and_then(|place| offered.get(place).cloned());
                    if accepts(&question, message.answer) {
                        let extent = Extent { width: width.clone(), days: None };
                        let id = GrantId::parse(&format!("g{number}")).unwrap();
                        if let Some(grant) = Grant::of_answers(&[&question], message.answer, &extent, id, 0) {
                            grants.add(grant);
                        }
                        if matches!(message.answer, Choice::Session | Choice::Always) {
                            yes.push((question, width.unwrap_or(Width::Shown)));
                        }
                    }
                }
            }
        }
    }
}

/// Control: in such sequences there are changes that are allowed, by the user's words and by a yes, so that the property is about
/// something.
#[test]
fn what_the_user_named_or_confirmed_does_go_through() {
    let (plan, policy) = (plan(), Policy::preset(Preset::Balanced));
    let gives = |to: &'static str| Message {
        says: Says::Gives { what: "mail.create_draft", effect: Effect::Write },
        to: vec![to],
        session: "one",
        answer: Choice::Always,
        width: None,
    };
    let mut grants = Grants::default();
    let allowed =
        |grants: &Grants, message: &Message| match decide(&policy, grants, &question(&plan, message)) {
            Decision::Allow { by, .. } => by,
            other => format!("{other:?}"),
        };
    assert_eq!(allowed(&grants, &gives(RECEIVERS[0])), "policy:planned-write");
    let eve = gives("eve@evil.example");
    assert!(allowed(&grants, &eve).contains("policy:destination"), "{}", allowed(&grants, &eve));
    let id = GrantId::parse("g1").unwrap();
    grants.add(
        Grant::of_answers(&[&question(&plan, &eve)], Choice::Always, &Extent::default(), id, 0).unwrap(),
    );
    assert_eq!(allowed(&grants, &eve), "grant:g1");
    assert!(allowed(&grants, &gives("mal@evil.example")).contains("Ask"));
}

fn write(to: &str) -> Question {
    let says = Says::Wants { by: "mail", what: "mail.create_draft", effect: Effect::Write };
    let to_eve = vec!["eve@evil.example"];
    let mut question =
        question(&plan(), &Message { says, to: to_eve, session: "one", answer: Choice::Once, width: None });
    question.from = Origin::Plan;
    question.conformance = crate::plan::Conformance::Expected { step: StepId::parse("s2").unwrap() };
    question.destinations[0].value = to.to_owned();
    question
}

fn always(of: &Question, width: Width, days: Option<u32>, now: u64) -> Grant {
    let extent = Extent { width: Some(width), days };
    Grant::of_answers(&[of], Choice::Always, &extent, GrantId::parse("g1").unwrap(), now).unwrap()
}

#[test]
fn a_grant_reaches_as_far_as_was_chosen_and_no_further() {
    let of = write("ann@corp.example");
    let shown = always(&of, Width::Shown, None, 0);
    let domain = always(&of, Width::Domain("corp.example".into()), None, 0);
    let anybody = always(&of, Width::Anybody, None, 0);
    for (to, expected) in [
        ("ann@corp.example", [true, true, true]),
        ("bob@corp.example", [false, true, true]),
        ("bob@CORP.example", [false, true, true]),
        ("bob@evil-corp.example", [false, false, true]),
        ("bob@corp.example.evil.example", [false, false, true]),
        ("bob@sub.corp.example", [false, false, true]),
        ("bob@c\u{43e}rp.example", [false, false, true]),
        ("eve@evil.example,x@corp.example", [false, false, true]),
    ] {
        let reached = [&shown, &domain, &anybody].map(|grant| grant.settles(&write(to)));
        assert_eq!(reached, expected, "{to}");
    }
    // A width that was not offered is none.
    assert!(!always(&of, Width::Domain("evil.example".into()), None, 0).settles(&write("eve@evil.example")));
}

#[test]
fn a_grant_is_worth_nothing_once_its_app_has_changed() {
    let of = write("ann@corp.example");
    let grant = always(&of, Width::Anybody, None, 0);
    assert!(grant.settles(&of));
    assert!(!grant.settles(&Question { pin: "h2".into(), ..of.clone() }));
    assert!(!grant.settles(&Question { pin: String::new(), ..of }));
}

#[test]
fn a_grant_ends_when_it_was_to_end_and_a_clock_that_jumps_does_not_lengthen_it() {
    const DAY: u64 = 24 * 60 * 60;
    let grant = always(&write("ann@corp.example"), Width::Shown, Some(7), 100 * DAY);
    assert!(grant.is_current(100 * DAY) && grant.is_current(107 * DAY - 1));
    assert!(!grant.is_current(107 * DAY) && !grant.is_current(u64::MAX));
    // Set back by an hour it holds; set back by years it does not become a grant of the future.
    assert!(grant.is_current(100 * DAY - 3600));
    assert!(!grant.is_current(3 * DAY) && !grant.is_current(0));
    let mut grants = Grants::default();
    grants.add(grant.clone());
    assert_eq!(grants.expire(101 * DAY), []);
    assert_eq!(grants.expire(200 * DAY), [grant]);
    assert!(grants.of_user(&UserId::parse("ann").unwrap()).is_empty());
    // Without an end it holds until it is revoked, whatever the clock says.
    assert!(always(&write("a@b.example"), Width::Shown, None, 100 * DAY).is_current(0));
}

#[test]
fn an_end_can_be_given_to_a_grant_and_only_ever_makes_it_shorter() {
    const DAY: u64 = 24 * 60 * 60;
    let (ann, bob) = (UserId::parse("ann").unwrap(), UserId::parse("bob").unwrap());
    let grant = always(&write("ann@corp.example"), Width::Shown, None, 100 * DAY);
    let mut grants = Grants::default();
    grants.add(grant.clone());
    assert!(grants.end_in(&bob, &grant.id, 7, 100 * DAY).is_err(), "it is another's");
    assert!(grants.end_in(&ann, &grant.id, 0, 100 * DAY).is_err());
    assert_eq!(grants.end_in(&ann, &grant.id, 7, 100 * DAY).unwrap().expires, Some(107 * DAY));
    assert!(grants.end_in(&ann, &grant.id, 8, 100 * DAY).is_err(), "longer is another grant");
    assert_eq!(grants.end_in(&ann, &grant.id, 2, 101 * DAY).unwrap().expires, Some(103 * DAY));
    assert!(grants.expire(103 * DAY - 1).is_empty() && grants.expire(103 * DAY).len() == 1);
    // What ends with its conversation has no days.
    let of = write("ann@corp.example");
    let session = Grant::of_answer(&of, Choice::Session, GrantId::parse("g2").unwrap(), 0).unwrap();
    grants.add(session.clone());
    assert!(grants.end_in(&ann, &session.id, 7, 0).is_err());
}

#[test]
fn what_is_not_in_the_plan_is_never_offered_wider_than_shown() {
    let mut of = write("ann@corp.example");
    assert_eq!(widths([&of].into_iter()).len(), 3);
    of.conformance = crate::plan::Conformance::Unexpected { differs: "x".into() };
    assert!(widths([&of].into_iter()).is_empty());
}
