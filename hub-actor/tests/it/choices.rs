//! Several apps can do it, and the user named none.

use std::rc::Rc;
use std::time::Duration;

use bus::id::{FunctionName, Functionality, SessionId};
use bus::message::user::{Admin, AppChoice, Chosen, Ending, Outcome};
use serde_json::json;

use crate::client::Client;
use crate::town::{Plot, Town, calls, plain, run};

/// Every plan is for `drive`; `vault` can do the same.
fn plot() -> Plot {
    let plan = calls(&[("drive.read", "it")]);
    Plot { vault: true, ..Plot::new(vec![plan], plain()) }
}

/// Asks, picks, and returns what was asked and what came of it.
async fn pick(client: &mut Client, app: Option<&str>, keep: bool) -> (AppChoice, Outcome) {
    let query = client.query("read it");
    client.send(&query).await.unwrap();
    let choice = client.next_choice().await;
    client.choose(&choice, app, keep).await.unwrap();
    (choice, client.await_end(&query.id).await.0)
}

fn by(outcome: &Outcome) -> (&str, &str) {
    match outcome.choices.as_slice() {
        [Chosen { app, by, .. }] => (app.as_ref().map_or("", |app| app.as_str()), by),
        other => panic!("{other:?}"),
    }
}

fn ran(outcome: &Outcome) -> Vec<&str> {
    outcome.results.iter().map(|result| result.app.as_str()).collect()
}

#[test]
fn the_user_is_asked_once_in_a_conversation_and_no_model_is_asked_for_it() {
    run(async {
        let mut town = Town::found(plot()).await;
        let (choice, outcome) = pick(&mut town.ann, Some("vault"), false).await;
        let offered: Vec<_> = choice.offers.iter().map(|offer| offer.app.as_str()).collect();
        assert_eq!((offered, &choice.args), (vec!["drive", "vault"], &json!({"text": "it"})));
        assert_eq!((ran(&outcome), by(&outcome)), (vec!["vault"], ("vault", "user")));
        assert_eq!((outcome.model_calls["planner"], outcome.prompts), (1, 0));
        // The plan that the user sees, and conformance is judged by, is the chosen one.
        assert_eq!(outcome.plan["steps"][0]["functionality"], "vault.read");
        assert!(outcome.flows.iter().all(|flow| flow.expected));
        let again = town.ann.ask("read it").await;
        assert_eq!((ran(&again), by(&again)), (vec!["vault"], ("vault", "session")));
        // Another conversation is asked anew, and so is another user.
        town.ann.session = SessionId::fresh();
        assert_eq!(by(&pick(&mut town.ann, Some("drive"), false).await.1), ("drive", "user"));
        let mut bob = Client::join(&town.broker, "bob", Rc::new(|_| None)).await;
        assert_eq!(by(&pick(&mut bob, Some("vault"), false).await.1), ("vault", "user"));
    });
}

#[test]
fn nobody_is_asked_when_the_query_names_an_app() {
    run(async {
        let mut town = Town::found(plot()).await;
        for query in ["read it from my drive", "read it from Drive or the vault"] {
            let outcome = town.ann.ask(query).await;
            assert_eq!((ran(&outcome), outcome.choices.len()), (vec!["drive"], 0), "{query}");
        }
    });
}

#[test]
fn a_default_is_stored_listed_kept_over_a_restart_and_cleared() {
    run(async {
        let mut town = Town::found(plot()).await;
        let (_, outcome) = pick(&mut town.ann, Some("vault"), true).await;
        assert!(outcome.choices[0].kept);
        let listed = town.ann.admin(Admin::Defaults).await.unwrap();
        assert_eq!((&listed[0]["functionality"], &listed[0]["app"]), (&json!("read"), &json!("vault")));
        assert_eq!(town.ann.admin(Admin::Grants).await.unwrap(), json!([]), "a default permits nothing");
        town.restart_hub().await;
        town.ann.session = SessionId::fresh();
        assert_eq!(by(&town.ann.ask("read it").await), ("vault", "default"));
        // Set by hand, it counts at once, whatever was chosen in this conversation.
        let functionality = Functionality::parse("drive.read").unwrap();
        town.ann.admin(Admin::SetDefault { functionality }).await.unwrap();
        assert_eq!(by(&town.ann.ask("read it").await), ("drive", "default"));
        let name = FunctionName::parse("read").unwrap();
        town.ann.admin(Admin::ClearDefault { name: name.clone() }).await.unwrap();
        assert!(town.ann.admin(Admin::ClearDefault { name }).await.is_err());
        town.restart_hub().await;
        assert_eq!(by(&pick(&mut town.ann, Some("vault"), false).await.1), ("vault", "user"));
        let nothing = Functionality::parse("drive.sing").unwrap();
        assert!(town.ann.admin(Admin::SetDefault { functionality: nothing }).await.is_err());
    });
}

#[test]
fn with_nobody_there_a_default_counts_and_else_it_is_done_as_planned() {
    run(async {
        let mut town = Town::found(plot()).await;
        let unattended =
            |town: &Town| bus::message::user::Query { attended: false, ..town.ann.query("read it") };
        let query = unattended(&town);
        let outcome = town.ann.ask_with(query).await.0;
        assert_eq!((ran(&outcome), by(&outcome)), (vec!["drive"], ("drive", "unattended")));
        let functionality = Functionality::parse("vault.read").unwrap();
        town.ann.admin(Admin::SetDefault { functionality }).await.unwrap();
        let query = unattended(&town);
        assert_eq!(by(&town.ann.ask_with(query).await.0), ("vault", "default"));
    });
}

#[test]
fn without_an_answer_in_time_it_is_done_as_planned_and_a_late_answer_is_told_so() {
    run(async {
        let mut town = Town::found(Plot { prompt_timeout: Duration::from_millis(300), ..plot() }).await;
        let query = town.ann.query("read it");
        town.ann.send(&query).await.unwrap();
        let choice = town.ann.next_choice().await;
        let outcome = town.ann.await_end(&query.id).await.0;
        assert_eq!((ran(&outcome), by(&outcome)), (vec!["drive"], ("drive", "timeout")));
        let late = town.ann.choose(&choice, Some("vault"), true).await.unwrap_err();
        assert!(late.contains("no longer open"), "{late}");
        assert_eq!(town.ann.admin(Admin::Defaults).await.unwrap(), json!([]));
    });
}

#[test]
fn none_of_them_ends_the_query_and_nothing_runs() {
    run(async {
        let mut town = Town::found(plot()).await;
        let (_, outcome) = pick(&mut town.ann, None, false).await;
        assert_eq!((outcome.outcome, ran(&outcome).len(), outcome.flows.len()), (Ending::Failed, 0, 0));
        assert!(outcome.error.unwrap().contains("none of the apps"));
        let started = town.apps_started();
        assert!(!started.iter().any(|app| ["drive", "vault"].contains(&app.as_str())), "{started:?}");
    });
}

#[test]
fn only_the_user_who_was_asked_may_choose_and_only_what_was_offered() {
    run(async {
        let mut town = Town::found(plot()).await;
        let query = town.ann.query("read it");
        town.ann.send(&query).await.unwrap();
        let choice = town.ann.next_choice().await;
        let bob = Client::join(&town.broker, "bob", Rc::new(|_| None)).await;
        assert!(bob.choose(&choice, Some("vault"), false).await.is_err());
        let foreign = town.ann.choose(&choice, Some("mail"), false).await.unwrap_err();
        assert!(foreign.contains("mail was not offered"), "{foreign}");
        town.ann.choose(&choice, Some("vault"), false).await.unwrap();
        assert!(town.ann.choose(&choice, Some("drive"), false).await.is_err(), "the first answer counts");
        assert_eq!(by(&town.ann.await_end(&query.id).await.0), ("vault", "user"));
    });
}
