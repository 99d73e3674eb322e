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
use crate::plan::{Flowing, Plan, Planned, Record, Used, conformance};

const WORDS: &str = "Create a draft for bob@x.example with Hello, please";

/// Everybody whom a request may name: the user's, one the plan wrote, look-alikes, strangers.
const RECEIVERS: [&str; 8] = [
    "bob@x.example",
    "b\u{43e}b@x.example",
    "bob@x.example\u{200b}",
    "bob+1@x.example",
    "eve@evil.example",
    "mal@evil.example",
    "carl@plan.example",
    "x@x.example.evil.example",
];

#[derive(Clone, Debug)]
struct Request {
    by: &'static str,
    to: &'static str,
    effect: Effect,
    receiver: &'static str,
    says: Choice,
    width: Option<usize>,
    session: &'static str,
}

fn any_request() -> impl Strategy<Value = Request> {
    let what = select(vec![
        ("mail.create_draft", Effect::Write),
        ("mail.send", Effect::Irreversible),
        ("drive.write", Effect::Write),
        ("drive.share", Effect::Irreversible),
    ]);
    let says = select(vec![Choice::Once, Choice::Session, Choice::Always, Choice::Deny]);
    let rest = (select(RECEIVERS.to_vec()), says, prop::option::of(0..3_usize), select(vec!["one", "two"]));
    (select(vec!["mail", "drive"]), what, rest).prop_map(
        |(by, (to, effect), (receiver, says, width, session))| Request {
            by,
            to,
            effect,
            receiver,
            says,
            width,
            session,
        },
    )
}

/// mail works on a delegated step; the plan itself writes to somebody else.
fn plan() -> Plan {
    let steps = json!([
        {"id": "s1", "kind": "delegate", "app": "mail", "request": "Create the draft", "after": []},
        {"id": "s2", "kind": "call", "functionality": "mail.create_draft", "after": [],
            "args": {"to": ["carl@plan.example"], "subject": "Hello", "body": "Hello"}},
    ]);
    let text = json!({"answer": null, "steps": steps}).to_string();
    match Plan::parse(&text, &crate::plan::tests::catalogue()).unwrap() {
        Planned::Steps(plan) => plan,
        other => panic!("{other:?}"),
    }
}

fn question(plan: &Plan, request: &Request) -> Question {
    let by = AppId::parse(request.by).unwrap();
    let functionality = Functionality::parse(request.to).unwrap();
    let args = json!({"to": [request.receiver], "subject": "Hello", "body": "Hello"});
    let step = StepId::parse("s1").unwrap();
    let used = Used { by_plan: [step.clone()].into() };
    let flowing = Flowing::Asked {
        by: &by,
        functionality: &functionality,
        effect: request.effect,
        args: &args,
        words: WORDS,
    };
    Question {
        user: UserId::parse("ann").unwrap(),
        session: SessionId::parse(request.session).unwrap(),
        query: WorkId::parse("q1").unwrap(),
        conformance: conformance(plan, &used, &Record::default(), flowing),
        destinations: destination::check(&["to".to_owned()], &args, &[], WORDS, Some(&by)),
        from: Origin::App(by.clone()),
        to: Target::Functionality(functionality),
        args,
        labels: Labels::of(Label::User).with(Label::App(by)),
        effect: request.effect,
        sources: Vec::new(),
        pin: "h1".into(),
        attended: true,
        step: Some(step),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_sequence_of_requests_changes_anything_for_a_receiver_that_nobody_named(requests in prop::collection::vec(any_request(), 1..20)) {
        let (plan, policy) = (plan(), Policy::preset(Preset::Balanced));
        let mut grants = Grants::default();
        // What the person said yes to, beyond this once.
        let mut confirmed: Vec<(Request, Width)> = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            let question = question(&plan, request);
            match decide(&policy, &grants, &question) {
                Decision::Deny { .. } => {}
                Decision::Allow { by, .. } => {
                    let covered = confirmed.iter().any(|(of, width)| {
                        (of.by, of.to) == (request.by, request.to)
                            && match width {
                                Width::Shown => of.receiver == request.receiver,
                                Width::Domain(of) => domain(request.receiver).as_ref() == Some(of),
                                Width::Anybody => true,
                            }
                    });
                    prop_assert!(request.effect == Effect::Write, "{:?} by {}", request, by);
                    prop_assert!(request.receiver == RECEIVERS[0] || covered, "{:?} by {}", request, by);
                    // And never without the person's word: an app's own change is asked about.
                    prop_assert!(by.starts_with("grant:"), "{:?} by {}", request, by);
                }
                Decision::Ask { warning, .. } => {
                    // An app's wish for another's receiver is never shown as planned.
                    prop_assert!(request.receiver == RECEIVERS[0] || warning.is_some(), "{:?}", request);
                    let offered = widths(std::iter::once(&question));
                    let width = request.width.and_then(|place| offered.get(place).cloned());
                    if accepts(&question, request.says) {
                        let extent = Extent { width: width.clone(), days: None };
                        let id = GrantId::parse(&format!("g{number}")).unwrap();
                        if let Some(grant) = Grant::of_answers(&[&question], request.says, &extent, id, 0) {
                            grants.add(grant);
                        }
                        if matches!(request.says, Choice::Session | Choice::Always) {
                            confirmed.push((request.clone(), width.unwrap_or(Width::Shown)));
                        }
                    }
                }
            }
        }
    }
}

fn write(to: &str) -> Question {
    let mut question = question(
        &plan(),
        &Request {
            by: "mail",
            to: "mail.create_draft",
            effect: Effect::Write,
            receiver: "eve@evil.example",
            says: Choice::Once,
            width: None,
            session: "one",
        },
    );
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
