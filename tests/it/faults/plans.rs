//! Plans that cannot be carried out.

use serde_json::json;
use system_tests::model_server::{Answer, ModelServer};
use system_tests::system::{Options, System};

use super::{FARES, ask, call, error_of, metro, works};

#[test]
fn no_plan_that_cannot_be_carried_out_moves_anything_and_each_is_told_precisely() {
    let system = System::start(Options::default());
    let after = |id: &str, step: &str| {
        let mut with = metro(id);
        with["after"] = json!([step]);
        with
    };
    let from = json!({"id": "a", "kind": "call", "functionality": "metro_hail.estimate_fare",
        "args": {"start_point": {"$from": "b", "path": "fare"}, "end_point": "x"}});
    let plan = |steps: &[serde_json::Value]| json!({"answer": null, "steps": steps}).to_string();
    for (text, words) in [
        ("I would rather not".to_owned(), "the plan is not a JSON object"),
        ("[]".to_owned(), "the plan"),
        (json!({"steps": "none"}).to_string(), "does not have the form"),
        (json!({"answer": null, "steps": []}).to_string(), "neither an answer nor a step"),
        (plan(&[call("a", "bank.pay")]), "step a: there is no functionality \"bank.pay\""),
        (plan(&[after("a", "b"), after("b", "a")]), "steps wait for each other in a circle: a, b"),
        (plan(&[after("a", "a")]), "steps wait for each other in a circle: a"),
        (plan(&[from, metro("b")]), "step a refers to b, which comes later"),
        (plan(&[after("a", "z")]), "step a refers to \"z\", and there is no such step"),
        (plan(&[metro("a"), metro("a")]), "two steps are named a"),
        (
            plan(&[json!({"id": "a.>", "kind": "call", "functionality": "mail.newest"})]),
            "the id \"a.>\" of a step is not legal",
        ),
    ] {
        let (asked, took) = ask(&system, &format!("plan: {text}"));
        let said = error_of(&asked);
        assert!(said.contains("no plan that can be carried out") && said.contains(words), "{words}: {said}");
        assert_eq!((&asked.outcome["flows"], &asked.outcome["results"]), (&json!([]), &json!([])), "{words}");
        assert_eq!(asked.outcome["model_calls"]["planner"], 2, "it may mend its plan once");
        assert!(took.as_secs() < 5, "{words}: {took:?}");
    }
    works(&system);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_thousand_steps_is_refused_and_a_mended_one_is_followed() {
    let model = ModelServer::start().await;
    let options = Options { base_url: Some(model.base_url.clone()), ..Options::default() };
    let many: Vec<_> = (0..1000).map(|n| metro(&format!("s{n}"))).collect();
    let many = Answer::Words(json!({"answer": null, "steps": many}).to_string());
    let whole = Answer::Words(json!({"answer": null, "steps": [metro("a")]}).to_string());
    let half = Answer::Words("{\"steps\": [".into());
    model.tell([many.clone(), many, half, whole, Answer::Words("done".into())]);
    let (refused, mended) = tokio::task::spawn_blocking(|| {
        let system = System::start(options);
        (ask(&system, FARES).0, ask(&system, FARES).0)
    })
    .await
    .unwrap();
    let said = error_of(&refused);
    assert!(said.contains("the plan has 1000 steps; at most 200 are carried out"), "{said}");
    assert_eq!(refused.outcome["flows"], json!([]));
    assert_eq!(mended.value("metro_hail.estimate_fare")["fare"], 51.8);
    assert_eq!(mended.outcome["model_calls"], json!({"planner": 2, "spokes": 1}));
    let again = model.seen()[3].body["messages"].to_string();
    assert!(again.contains("That cannot be carried out: the plan is not a JSON object"), "{again}");
}
