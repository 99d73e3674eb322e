//! What rules mean together.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;

use bus::id::{AppId, FunctionName, StepId, UserId};
use bus::message::user::{Category, Effect, Verdict};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::change::Change;
use crate::facts::{Caller, Receiver};
use crate::preset::Preset;
use crate::told::category_of;

pub fn facts() -> Facts {
    Facts {
        user: UserId::parse("ann").unwrap(),
        from: Caller::Plan,
        app: AppId::parse("mail").unwrap(),
        function: FunctionName::parse("send").ok(),
        effect: Effect::Irreversible,
        category: Category::Exec,
        expected: true,
        accounted: true,
        attended: true,
        step: StepId::parse("s1").ok(),
        labels: labels(&["user"]),
        receivers: [Receiver::Named("bob@x.example".into())].into_iter().collect(),
    }
}

fn labels(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|label| (*label).to_owned()).collect()
}

fn derived(from: &[&str]) -> Facts {
    let receivers = [Receiver::Derived("sue@x.example".into(), labels(from))].into_iter().collect();
    Facts { receivers, ..facts() }
}

#[track_caller]
fn balanced_with(rules: &str) -> Policy {
    let texts = [("own.cedar", rules), ("balanced.cedar", Preset::Balanced.shipped())];
    Policy::of_texts(&texts.map(|(name, text)| (name.to_owned(), text.to_owned()))).unwrap()
}

#[track_caller]
fn decides(policy: &Policy, facts: &Facts, verdict: Verdict, by: &str) {
    let (is, rule, why) = policy.ruling(facts).verdict(true);
    assert_eq!((is, rule.as_str()), (verdict, by), "{why}");
}

#[test]
fn receivers_from_the_contacts_are_fine_and_others_are_not() {
    let policy = balanced_with(include_str!("../../../../data/policies/examples/contacts.cedar"));
    decides(&policy, &derived(&["app:contacts"]), Verdict::Allow, "policy:contacts");
    decides(&policy, &derived(&["user", "app:contacts"]), Verdict::Allow, "policy:contacts");
    for other in [
        derived(&["app:contacts", "app:mail"]),
        derived(&["web:x.example"]),
        Facts { accounted: false, ..derived(&["app:contacts"]) },
        Facts { receivers: [Receiver::Unnamed("my sister".into())].into_iter().collect(), ..facts() },
        Facts { from: Caller::App(AppId::parse("mail").unwrap()), ..derived(&["app:contacts"]) },
    ] {
        decides(&policy, &other, Verdict::Ask, "policy:irreversible");
    }
    let unplanned = Facts { expected: false, ..derived(&["app:contacts"]) };
    decides(&policy, &unplanned, Verdict::Ask, "policy:irreversible");
    // Control: without the rule they are asked about as well.
    decides(
        &Policy::preset(Preset::Balanced),
        &derived(&["app:contacts"]),
        Verdict::Ask,
        "policy:irreversible",
    );
}

#[test]
fn what_conflicts_is_forbidden() {
    let both = "@id(\"yes\") permit (principal, action, resource);\n@id(\"no\") forbid (principal, action, resource in App::\"mail\");";
    let policy = balanced_with(both);
    decides(&policy, &facts(), Verdict::Deny, "policy:no");
    let elsewhere = Facts { app: AppId::parse("drive").unwrap(), ..facts() };
    decides(&policy, &elsewhere, Verdict::Allow, "policy:yes");
}

#[test]
fn what_may_not_proceed_is_not_asked_about() {
    let policy = balanced_with("@id(\"no\") forbid (principal, action == Action::\"proceed\", resource);");
    decides(&policy, &facts(), Verdict::Deny, "policy:no");
}

#[test]
fn to_forbid_the_question_is_to_deny_what_does_not_run() {
    let policy = balanced_with("@id(\"quiet\") forbid (principal, action == Action::\"ask\", resource);");
    decides(&policy, &facts(), Verdict::Deny, "policy:quiet");
    decides(&policy, &Facts { effect: Effect::Read, ..facts() }, Verdict::Allow, "policy:expected-read");
}

#[test]
fn each_time_goes_before_a_rule_that_lets_it_run() {
    let rules = "@id(\"payroll\") @each_time permit (principal, action == Action::\"ask\", resource in App::\"mail\");";
    let read = Facts { effect: Effect::Read, ..facts() };
    let ruling = balanced_with(rules).ruling(&read);
    assert!(matches!(ruling, Ruling::Asks { each_time: true, .. }), "{ruling:?}");
    let elsewhere = Facts { app: AppId::parse("drive").unwrap(), ..read };
    decides(&balanced_with(rules), &elsewhere, Verdict::Allow, "policy:expected-read");
}

#[test]
fn a_rule_that_forbids_and_cannot_be_worked_out_forbids() {
    // Within the schema numbers can still run over.
    let rules = "@id(\"no\") forbid (principal, action, resource) when { 9223372036854775807 + (if context.expected then 1 else 0) > 0 };\n@id(\"yes\") permit (principal, action, resource);";
    let policy = balanced_with(rules);
    decides(&policy, &facts(), Verdict::Deny, "policy:no");
    // And one that permits does not permit.
    let rules = "@id(\"yes\") permit (principal, action == Action::\"proceed\", resource) when { 9223372036854775807 + (if context.expected then 1 else 0) > 0 };";
    decides(&balanced_with(rules), &facts(), Verdict::Ask, "policy:irreversible");
}

#[test]
fn hosts_that_are_ours_are_not_those_that_have_none() {
    let rules = "@id(\"ours\") permit (principal, action == Action::\"proceed\", resource) when { [Host::\"x.example\"].containsAll(context.destinations.hosts) };";
    let policy = balanced_with(rules);
    decides(&policy, &facts(), Verdict::Allow, "policy:ours");
    for receiver in ["bob@x.example.evil.example", "DE89 3704", "eve@evil.example,bob@x.example"] {
        let receivers = [Receiver::Named(receiver.into())].into_iter().collect();
        decides(&policy, &Facts { receivers, ..facts() }, Verdict::Ask, "policy:irreversible");
    }
}

#[test]
fn no_rules_permit_nothing() {
    assert_eq!(Policy::empty().ruling(&facts()), Ruling::Nothing);
    decides(&Policy::empty(), &facts(), Verdict::Deny, "policy:none");
}

#[test]
fn what_would_change_it_is_the_least_that_would() {
    let balanced = Policy::preset(Preset::Balanced);
    let write = Facts { effect: Effect::Write, ..derived(&["app:mail"]) };
    assert_eq!(balanced.would_run_with(&write), [vec![Change::Named]]);
    let worse = Facts { accounted: false, ..write };
    assert_eq!(balanced.would_run_with(&worse), [vec![Change::Named, Change::Accounted]]);
    assert!(balanced.would_run_with(&facts()).is_empty(), "what cannot be undone is asked each time");
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let caller = select(vec!["plan", "memory", "mail", "drive"]);
    let effect = select(vec![Effect::Read, Effect::Write, Effect::Irreversible]);
    let sources = subsequence(vec!["user", "app:mail", "app:drive", "web:x.example"], 0..4);
    let receivers = subsequence(vec![0, 1, 2], 0..3);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (caller, select(vec!["mail", "drive"]), any::<bool>(), effect, sources, receivers, flags).prop_map(
        |(caller, app, function, effect, sources, receivers, (expected, accounted, attended))| {
            let (from, app) = (Caller::parse(caller).unwrap(), AppId::parse(app).unwrap());
            let labels = labels(&sources);
            let receiver = |kind| match kind {
                0 => Receiver::Named("bob@x.example".into()),
                1 => Receiver::Derived("sue@x.example".into(), labels.clone()),
                _ => Receiver::Unnamed("my sister".into()),
            };
            Facts {
                category: category_of(&from, &app, &labels),
                function: function.then(|| FunctionName::parse("send").unwrap()),
                receivers: receivers.into_iter().map(receiver).collect(),
                from,
                app,
                effect,
                expected,
                accounted,
                attended,
                labels,
                ..facts()
            }
        },
    )
}

/// Rules of all kinds, as somebody might write them who wants everything to run.
fn any_rules() -> impl Strategy<Value = String> {
    let scope = select(vec![
        "principal, action, resource",
        "principal is Plan, action == Action::\"proceed\", resource",
        "principal, action in [Action::\"proceed\", Action::\"ask\"], resource in App::\"mail\"",
        "principal == App::\"mail\", action, resource == Functionality::\"mail.send\"",
        "principal is App, action == Action::\"ask\", resource is Functionality",
        "principal, action == Action::\"proceed\", resource is Functionality in App::\"drive\"",
    ]);
    let when = select(vec![
        "true",
        "context.expected || !context.expected",
        "context.labels.contains(Label::\"user\")",
        "context.destinations.all_named",
        "9223372036854775807 + (if context.own then 1 else 2) > 0",
        "context has step && context.step like \"*\"",
    ]);
    let mark = select(vec!["", "@each_time "]);
    prop::collection::vec((scope, when, mark), 0..8).prop_map(|rules| {
        let rule = |(number, (scope, when, mark)): (usize, (&str, &str, &str))| {
            format!("@id(\"r{number}\") {mark}permit ({scope}) when {{ {when} }};\n")
        };
        rules.into_iter().enumerate().map(rule).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_rules_make_a_forbidden_flow_pass(facts in any_facts(), rules in any_rules(), first in any::<bool>()) {
        let from = match facts.from.as_str() {
            "plan" => "principal is Plan",
            "memory" => "principal == Memory::\"memory\"",
            "mail" => "principal == App::\"mail\"",
            _ => "principal",
        };
        let never = format!("@id(\"never\") forbid ({from}, action, resource in App::\"{}\");\n", facts.app);
        let text = if first { never + &rules } else { rules + &never };
        let ruling = balanced_with(&text).ruling(&facts);
        let forbidden = matches!(&ruling, Ruling::Forbidden(said) if said.rule == "never");
        prop_assert!(forbidden, "{:?}", ruling);
    }

    /// What was said of other facts, or of the same, changes nothing.
    #[test]
    fn a_ruling_is_the_same_whatever_was_asked_before(all in prop::collection::vec(any_facts(), 1..8), rules in any_rules()) {
        let policy = balanced_with(&rules);
        for facts in all.iter().chain(&all) {
            prop_assert_eq!(policy.ruling(facts), policy.work_out(facts));
        }
    }

    /// Rules that are looked up by their scopes say what all of them say together.
    #[test]
    fn the_index_leaves_no_rule_out(facts in any_facts(), rules in any_rules()) {
        let policy = balanced_with(&rules);
        let (names, index) = policy.0.index.as_ref().unwrap();
        let asked = names.ask(&facts).unwrap();
        let all = cedar_policy::PolicySet::from_policies(policy.rules().iter().enumerate().map(|(number, rule)| {
            cedar_policy::Policy::parse(Some(cedar_policy::PolicyId::new(number.to_string())), &rule.text).unwrap()
        })).unwrap();
        let whole = cedar_policy::Authorizer::new().is_authorized(&asked.proceed, &all, &asked.entities);
        let allowed = whole.decision() == cedar_policy::Decision::Allow;
        let found = index.proceed(&asked);
        prop_assert_eq!(allowed, found.forbids.is_empty() && !found.permits.is_empty());
    }
}
