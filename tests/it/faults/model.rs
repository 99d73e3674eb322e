//! The model's server on a bad day. What the gateway makes of each fault is tested with it; here is what a person sees.

use std::time::Duration;

use serde_json::json;
use system_tests::model_server::{Answer, ModelServer, delta};
use system_tests::system::{Options, System};

use super::{FARES, PLAIN, ask, error_of, works};

const DEADLINE: Duration = Duration::from_secs(2);

#[test]
fn a_model_server_that_is_absent_is_named_with_its_address() {
    let options = Options { base_url: Some("http://127.0.0.1:1/v1".into()), ..Options::default() };
    let system = System::start(options.set("model.timeout", "2s"));
    let (asked, took) = ask(&system, PLAIN);
    assert!(error_of(&asked).contains("the model server at 127.0.0.1:1 cannot be reached"), "{asked:?}");
    assert!(took < DEADLINE * 3, "{took:?}");
}

#[test]
fn a_model_server_that_is_slow_or_breaks_off_or_talks_nonsense_costs_one_query() {
    let system = System::start(Options::default().set("model.timeout", "2s"));
    for (kind, times, words) in [
        ("hang", 1, "did not finish its answer within 2s"),
        ("cut", 9, "broke off in the middle"),
        ("not_json", 9, "not in the OpenAI protocol"),
        ("error", 99, "is overloaded or broken (status 500"),
        ("busy", 99, "limits the rate (status 429"),
    ] {
        system.model().fault(&json!({"kind": kind, "times": times, "on": "planner"}));
        let (asked, took) = ask(&system, PLAIN);
        let said = error_of(&asked);
        assert!(said.contains("model server at 127.0.0.1") && said.contains(words), "{kind}: {said}");
        assert!(took < DEADLINE * 4, "{kind}: {took:?}");
        system.model().clear_faults();
    }
    works(&system);
}

#[test]
fn when_the_answer_is_not_composed_the_results_are_shown_and_the_reason_is_said() {
    let system = System::start(Options::default().set("model.timeout", "2s"));
    for kind in ["hang", "cut", "not_json"] {
        system.model().fault(&json!({"kind": kind, "times": 9, "on": "compose"}));
        let (asked, took) = ask(&system, FARES);
        assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
        let answer = asked.answer();
        assert!(
            answer.contains("could not put the results together") && answer.contains("57"),
            "{kind}: {answer}"
        );
        assert!(took < DEADLINE * 4, "{kind}: {took:?}");
        system.model().clear_faults();
    }
    works(&system);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_named_as_such_and_never_shown() {
    const KEY: &str = "planted-wrong-key";
    let model = ModelServer::start().await;
    let mut options = Options { base_url: Some(model.base_url.clone()), ..Options::default() };
    options.env.push(("PLANTED".into(), KEY.into()));
    let told = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}}).to_string();
    let half = vec![delta(&json!({"content": "{\"answer\": \"hal"}))];
    model.tell([
        Answer::Status(401, vec![], told),
        Answer::Cut(half),
        Answer::Words(json!({"answer": "Paris", "steps": []}).to_string()),
    ]);
    let (wrong, next) = tokio::task::spawn_blocking(move || {
        let system = System::start(options.set("model.api_key_env", "PLANTED"));
        let wrong = ask(&system, PLAIN).0;
        // The answer that breaks off is the planner's; either it was asked again, or it says so.
        let next = [ask(&system, PLAIN).0, ask(&system, PLAIN).0];
        (wrong, next)
    })
    .await
    .unwrap();
    assert!(error_of(&wrong).contains("does not accept the key"), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains(KEY));
    assert!(next.iter().any(|asked| asked.code == Some(0) && asked.answer() == "Paris"), "{next:?}");
}
