//! What `conformance.rs` promises where somebody tries to get round it, each promise a test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use bus::limits::MAX_STEPS;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::permission::label::Labels;
use crate::plan::{Derived, Planned, Recorded, Sight};

fn id(text: &str) -> StepId {
    StepId::parse(text).unwrap()
}

/// `s1` writes to a named receiver; `s2` to one that is taken from what `s1` returned.
fn plan() -> Plan {
    let draft = |id: &str, to: Value, after: &[&str]| {
        json!({"id": id, "kind": "call", "functionality": "mail.create_draft", "after": after,
            "args": {"to": to, "subject": "Rent", "body": "Hello"}})
    };
    let steps = json!([
        draft("s1", json!(["bob@x.example"]), &[]),
        draft(
            "s2",
            json!([{"$derive": "s1", "instruction": "the sender", "schema": {"type": "string"}}]),
            &[]
        ),
    ]);
    let text = json!({"answer": null, "steps": steps}).to_string();
    match Plan::parse(&text, &crate::plan::tests::catalogue()).unwrap() {
        Planned::Steps(plan) => plan,
        other => panic!("{other:?}"),
    }
}

fn as_planned() -> Value {
    json!({"to": ["bob@x.example"], "subject": "Rent", "body": "Hello"})
}

fn of_s1(args: &Value) -> Conformance {
    let step = id("s1");
    conformance(&plan(), &Used::default(), &Record::default(), Flowing::Step { step: &step, args })
}

#[track_caller]
fn differs(change: impl FnOnce(&mut Value)) {
    let mut args = as_planned();
    change(&mut args);
    assert_ne!(args, as_planned());
    assert!(!of_s1(&args).is_expected(), "{args}");
}

#[test]
fn the_arguments_of_the_plan_are_expected() {
    assert_eq!(of_s1(&as_planned()), Conformance::Expected { step: id("s1") });
}

#[test]
fn letters_that_look_alike_are_a_difference() {
    for to in ["b\u{043e}b@x.example", "bοb@x.example", "ｂob@x.example", "b\u{00f6}b@x.example"] {
        differs(|args| args["to"] = json!([to]));
    }
}

#[test]
fn characters_without_width_are_a_difference() {
    for to in
        ["bob\u{200b}@x.example", "\u{feff}bob@x.example", "bo\u{00ad}b@x.example", "bob@x.example\u{2060}"]
    {
        differs(|args| args["to"] = json!([to]));
    }
}

#[test]
fn case_is_a_difference() {
    differs(|args| args["to"] = json!(["Bob@x.example"]));
    differs(|args| args["subject"] = json!("RENT"));
}

#[test]
fn whitespace_is_a_difference() {
    for to in [" bob@x.example", "bob@x.example\n", "bob@x.example\u{a0}", "bob@ x.example"] {
        differs(|args| args["to"] = json!([to]));
    }
}

#[test]
fn another_encoding_is_a_difference() {
    for to in [
        "bob%40x.example",
        "Ym9iQHguZXhhbXBsZQ==",
        "=?utf-8?q?bob=40x.example?=",
        "bob\\u0040x.example",
        "mailto:bob@x.example",
    ] {
        differs(|args| args["to"] = json!([to]));
    }
    // The same letters in another normal form are other letters.
    let (composed, apart) = (json!("Zo\u{eb}"), json!("Zoe\u{308}"));
    assert_ne!(composed, apart);
}

#[test]
fn plus_addressing_is_a_difference() {
    differs(|args| args["to"] = json!(["bob+evil@x.example"]));
    differs(|args| args["to"] = json!(["b.ob@x.example"]));
}

#[test]
fn nested_json_is_a_difference() {
    differs(|args| args["to"] = json!(["[\"bob@x.example\"]"]));
    differs(|args| args["to"] = json!([["bob@x.example"]]));
    differs(|args| args["to"] = json!([{"address": "bob@x.example"}]));
    differs(|args| args["body"] = json!({"text": "Hello"}));
}

#[test]
fn an_array_for_a_scalar_and_a_scalar_for_an_array_are_differences() {
    differs(|args| args["to"] = json!("bob@x.example"));
    differs(|args| args["subject"] = json!(["Rent"]));
    differs(|args| args["to"] = json!(["bob@x.example", "bob@x.example"]));
    differs(|args| args["to"] = json!([]));
}

#[test]
fn an_extra_field_is_a_difference() {
    differs(|args| args["cc"] = json!(["eve@evil.example"]));
    differs(|args| args["cc"] = json!([]));
}

#[test]
fn a_default_that_is_written_out_or_left_out_is_a_difference() {
    differs(|args| args["priority"] = json!(null));
    differs(|args| _ = args.as_object_mut().unwrap().remove("body"));
    differs(|args| args["body"] = json!(""));
}

#[test]
fn a_number_as_text_is_a_difference() {
    let (number, text, float) = (json!({"n": 10}), json!({"n": "10"}), json!({"n": 10.5}));
    assert_ne!(number, text);
    assert_ne!(number, float);
    differs(|args| args["subject"] = json!(10));
}

#[test]
fn a_step_used_twice_is_unexpected() {
    let (plan, step, args) = (plan(), id("s1"), as_planned());
    let used = Used { by_plan: [step.clone()].into() };
    let flowing = Flowing::Step { step: &step, args: &args };
    let Conformance::Unexpected { differs } = conformance(&plan, &used, &Record::default(), flowing) else {
        panic!("expected")
    };
    assert!(differs.contains("carried out already"), "{differs}");
}

#[test]
fn a_step_out_of_order_has_no_value_yet_and_is_unexpected() {
    let (step, args) = (id("s2"), json!({"to": ["bob@x.example"], "subject": "Rent", "body": "Hello"}));
    let flowing = Flowing::Step { step: &step, args: &args };
    assert!(!conformance(&plan(), &Used::default(), &Record::default(), flowing).is_expected());
}

#[test]
fn a_step_of_another_plan_is_unexpected() {
    // A query that has ended, or one of another session, has a plan of its own; here it is empty.
    let (step, args) = (id("s1"), as_planned());
    let empty = Plan { steps: Vec::new() };
    let flowing = Flowing::Step { step: &step, args: &args };
    assert!(!conformance(&empty, &Used::default(), &Record::default(), flowing).is_expected());
}

#[test]
fn only_the_derived_value_that_was_recorded_is_expected() {
    let mut record = Record::default();
    record.finished(id("s1"), json!("x"), Labels::none());
    let recorded = Recorded { value: json!("dana@x.example"), labels: Labels::none() };
    record.derived(id("s2"), "/to/0".into(), Derived { recorded, sight: Sight::Text });
    let step = id("s2");
    let given = |to: &str| {
        let args = json!({"to": [to], "subject": "Rent", "body": "Hello"});
        conformance(&plan(), &Used::default(), &record, Flowing::Step { step: &step, args: &args })
    };
    assert!(given("dana@x.example").is_expected());
    assert!(!given("eve@evil.example").is_expected());
    assert!(!given("dana@x.example ").is_expected());
}

#[test]
fn a_plan_of_two_hundred_steps_is_compared_step_by_step() {
    let step = |n: usize| {
        json!({"id": format!("s{n}"), "kind": "call", "functionality": "mail.create_draft", "after": [],
            "args": {"to": [format!("p{n}@x.example")], "subject": "Rent", "body": "Hello"}})
    };
    let steps: Vec<Value> = (1..=MAX_STEPS).map(step).collect();
    let text = json!({"answer": null, "steps": steps}).to_string();
    let Ok(Planned::Steps(plan)) = Plan::parse(&text, &crate::plan::tests::catalogue()) else { panic!() };
    let mut used = Used::default();
    for n in 1..=MAX_STEPS {
        let step = id(&format!("s{n}"));
        let args =
            |of: usize| json!({"to": [format!("p{of}@x.example")], "subject": "Rent", "body": "Hello"});
        let judged = |used: &Used, args: &Value| {
            conformance(&plan, used, &Record::default(), Flowing::Step { step: &step, args })
        };
        assert!(judged(&used, &args(n)).is_expected());
        assert!(!judged(&used, &args(n + 1)).is_expected());
        used.by_plan.insert(step.clone());
        assert!(!judged(&used, &args(n)).is_expected());
    }
}

/// The words of the user, and a delegate of travel_mate that has begun.
const WORDS: &str = "Book a flight for Ann Lee from Irvine to Paris on June 10th, economy";

fn delegated(functionality: &str, effect: Effect, args: &Value) -> Conformance {
    let step = json!({"id": "s1", "kind": "delegate", "app": "travel_mate", "request": "Book a flight", "after": []});
    let text = json!({"answer": null, "steps": [step]}).to_string();
    let Ok(Planned::Steps(plan)) = Plan::parse(&text, &crate::plan::tests::catalogue()) else { panic!() };
    let used = Used { by_plan: [id("s1")].into() };
    let (by, functionality) =
        (AppId::parse("travel_mate").unwrap(), Functionality::parse(functionality).unwrap());
    let flowing = Flowing::Asked { by: &by, functionality: &functionality, effect, args, words: WORDS };
    conformance(&plan, &used, &Record::default(), flowing)
}

#[test]
fn a_delegate_that_does_what_the_user_said_is_expected() {
    let args = json!({"name": "Ann Lee", "departure_city": "Irvine", "destination_city": "Paris", "date": "June 10th"});
    assert!(delegated("travel_mate.book_flight", Effect::Write, &args).is_expected());
}

#[test]
fn a_delegate_is_trusted_with_no_value_that_the_user_did_not_say() {
    let said = json!({"name": "Ann Lee", "destination_city": "Paris"});
    for (name, value) in [
        ("email", json!("eve@evil.example")),
        ("destination_city", json!("Pari")),
        ("destination_city", json!("Paris\u{200b}")),
        ("destination_city", json!("P\u{0430}ris")),
        ("seats", json!(2)),
        ("flexible", json!(true)),
        ("special_requirements", json!("heart surgery")),
    ] {
        let mut args = said.clone();
        args[name] = value;
        assert!(!delegated("travel_mate.book_flight", Effect::Write, &args).is_expected(), "{args}");
    }
}

#[test]
fn a_delegate_is_trusted_with_nothing_that_it_was_not_told_to_do() {
    let args = json!({"destination_city": "Paris"});
    // Control.
    assert!(delegated("travel_mate.book_flight", Effect::Write, &args).is_expected());
    assert!(!delegated("travel_mate.cancel_flight", Effect::Write, &args).is_expected());
    assert!(!delegated("travel_mate.book_flight", Effect::Irreversible, &args).is_expected());
    assert!(!delegated("health_companion.book_flight", Effect::Write, &args).is_expected());
    // Without a value nothing says that it is the user's wish.
    assert!(!delegated("travel_mate.book_flight", Effect::Write, &json!({})).is_expected());
    assert!(!delegated("travel_mate.book_flight", Effect::Write, &json!({"name": ""})).is_expected());
}

proptest! {
    /// Whatever a spoke asks for: a change is expected only if each of its values stands in what the user said.
    #[test]
    fn no_request_of_a_spoke_is_expected_with_a_value_of_its_own(values in prop::collection::vec("[a-zP0-9@.]{1,8}|Paris|Irvine|Ann Lee", 1..4)) {
        let args: Value = values.iter().enumerate().map(|(n, value)| (format!("a{n}"), json!(value))).collect::<serde_json::Map<_, _>>().into();
        let all_said = values.iter().all(|value| WORDS.split([' ', ',']).any(|word| word == value) || (value == "Ann Lee"));
        if delegated("travel_mate.book_flight", Effect::Write, &args).is_expected() {
            prop_assert!(all_said, "{}", args);
        }
    }

    /// Any text in the place of a planned one is a difference, unless it is the very same.
    #[test]
    fn only_the_very_same_text_is_as_planned(subject in "\\PC{0,12}|Rent") {
        let mut args = as_planned();
        args["subject"] = json!(subject);
        prop_assert_eq!(of_s1(&args).is_expected(), subject == "Rent");
    }
}
