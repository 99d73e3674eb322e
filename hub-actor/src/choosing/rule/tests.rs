//! What `rule.rs` promises, each promise a test.

use bus::id::AppId;
use bus::message::user::Effect;
use manifest::{FunctionSpec, Schema};
use serde_json::{Value, json};

use super::*;
use crate::plan::Planned;

const RIDE: &str = "What is the fare from Main Street to Elm Avenue?";

/// The shipped apps, changed.
fn catalogue(change: impl Fn(&AppId, &mut FunctionSpec)) -> Catalogue {
    let apps = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/apps");
    let (mut manifests, errors) = manifest::load_all(&[apps], None, &manifest::limits::DEFAULT);
    assert_eq!(errors, []);
    // Another mailbox, of the very same form.
    let mut post = manifests.iter().find(|manifest| manifest.app.as_str() == "mail").unwrap().clone();
    post.app = app("post_office");
    manifests.push(post);
    for manifest in &mut manifests {
        let name = manifest.app.clone();
        manifest.functions.iter_mut().for_each(|function| change(&name, function));
    }
    Catalogue::new(manifests)
}

fn shipped() -> Catalogue {
    catalogue(|_, _| {})
}

fn app(name: &str) -> AppId {
    AppId::parse(name).unwrap()
}

fn call(id: &str, what: &str, args: Value) -> Value {
    json!({"id": id, "kind": "call", "functionality": what, "args": args, "after": []})
}

fn fare(id: &str, app: &str) -> Value {
    call(
        id,
        &format!("{app}.estimate_fare"),
        json!({"start_point": "Main Street", "end_point": "Elm Avenue"}),
    )
}

fn found(catalogue: &Catalogue, query: &str, steps: Value) -> Vec<OpenChoice> {
    open(&plan(catalogue, steps), catalogue, query, &[])
}

fn plan(catalogue: &Catalogue, steps: Value) -> Plan {
    match Plan::parse(&json!({"answer": null, "steps": steps}).to_string(), catalogue) {
        Ok(Planned::Steps(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

fn offered(choices: &[OpenChoice]) -> Vec<Vec<&str>> {
    choices.iter().map(|choice| choice.apps.iter().map(AppId::as_str).collect()).collect()
}

#[test]
fn a_plan_for_one_of_several_apps_leaves_open_which_and_offers_the_planned_one_first() {
    let catalogue = shipped();
    let choices = found(&catalogue, RIDE, json!([fare("s1", "quick_ride")]));
    assert_eq!(offered(&choices), [["quick_ride", "metro_hail"]]);
    assert_eq!(choices[0].args["start_point"], "Main Street");
    let offers = choices[0].offers(&catalogue);
    assert_eq!(offers[1].functionalities[0].summary.as_deref().map(|text| text.contains("Fare")), Some(true));
    // Nothing of what an app says about itself is shown.
    assert!(!format!("{offers:?}").contains("booking fee"));
}

#[test]
fn nothing_is_open_when_the_user_names_an_app() {
    let catalogue = shipped();
    for query in [
        "What is the fare with quick_ride?",
        "What is the fare with Quick Ride?",
        "what do quick rides cost from A to B",
        "the metro_hail fare from A to B",
        "call metro_hail.estimate_fare",
    ] {
        assert_eq!(found(&catalogue, query, json!([fare("s1", "quick_ride")])), [], "{query}");
    }
    // Words that merely occur in a name do not name it.
    for query in ["Give me a quick estimate for a ride", "how do I hail a metro"] {
        assert_eq!(found(&catalogue, query, json!([fare("s1", "quick_ride")])).len(), 1, "{query}");
    }
}

#[test]
fn nothing_is_open_in_a_comparison() {
    let steps = json!([fare("s1", "metro_hail"), fare("s2", "quick_ride")]);
    assert_eq!(found(&shipped(), "Which ride is cheapest?", steps), []);
}

#[test]
fn an_app_that_does_another_thing_under_the_same_name_is_no_stand_in() {
    let steps = || json!([fare("s1", "quick_ride")]);
    let differs = |change: fn(&mut FunctionSpec)| {
        let catalogue = catalogue(|app, function| {
            if app.as_str() == "metro_hail" {
                change(function);
            }
        });
        assert_eq!(found(&catalogue, RIDE, steps()), []);
    };
    differs(|function| function.effect = Effect::Irreversible);
    differs(|function| function.destinations = vec!["start_point".into()]);
    differs(|function| function.name = FunctionName::parse("fare").unwrap());
    differs(|function| {
        let mut schema = function.request.value().clone();
        schema["properties"]["tip"] = json!({"type": "number"});
        function.request = Schema::parse(schema).unwrap();
    });
    // Of the same form, but it would refuse these very arguments.
    differs(|function| {
        let mut schema = function.request.value().clone();
        schema["properties"]["start_point"]["maxLength"] = json!(3);
        function.request = Schema::parse(schema).unwrap();
    });
}

#[test]
fn what_it_gives_counts_only_where_a_later_step_takes_it() {
    let catalogue = catalogue(|app, function| {
        if app.as_str() == "metro_hail" {
            function.response = None;
        }
    });
    let alone = json!([fare("s1", "quick_ride")]);
    assert_eq!(found(&catalogue, RIDE, alone).len(), 1);
    let body = json!({"$derive": "s1", "instruction": "the fare", "schema": {"type": "string"}});
    let send = call("s2", "drive.write", json!({"name": "fare.txt", "content": body}));
    let steps = json!([fare("s1", "quick_ride"), send]);
    assert_eq!(found(&catalogue, RIDE, steps), []);
}

#[test]
fn steps_of_one_app_go_to_another_together_or_not_at_all() {
    let steps = || {
        let id = json!({"$from": "s1", "path": "/messages/0/id"});
        json!([
            call("s1", "mail.newest", json!({"count": 1})),
            call("s2", "mail.get_message", json!({"id": id}))
        ])
    };
    let both = shipped();
    let choices = found(&both, "Read me what came last", steps());
    assert_eq!(offered(&choices), [["mail", "post_office"]]);
    let given = choices[0].given_to(&app("post_office"), plan(&both, steps()));
    let whats: Vec<String> = given.steps.iter().map(crate::plan::Step::what).collect();
    assert_eq!(whats, ["post_office.newest", "post_office.get_message"]);
    // A mailbox that cannot do the second step is not offered for the first.
    let one = catalogue(|app, function| {
        if app.as_str() == "post_office" && function.name.as_str() == "get_message" {
            function.name = FunctionName::parse("fetch").unwrap();
        }
    });
    assert_eq!(found(&one, "Read me what came last", steps()), []);
}

#[test]
fn work_in_words_is_not_offered_to_another_app() {
    let steps = json!([{"id": "s1", "kind": "delegate", "app": "mail", "request": "summarise", "after": []}]);
    assert_eq!(found(&shipped(), "Sum up what came last", steps), []);
}

#[test]
fn what_was_refused_does_not_come_back_as_a_stand_in() {
    let catalogue = shipped();
    let plan = plan(&catalogue, json!([fare("s1", "quick_ride")]));
    for refused in ["metro_hail.estimate_fare", "metro_hail"] {
        assert_eq!(open(&plan, &catalogue, RIDE, &[refused.to_owned()]), []);
    }
    assert_eq!(open(&plan, &catalogue, RIDE, &["mail.send".to_owned()]).len(), 1);
}

#[test]
fn an_earlier_choice_counts_if_it_is_one_app_that_is_still_offered() {
    let catalogue = shipped();
    let choice = found(&catalogue, RIDE, json!([fare("s1", "quick_ride")])).remove(0);
    let before =
        |app_name: &str| BTreeMap::from([(FunctionName::parse("estimate_fare").unwrap(), app(app_name))]);
    assert_eq!(choice.chosen_before(&before("metro_hail")), Some(app("metro_hail")));
    assert_eq!(choice.chosen_before(&before("gone")), None);
    assert_eq!(choice.chosen_before(&BTreeMap::new()), None);
}
