//! Queries that go well.

use bus::message::user::{Ending, Happening};
use serde_json::json;

use crate::town::{Plot, Town, calls, delegate, plain, run, well};

#[test]
fn a_plain_question_costs_one_model_call_and_no_spoke() {
    run(async {
        let mut town = Town::found(Plot::new(vec![json!({"answer": "42", "steps": []})], plain())).await;
        let outcome = town.ann.ask("what is 6 times 7?").await;
        assert_eq!((outcome.outcome, outcome.answer.as_deref()), (Ending::Answered, Some("42")));
        assert_eq!((outcome.model_calls["planner"], outcome.model_calls["spokes"]), (1, 0));
        assert!(outcome.model.unwrap().starts_with("scripted-1"));
    });
}

#[test]
fn independent_apps_are_both_asked_and_each_result_stands_under_its_app() {
    run(async {
        let plan = calls(&[("mail.newest", "one"), ("drive.read", "two")]);
        let mut town = Town::found(Plot::new(vec![plan], plain())).await;
        let query = town.ann.query("one and two");
        let (outcome, happened) = town.ann.ask_with(query).await;
        assert_eq!(outcome.answer.as_deref(), Some("composed: mail says one, drive says two"));
        let results: Vec<_> =
            outcome.results.iter().map(|r| (r.app.as_str(), r.value["text"].clone())).collect();
        assert_eq!(results, [("mail", json!("mail says one")), ("drive", json!("drive says two"))]);
        assert_eq!(
            (outcome.model_calls["planner"], outcome.model_calls["spokes"], outcome.prompts),
            (1, 1, 0)
        );
        assert!(outcome.flows.iter().all(|flow| flow.expected));
        assert!(happened.contains(&Happening::Planning));
        assert!(happened.contains(&Happening::Token { text: "composed: ".into() }));
        assert_eq!(happened.iter().filter(|what| matches!(what, Happening::StepFinished { .. })).count(), 2);
    });
}

#[test]
fn a_value_of_one_app_is_handed_to_another_by_the_plan() {
    run(async {
        let plan = json!({"answer": null, "steps": [
            {"id": "s1", "kind": "call", "functionality": "mail.newest", "args": {"text": "one"}, "after": []},
            {"id": "s2", "kind": "call", "functionality": "drive.read",
             "args": {"text": {"$from": "s1", "path": "/text"}}, "after": []},
            {"id": "s3", "kind": "call", "functionality": "drive.read", "after": [], "args": {"text":
             {"$derive": "s1", "instruction": "the number", "schema": {"type": "string"}}}}]});
        let mut town = Town::found(Plot::new(vec![plan], plain())).await;
        let outcome = town.ann.ask("chain").await;
        let texts: Vec<_> =
            outcome.results.iter().map(|result| result.value["text"].as_str().unwrap()).collect();
        assert_eq!(
            texts,
            ["mail says one", "drive says mail says one", "drive says derived from mail says one"]
        );
        let flow = outcome.flows.iter().find(|flow| flow.step.as_ref().unwrap().as_str() == "s2").unwrap();
        assert!(flow.expected && flow.labels.contains(&"app:mail".to_owned()), "{flow:?}");
    });
}

#[test]
fn the_text_of_a_single_delegate_is_the_answer_without_another_call() {
    run(async {
        let script = well(|_, _| async { "it is done".to_owned() });
        let mut town = Town::found(Plot::new(vec![delegate("mail")], script)).await;
        let outcome = town.ann.ask("do it").await;
        assert_eq!(outcome.answer.as_deref(), Some("it is done"));
        assert_eq!((outcome.model_calls["planner"], outcome.model_calls["spokes"]), (1, 1));
        assert_eq!(town.apps_started(), ["mail"]);
    });
}

#[test]
fn a_spoke_is_used_again_within_a_session_and_never_across_users() {
    run(async {
        let mut town = Town::found(Plot::new(vec![delegate("mail")], plain())).await;
        town.ann.ask("one").await;
        town.ann.ask("two").await;
        let count = |town: &Town| town.apps_started().iter().filter(|app| *app == "mail").count();
        assert_eq!(count(&town), 1);
        let mut bob = crate::client::Client::join(&town.broker, "bob", std::rc::Rc::new(|_| None)).await;
        bob.session = town.ann.session.clone();
        bob.ask("three").await;
        assert_eq!(count(&town), 2);
        let mut private = town.ann.query("four");
        private.private = true;
        town.ann.ask_with(private).await;
        assert_eq!(count(&town), 3);
    });
}
