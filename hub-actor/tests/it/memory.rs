//! What is remembered, and who gets it.

use std::cell::RefCell;
use std::rc::Rc;

use bus::message::task::Failure;
use bus::message::user::{Admin, Category, Choice, Ending};
use serde_json::{Value, json};

use crate::broker::Redis;
use crate::peers::Spoke;
use crate::town::{Plot, Town, delegate, run, well};

type Got = Rc<RefCell<Vec<Result<Value, Failure>>>>;

/// A direct answer first, then delegates of `drive` that ask for stored data.
fn recalling() -> (Plot, Got) {
    let got: Got = Rc::default();
    let list = Rc::clone(&got);
    let script = well(move |spoke: Spoke, task| {
        let list = Rc::clone(&list);
        async move {
            let result = spoke.recall(&task, "any condition").await;
            list.borrow_mut().push(result);
            "done".to_owned()
        }
    });
    (Plot::new(vec![json!({"answer": "noted", "steps": []}), delegate("drive")], script), got)
}

#[test]
fn stored_data_is_shown_to_the_user_and_then_does_arrive() {
    run(async {
        let (plot, got) = recalling();
        let mut town = Town::found(plot.answering(|_| Some(Choice::Once))).await;
        town.ann.ask("I have a cardio condition").await;
        let outcome = town.ann.ask("go").await;
        let prompt = town.ann.prompts.borrow()[0].clone();
        assert_eq!((prompt.flow.category, prompt.flow.to.as_str()), (Category::Data, "drive"));
        assert!(prompt.flow.args.to_string().contains("cardio"), "{:?}", prompt.flow.args);
        assert!(!prompt.flow.args.to_string().contains("Ann"), "only what was asked about");
        assert_eq!(got.borrow()[0], Ok(prompt.flow.args));
        assert!(outcome.flows[1].labels.iter().any(|label| label.starts_with("memory:")));
        assert!(!prompt.offers.contains(&Choice::Always));
    });
}

#[test]
fn refused_or_private_nothing_arrives() {
    run(async {
        let (plot, got) = recalling();
        let mut town = Town::found(plot).await;
        town.ann.ask("I have a cardio condition").await;
        town.ann.ask("go").await;
        assert!(got.borrow()[0].is_err());
        let mut private = town.ann.query("go");
        private.private = true;
        let (outcome, _) = town.ann.ask_with(private).await;
        assert_eq!((&got.borrow()[1], outcome.prompts), (&Ok(json!({"items": []})), 0));
    });
}

#[test]
fn the_planner_sees_the_users_own_words_and_never_what_an_app_said() {
    run(async {
        let script = well(|_, _| async { "INJECTED".to_owned() });
        let mut town = Town::found(Plot::new(vec![delegate("drive")], script)).await;
        town.ann.ask("first words").await;
        town.ann.ask("second words").await;
        let asked = town.gateway.asked.borrow();
        let said = serde_json::to_string(&asked[1].turns).unwrap();
        assert!(said.contains("first words") && said.contains("second words") && !said.contains("INJECTED"));
    });
}

#[test]
fn memory_is_shown_and_forgotten_and_a_private_query_leaves_nothing() {
    run(async {
        let script = well(|_, _| async { "an answer".to_owned() });
        let mut town = Town::found(Plot::new(vec![delegate("drive")], script)).await;
        let mut private = town.ann.query("secret words");
        private.private = true;
        town.ann.ask_with(private).await;
        town.ann.ask("public words").await;
        let shown = town.ann.admin(Admin::Memory { app: None }).await.unwrap().to_string();
        assert!(shown.contains("public words") && !shown.contains("secret words"), "{shown}");
        town.ann.admin(Admin::Forget { app: None }).await.unwrap();
        assert_eq!(town.ann.admin(Admin::Memory { app: None }).await.unwrap(), json!([]));
    });
}

#[test]
fn without_a_store_queries_are_answered_and_say_so_and_memory_comes_back_by_itself() {
    run(async {
        let mut plot = Plot::new(vec![json!({"answer": "42", "steps": []})], crate::town::plain());
        plot.redis = Redis::absent();
        let mut town = Town::found(plot).await;
        let outcome = town.ann.ask("first").await;
        assert_eq!(outcome.outcome, Ending::Answered);
        assert!(outcome.hint.unwrap().contains("conversation memory"));
        assert_eq!(town.ann.admin(Admin::Status).await.unwrap()["memory"]["up"], json!(false));
        town.redis.go_on();
        let outcome = town.ann.ask("second").await;
        assert_eq!((outcome.outcome, outcome.hint), (Ending::Answered, None));
        town.ann.ask("third").await;
        let asked = serde_json::to_string(&town.gateway.asked.borrow()[2].turns).unwrap();
        assert!(asked.contains("second"), "{asked}");
    });
}
