//! What `decide.rs` promises, each promise a test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bus::id::{AppId, SessionId, StepId, UserId, WorkId};
use bus::message::user::{Category, Effect};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::permission::destination::{Destination, Whence};
use crate::permission::grant::{Grant, GrantId};
use crate::permission::label::{Label, Labels};
use crate::permission::offer::accepts;
use crate::permission::policy::Preset;
use crate::permission::question::{Origin, Target};
use crate::plan::{Sight, Source};

mod oracle;

/// The plan's step s1 reads, as planned.
fn question() -> Question {
    Question {
        user: UserId::parse("ann").unwrap(),
        session: SessionId::parse("one").unwrap(),
        query: WorkId::parse("q1").unwrap(),
        from: Origin::Plan,
        to: target("metro_hail.estimate_fare"),
        args: json!({"start_point": "Main Street"}),
        labels: Labels::of(Label::User),
        effect: Effect::Read,
        conformance: Conformance::Expected { step: StepId::parse("s1").unwrap() },
        destinations: Vec::new(),
        sources: Vec::new(),
        pin: "h1".into(),
        attended: true,
        step: StepId::parse("s1").ok(),
    }
}

/// A step that changes something by a text that a model made of another step's result.
fn write() -> Question {
    let made = Source {
        at: "/body".into(),
        step: StepId::parse("s1").unwrap(),
        labels: Labels::none(),
        sight: Sight::Made,
    };
    Question { effect: Effect::Write, sources: vec![made], ..question() }
}

/// Case study 2: mail's model obeys an email and would send what it found to an attacker.
fn theft() -> Question {
    Question {
        from: Origin::App(AppId::parse("mail").unwrap()),
        to: target("mail.send"),
        args: json!({"to": ["eve@evil.example"], "body": "your files"}),
        labels: Labels::of(Label::User).with(Label::parse("app:mail").unwrap()),
        effect: Effect::Irreversible,
        conformance: unexpected("mail.send is not in the plan; mail asks for it"),
        destinations: vec![Destination {
            parameter: "to".into(),
            value: "eve@evil.example".into(),
            whence: Whence::App(AppId::parse("mail").unwrap()),
        }],
        step: None,
        ..question()
    }
}

/// Case study 3: travel_mate asks for stored data.
fn exposure() -> Question {
    Question {
        from: Origin::Memory,
        to: target("travel_mate"),
        args: json!({"items": [{"source": "memory:operation", "text": "heart surgery"}, {"source": "memory:email", "text": "ann@home.example"}]}),
        labels: ["memory:operation", "memory:email"]
            .iter()
            .map(|label| Label::parse(label).unwrap())
            .collect(),
        conformance: unexpected("travel_mate asks for stored data"),
        step: None,
        ..question()
    }
}

fn target(text: &str) -> Target {
    Target::try_from(text.to_owned()).unwrap()
}

fn unexpected(differs: &str) -> Conformance {
    Conformance::Unexpected { differs: differs.into() }
}

fn balanced(question: &Question) -> Decision {
    decide(&Policy::preset(Preset::Balanced), &Grants::default(), question)
}

fn granted(of: &Question, choice: Choice) -> Grants {
    let mut grants = Grants::default();
    if let Some(grant) = Grant::of_answer(of, choice, GrantId::parse("g1").unwrap(), 0) {
        grants.add(grant);
    }
    grants
}

fn by(decision: &Decision) -> &str {
    match decision {
        Decision::Allow { by, .. } | Decision::Ask { by, .. } | Decision::Deny { by, .. } => by,
    }
}

#[track_caller]
fn allows(decision: &Decision, rule: &str) {
    assert!(matches!(decision, Decision::Allow { .. }), "{decision:?}");
    assert_eq!(by(decision), rule);
}

#[track_caller]
fn asks(decision: &Decision, rule: &str) {
    assert!(matches!(decision, Decision::Ask { .. }), "{decision:?}");
    assert_eq!(by(decision), rule);
}

#[track_caller]
fn denies(decision: &Decision, rule: &str) {
    assert!(matches!(decision, Decision::Deny { .. }), "{decision:?}");
    assert_eq!(by(decision), rule);
}

/// The preset, and these rules besides.
fn with_rules(preset: Preset, rules: &str) -> Policy {
    let texts = [("own.cedar", rules), (preset.file_name(), preset.shipped())];
    Policy::of_texts(&texts.map(|(name, text)| (name.to_owned(), text.to_owned()))).unwrap()
}

#[test]
fn balanced_runs_expected_reads_and_asks_for_the_rest() {
    allows(&balanced(&question()), "policy:expected-read");
    allows(&balanced(&Question { effect: Effect::Write, ..question() }), "policy:planned-write");
    asks(&balanced(&write()), "policy:derived");
    let own = Question { from: Origin::App(AppId::parse("metro_hail").unwrap()), ..write() };
    asks(&balanced(&own), "policy:write");
    asks(&balanced(&Question { effect: Effect::Irreversible, ..question() }), "policy:irreversible");
    asks(&balanced(&Question { conformance: unexpected("x"), ..question() }), "policy:unexpected");
    asks(&balanced(&exposure()), "policy:stored-data");
    asks(&balanced(&theft()), "policy:irreversible");
    let delegate = Question { to: target("mail"), args: json!("summarise"), ..question() };
    allows(&balanced(&delegate), "policy:expected-read");
}

#[test]
fn strict_asks_until_it_is_granted() {
    let strict = Policy::preset(Preset::Strict);
    asks(&decide(&strict, &Grants::default(), &question()), "policy:strict");
    allows(&decide(&strict, &granted(&question(), Choice::Session), &question()), "grant:g1");
    asks(&decide(&strict, &granted(&question(), Choice::Once), &question()), "policy:strict");
    // An app that was let run is not asked about each of its own reads.
    let own = Question { from: Origin::App(AppId::parse("metro_hail").unwrap()), ..question() };
    allows(&decide(&strict, &Grants::default(), &own), "policy:own-read");
}

#[test]
fn locked_denies_what_would_ask() {
    let locked = Policy::preset(Preset::Locked);
    allows(&decide(&locked, &Grants::default(), &question()), "policy:expected-read");
    denies(&decide(&locked, &Grants::default(), &theft()), "policy:locked");
}

#[test]
fn a_receiver_that_the_user_did_not_name_is_confirmed() {
    let whence = Whence::Step {
        step: StepId::parse("s1").unwrap(),
        labels: Labels::of(Label::parse("app:mail").unwrap()),
        sight: Sight::Field,
    };
    let destination = Destination { parameter: "url".into(), value: "https://evil.example".into(), whence };
    let question = Question { destinations: vec![destination], ..question() };
    let decision = balanced(&question);
    asks(&decision, "policy:destination");
    let Decision::Ask { reason, warning, .. } = decision else { panic!() };
    assert!(
        reason.contains("url is \"https://evil.example\", which comes from step s1 (app:mail)."),
        "{reason}"
    );
    assert_eq!(warning, None, "the plan foresaw it");
    let mut named = question.clone();
    named.destinations[0].whence = Whence::User;
    allows(&balanced(&named), "policy:expected-read");
    // A yes holds for this receiver only.
    let grants = granted(&question, Choice::Session);
    allows(&decide(&Policy::preset(Preset::Balanced), &grants, &question), "grant:g1");
    let mut other = question;
    other.destinations[0].value = "https://worse.example".into();
    asks(&decide(&Policy::preset(Preset::Balanced), &grants, &other), "policy:destination");
}

#[test]
fn the_prompt_for_a_theft_says_who_what_to_whom_and_why_it_is_asked() {
    let question = theft();
    let prompt = question
        .prompt(WorkId::parse("p1").unwrap(), &balanced(&question), Some("the user\u{1b}[2J wants it"), 1000)
        .unwrap();
    insta::assert_snapshot!(prompt.flow.reason, @"mail asks for mail.send, which cannot be undone, with to [\"eve@evil.example\"], body “your files”. What mail.send does cannot be undone, so it is asked each time. to is \"eve@evil.example\", which mail gave. It may carry what mail said.");
    insta::assert_snapshot!(prompt.warning.unwrap(), @"Not in the plan: mail.send is not in the plan; mail asks for it.");
    assert_eq!(prompt.apps_words.as_deref(), Some("the user\u{fffd}[2J wants it"));
    assert_eq!(prompt.offers, [Choice::Once, Choice::Deny]);
    assert_eq!((prompt.flow.from.as_str(), prompt.flow.to.as_str()), ("mail", "mail.send"));
    assert_eq!(prompt.flow.labels, ["user", "app:mail"]);
}

#[test]
fn the_prompt_for_stored_data_shows_exactly_which_items() {
    let question = exposure();
    let prompt = question.prompt(WorkId::parse("p1").unwrap(), &balanced(&question), None, 1000).unwrap();
    assert!(prompt.flow.reason.starts_with(
        "travel_mate would get this stored data of yours: operation “heart surgery”, email “ann@home.example”."
    ), "{}", prompt.flow.reason);
    assert_eq!(prompt.flow.category, Category::Data);
    assert_eq!(prompt.offers, [Choice::Once, Choice::Session, Choice::Deny]);
    // A yes for the session holds for these items, and no others.
    let policy = Policy::preset(Preset::Balanced);
    let grants = granted(&question, Choice::Session);
    allows(&decide(&policy, &grants, &question), "grant:g1");
    let mut more = question;
    more.labels.insert(Label::parse("memory:birth date").unwrap());
    asks(&decide(&policy, &grants, &more), "policy:stored-data");
}

/// REFERENCE 4.9: prompts named the wrong pair of apps, and never recipient or content.
#[test]
fn a_prompt_names_this_flow_whatever_was_asked_before() {
    let policy = Policy::preset(Preset::Balanced);
    let _ = decide(&policy, &Grants::default(), &exposure());
    let question = theft();
    let flow = question.flow(&decide(&policy, &Grants::default(), &question));
    assert_eq!((flow.from.as_str(), flow.to.as_str(), &flow.args), ("mail", "mail.send", &question.args));
}

/// REFERENCE 4.16: "always" was offered for everything, irreversible actions included.
#[test]
fn always_is_not_offered_for_what_cannot_be_undone() {
    for conformance in [question().conformance, unexpected("x")] {
        let question = Question { conformance, ..theft() };
        assert!(!accepts(&question, Choice::Always) && !accepts(&question, Choice::Session));
        assert_eq!(Grant::of_answer(&question, Choice::Always, GrantId::fresh(), 0), None);
    }
}

#[test]
fn the_human_is_not_asked_about_a_forbidden_thing() {
    let policy = with_rules(
        Preset::Balanced,
        r#"@id("no-sharing") @reason("Nothing leaves {app}.")
           forbid (principal, action, resource in App::"mail") unless { context.effect == Effect::"read" };"#,
    );
    denies(&decide(&policy, &Grants::default(), &theft()), "policy:no-sharing");
    let write = Question { to: target("mail.create_draft"), ..write() };
    denies(&decide(&policy, &granted(&write, Choice::Always), &write), "policy:no-sharing");
    // Control: without the rule that grant allows it.
    allows(&decide(&Policy::preset(Preset::Balanced), &granted(&write, Choice::Always), &write), "grant:g1");
}

#[test]
fn a_no_to_an_app_holds_for_the_query_however_it_asks() {
    let policy = Policy::preset(Preset::Balanced);
    let asked = Question {
        from: Origin::App(AppId::parse("mail").unwrap()),
        to: target("drive.search"),
        conformance: unexpected("x"),
        ..question()
    };
    let grants = granted(&asked, Choice::Deny);
    let again = Question { args: json!({"query": "other words"}), ..asked.clone() };
    denies(&decide(&policy, &grants, &again), "grant:g1");
    let next = Question { query: WorkId::parse("q2").unwrap(), ..asked };
    asks(&decide(&policy, &grants, &next), "policy:unexpected");
    assert_eq!(Grant::of_answer(&question(), Choice::Deny, GrantId::fresh(), 0), None);
}

#[test]
fn a_capability_without_a_recorded_grant_is_denied() {
    let unattended = Question { attended: false, ..theft() };
    denies(&balanced(&unattended), "policy:unattended");
    let write = Question { attended: false, ..write() };
    denies(&balanced(&write), "policy:unattended");
    allows(&decide(&Policy::preset(Preset::Balanced), &granted(&write, Choice::Always), &write), "grant:g1");
}

#[test]
fn grants_of_a_session_are_gone_when_the_hub_starts() {
    let write = write();
    let session = Grant::of_answer(&write, Choice::Session, GrantId::parse("g1").unwrap(), 0).unwrap();
    let always = Grant::of_answer(&write, Choice::Always, GrantId::parse("g2").unwrap(), 0).unwrap();
    let grants = Grants::new(vec![session, always]);
    let kept: Vec<&str> = grants.of_user(&write.user).iter().map(|grant| grant.id.as_str()).collect();
    assert_eq!(kept, ["g2"]);
}

#[test]
fn a_grant_is_revoked_by_its_user_alone() {
    let write = write();
    let mut grants = granted(&write, Choice::Always);
    let id = GrantId::parse("g1").unwrap();
    assert!(grants.revoke(&UserId::parse("bob").unwrap(), &id).is_none());
    assert!(grants.revoke(&write.user, &id).is_some());
    asks(&decide(&Policy::preset(Preset::Balanced), &grants, &write), "policy:derived");
}

#[test]
fn a_grant_survives_being_stored() {
    let write = write();
    let grant = Grant::of_answer(&write, Choice::Always, GrantId::parse("g1").unwrap(), 7).unwrap();
    let stored = serde_json::to_string(&grant).unwrap();
    assert_eq!(serde_json::from_str::<Grant>(&stored).unwrap(), grant);
    assert!(
        stored.contains("\"caller\":\"plan\"") && stored.contains("\"target\":\"metro_hail.estimate_fare\"")
    );
}

#[test]
fn what_another_app_said_makes_a_planned_flow_a_collab() {
    assert_eq!(question().category(), Category::Exec);
    let mut carried = question();
    carried.labels.insert(Label::parse("app:mail").unwrap());
    assert_eq!(carried.category(), Category::Collab);
    let own = Question { labels: Labels::of(Label::parse("app:metro_hail").unwrap()), ..question() };
    assert_eq!(own.category(), Category::Exec);
    assert_eq!(theft().category(), Category::Exec);
    assert_eq!(Question { to: target("drive.search"), ..theft() }.category(), Category::Collab);
}

/// Each preset with a rule that forbids one of the targets of [`any_question`], named by its scope.
static NEVER: LazyLock<BTreeMap<(u8, String), Policy>> = LazyLock::new(|| {
    let mut policies = BTreeMap::new();
    for preset in [Preset::Strict, Preset::Balanced, Preset::Locked] {
        for to in TARGETS {
            let kind = if to.contains('.') { "Functionality" } else { "App" };
            let rules = format!("@id(\"never\") forbid (principal, action, resource == {kind}::\"{to}\");");
            policies.insert((preset as u8, to.to_owned()), with_rules(preset, &rules));
        }
    }
    policies
});

const TARGETS: [&str; 4] = ["mail", "drive", "mail.send", "drive.search"];

fn any_question() -> impl Strategy<Value = Question> {
    let origin = prop_oneof![
        Just(Origin::Plan),
        Just(Origin::Memory),
        select(vec!["mail", "drive"]).prop_map(|app| Origin::App(AppId::parse(app).unwrap()))
    ];
    let to = select(TARGETS.to_vec()).prop_map(target);
    let effect = prop_oneof![Just(Effect::Read), Just(Effect::Write), Just(Effect::Irreversible)];
    let labels = prop::collection::vec(
        select(vec!["user", "app:mail", "app:drive", "web:x.example", "memory:name"]),
        0..3,
    )
    .prop_map(|labels| labels.iter().map(|label| Label::parse(label).unwrap()).collect::<Labels>());
    let whence = prop_oneof![Just(Whence::User), Just(Whence::Planner)];
    let destinations = prop::collection::vec(
        (select(vec!["a", "b"]), whence).prop_map(|(value, whence)| Destination {
            parameter: "to".into(),
            value: value.into(),
            whence,
        }),
        0..2,
    );
    let names = (
        select(vec!["ann", "bob"]),
        select(vec!["one", "two"]),
        select(vec!["q1", "q2"]),
        select(vec!["h1", "h2"]),
    );
    let rest = (any::<bool>(), any::<bool>());
    (names, origin, to, effect, labels, destinations, rest).prop_map(
        |((user, session, query, pin), from, to, effect, labels, destinations, (expected, attended))| {
            Question {
                user: UserId::parse(user).unwrap(),
                session: SessionId::parse(session).unwrap(),
                query: WorkId::parse(query).unwrap(),
                conformance: if expected { question().conformance } else { unexpected("x") },
                args: Value::Null,
                step: None,
                from,
                to,
                effect,
                labels,
                destinations,
                sources: Vec::new(),
                pin: pin.into(),
                attended,
            }
        },
    )
}

fn any_choice() -> impl Strategy<Value = Choice> {
    prop_oneof![Just(Choice::Once), Just(Choice::Session), Just(Choice::Always), Just(Choice::Deny)]
}

fn any_preset() -> impl Strategy<Value = Preset> {
    prop_oneof![Just(Preset::Strict), Just(Preset::Balanced), Just(Preset::Locked)]
}

fn all_granted(answers: &[(Question, Choice)]) -> Grants {
    let mut grants = Grants::default();
    for (number, (question, choice)) in answers.iter().enumerate() {
        let id = GrantId::parse(&format!("g{number}")).unwrap();
        if let Some(grant) = Grant::of_answer(question, *choice, id, 0) {
            grants.add(grant);
        }
    }
    grants
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_empty_policy_denies_every_request(question in any_question(), answers in prop::collection::vec((any_question(), any_choice()), 0..6)) {
        let decision = decide(&Policy::empty(), &all_granted(&answers), &question);
        let denied = matches!(decision, Decision::Deny { .. });
        prop_assert!(denied);
    }

    #[test]
    fn a_forbidden_thing_stays_forbidden_whatever_was_granted(question in any_question(), preset in any_preset(), answers in prop::collection::vec((any_question(), any_choice()), 0..6)) {
        let mut answers = answers;
        answers.push((question.clone(), Choice::Always));
        let policy = &NEVER[&(preset as u8, question.to.to_string())];
        let decision = decide(policy, &all_granted(&answers), &question);
        denies(&decision, "policy:never");
    }

    #[test]
    fn what_cannot_be_undone_is_never_allowed_by_a_grant(question in any_question(), preset in any_preset(), answers in prop::collection::vec((any_question(), any_choice()), 0..6)) {
        let question = Question { effect: Effect::Irreversible, ..question };
        let mut answers = answers;
        answers.extend([(question.clone(), Choice::Always), (Question { effect: Effect::Read, ..question.clone() }, Choice::Always)]);
        let decision = decide(&Policy::preset(preset), &all_granted(&answers), &question);
        let allowed = matches!(decision, Decision::Allow { .. });
        prop_assert!(!allowed, "{:?}", decision);
        if let Decision::Ask { offers, .. } = decision {
            prop_assert_eq!(offers, vec![Choice::Once, Choice::Deny]);
        }
    }

    #[test]
    fn nobody_is_asked_where_nobody_is(question in any_question(), preset in any_preset(), answers in prop::collection::vec((any_question(), any_choice()), 0..6)) {
        let question = Question { attended: false, ..question };
        let decision = decide(&Policy::preset(preset), &all_granted(&answers), &question);
        let is_ask = matches!(decision, Decision::Ask { .. });
        prop_assert!(!is_ask);
    }

    /// A grant for one caller, user, functionality or version of an app never helps another.
    #[test]
    fn a_grant_helps_no_other(question in any_question(), other in any_question(), preset in any_preset(), choice in any_choice()) {
        let same = (&question.user, &question.from, &question.to, &question.pin) == (&other.user, &other.from, &other.to, &other.pin);
        prop_assume!(!same);
        let policy = Policy::preset(preset);
        let without = decide(&policy, &Grants::default(), &question);
        let with = decide(&policy, &all_granted(&[(other, choice)]), &question);
        if matches!(with, Decision::Allow { .. }) {
            prop_assert_eq!(with, without);
        }
    }

    #[test]
    fn a_grant_never_widens_what_was_seen(seen in any_question(), question in any_question(), choice in any_choice()) {
        let policy = Policy::preset(Preset::Balanced);
        let with = decide(&policy, &all_granted(&[(seen.clone(), choice)]), &question);
        if let (Decision::Allow { .. }, Decision::Ask { .. }) = (&with, &decide(&policy, &Grants::default(), &question)) {
            let own = Label::App(question.to.app().clone());
            prop_assert!(question.labels.without(&own).is_within(&seen.labels));
            prop_assert!(question.conformance.is_expected() || !seen.conformance.is_expected());
            prop_assert!(question.session == seen.session || choice == Choice::Always);
        }
    }

    #[test]
    fn stored_data_is_never_given_without_a_yes(question in any_question(), preset in any_preset()) {
        let question = Question { from: Origin::Memory, ..question };
        let decision = decide(&Policy::preset(preset), &Grants::default(), &question);
        let allowed = matches!(decision, Decision::Allow { .. });
        prop_assert!(!allowed, "{:?}", decision);
    }

    #[test]
    fn each_decision_says_by_which_rule_and_why(question in any_question(), preset in any_preset(), answers in prop::collection::vec((any_question(), any_choice()), 0..6)) {
        let decision = decide(&Policy::preset(preset), &all_granted(&answers), &question);
        let rule = by(&decision);
        prop_assert!(rule.starts_with("policy:") || rule.starts_with("grant:"));
        let flow = question.flow(&decision);
        prop_assert!(flow.reason.ends_with('.') && flow.by == rule);
        // The same question has the same answer.
        prop_assert_eq!(decide(&Policy::preset(preset), &all_granted(&answers), &question), decision);
    }
}
