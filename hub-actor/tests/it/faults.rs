//! What goes wrong, and the sentence that it ends in.

use std::time::Duration;

use bus::acl::Role;
use bus::id::{HostId, WorkId};
use bus::identity::OwnKey;
use bus::message::audit::What;
use bus::message::chat::Turn;
use bus::message::host::{SignRequest, Signed, SpawnFailure};
use bus::message::task::{Failure, FailureCode, Work};
use bus::message::user::{Admin, Ending, Query};
use bus::subject::{Op, Subject};
use serde_json::{Value, json};

use crate::peers::{PATIENCE, Script, Spoke, Starts, script};
use crate::town::{Plot, Town, calls, plain, run};

/// `drive` works; `mail` does this instead.
fn bad_mail<F: Future<Output = ()> + 'static>(act: impl Fn(Spoke, WorkId) -> F + 'static) -> Script {
    let good = plain();
    let act = std::rc::Rc::new(act);
    script(move |spoke, task| {
        let (good, act) = (std::rc::Rc::clone(&good), std::rc::Rc::clone(&act));
        async move { if spoke.app() == "mail" { act(spoke, task.id).await } else { good(spoke, task).await } }
    })
}

fn both() -> Value {
    calls(&[("mail.newest", "one"), ("drive.read", "two")])
}

/// The honest app's result is there, and this is said of the other.
#[track_caller]
fn said_of_mail(outcome: &bus::message::user::Outcome, words: &str) {
    assert_eq!(outcome.outcome, Ending::Answered, "{outcome:?}");
    assert_eq!(outcome.results[1].value["text"], json!("drive says two"));
    let error = outcome.results[0].error.as_deref().unwrap();
    assert!(error.contains(words), "{error:?}");
    assert!(outcome.answer.as_deref().unwrap().contains(words), "{:?}", outcome.answer);
}

#[test]
fn a_failing_app_does_not_stop_another() {
    run(async {
        let bad = bad_mail(|spoke, task| async move {
            spoke.done(&task, Err(Failure::new(FailureCode::App, "the mailbox is locked"))).await;
        });
        let mut town = Town::found(Plot::new(vec![both()], bad)).await;
        said_of_mail(&town.ann.ask("both").await, "the mailbox is locked");
    });
}

#[test]
fn a_result_that_does_not_fit_its_schema_is_not_handed_on() {
    run(async {
        let bad = bad_mail(|spoke, task| async move { spoke.done(&task, Ok(json!({"text": 5}))).await });
        let mut town = Town::found(Plot::new(vec![both()], bad)).await;
        said_of_mail(&town.ann.ask("both").await, "does not fit its response schema");
    });
}

#[test]
fn a_result_that_is_too_large_is_not_handed_on() {
    run(async {
        let bad = bad_mail(|spoke, task| async move {
            spoke.done(&task, Ok(json!({"text": "x".repeat(300 << 10)}))).await;
        });
        let mut town = Town::found(Plot::new(vec![both()], bad)).await;
        said_of_mail(&town.ann.ask("both").await, "more than the 262144 allowed");
    });
}

#[test]
fn an_app_that_is_killed_is_noticed_at_once_and_the_system_call_is_named() {
    run(async {
        let bad = bad_mail(|spoke, _| async move {
            spoke.ends("killed by SIGSYS (system call 41, socket)", true).await;
        });
        let mut town = Town::found(Plot::new(vec![both()], bad)).await;
        let outcome = town.ann.ask("both").await;
        said_of_mail(&outcome, "system call 41, socket");
        assert!(outcome.elapsed_ms < 3000);
        town.audited(|what| matches!(what, What::Killed { why, .. } if why.contains("socket"))).await;
        // The next query starts another.
        town.ann.ask("both").await;
        assert_eq!(town.apps_started().iter().filter(|app| *app == "mail").count(), 2);
    });
}

#[test]
fn a_second_answer_is_dropped_and_recorded() {
    run(async {
        let bad = bad_mail(|spoke, task| async move {
            spoke.done(&task, Ok(json!({"text": "first"}))).await;
            spoke.done(&task, Ok(json!({"text": "second"}))).await;
        });
        let mut town = Town::found(Plot::new(vec![both()], bad)).await;
        let outcome = town.ann.ask("both").await;
        assert_eq!(outcome.results[0].value["text"], json!("first"));
        town.dropped("this spoke has no such task, or it has ended").await;
    });
}

#[test]
fn a_host_that_was_not_asked_cannot_have_a_key_signed_nor_twice() {
    run(async {
        let mut plot = Plot::new(vec![both()], plain());
        plot.hosts = vec![Starts::Well];
        let mut town = Town::found(plot).await;
        town.ann.ask("both").await;
        let spawn = town.hosts[0].spawned.borrow()[0].id.clone();
        let request = SignRequest { spawn, public_key: OwnKey::generate().public() };
        for (name, bus) in [("a", town.hosts[0].bus.clone()), ("evil", town.stranger("evil").await)] {
            let subject = Subject::HostOut { host: HostId::parse(name).unwrap(), op: Op::SIGN };
            let signed: Signed = bus.request(&subject, &request, None, PATIENCE).await.unwrap();
            assert!(signed.jwt.is_err(), "{name}");
        }
        town.audited(|what| matches!(what, What::Dropped { subject, .. } if subject.ends_with("out.sign")))
            .await;
    });
}

#[test]
fn a_spoke_that_is_not_vouched_for_gets_no_work_and_the_layer_is_named() {
    run(async {
        let mut plot = Plot::new(vec![both()], plain());
        plot.hosts = vec![Starts::Without("seccomp")];
        let mut town = Town::found(plot).await;
        let outcome = town.ann.ask("both").await;
        assert_eq!(outcome.outcome, Ending::Failed);
        assert!(outcome.error.unwrap().contains("does not vouch for seccomp"));
        town.stopped("does not vouch for seccomp").await;
    });
}

#[test]
fn a_spoke_that_cannot_be_started_says_which_layer_is_missing_and_what_to_do() {
    run(async {
        let failure = SpawnFailure {
            detail: "user namespaces are switched off".into(),
            hint: Some("load the AppArmor profile in deploy/".into()),
            elsewhere: false,
        };
        let mut plot = Plot::new(vec![both()], plain());
        plot.hosts = vec![Starts::Fails(failure)];
        let mut town = Town::found(plot).await;
        let error = town.ann.ask("both").await.error.unwrap();
        assert!(error.contains("user namespaces are switched off; load the AppArmor profile"), "{error}");
    });
}

#[test]
fn another_host_is_tried_when_one_cannot() {
    run(async {
        let failure = SpawnFailure { detail: "no room".into(), hint: None, elsewhere: true };
        let mut plot = Plot::new(vec![both()], plain());
        plot.hosts = vec![Starts::Fails(failure), Starts::Well];
        let mut town = Town::found(plot).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let outcome = town.ann.ask("both").await;
        assert_eq!(outcome.outcome, Ending::Answered, "{outcome:?}");
        assert!(outcome.results.iter().all(|result| result.error.is_none()));
    });
}

#[test]
fn a_host_that_falls_silent_takes_its_tasks_with_it() {
    run(async {
        let hangs = script(|_, _| std::future::pending());
        let mut town = Town::found(Plot::new(vec![calls(&[("mail.newest", "x")])], hangs)).await;
        let query = town.ann.query("x");
        town.ann.send(&query).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        town.hosts[0].falls_silent();
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.outcome, Ending::Failed);
        assert!(outcome.error.unwrap().contains("has not been heard of"));
    });
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_mended_once() {
    run(async {
        let plans = vec![calls(&[("bank.pay", "x")]), both()];
        let mut town = Town::found(Plot::new(plans, plain())).await;
        let outcome = town.ann.ask("both").await;
        assert_eq!((outcome.outcome, outcome.model_calls["planner"]), (Ending::Answered, 2));
        let last = town.gateway.asked.borrow()[1].turns.last().cloned();
        assert!(matches!(last, Some(Turn::User { text }) if text.contains("bank.pay")));
    });
}

#[test]
fn a_model_that_gives_no_plan_twice_is_named_as_the_cause() {
    run(async {
        let mut town = Town::found(Plot::new(vec![json!("I would rather not")], plain())).await;
        let outcome = town.ann.ask("both").await;
        assert_eq!((outcome.outcome, outcome.model_calls["planner"]), (Ending::Failed, 2));
        assert!(outcome.error.unwrap().contains("no plan that can be carried out"));
    });
}

#[test]
fn when_the_answer_cannot_be_composed_the_results_are_the_answer() {
    run(async {
        let good = plain();
        let bad = script(move |spoke, task| {
            let good = std::rc::Rc::clone(&good);
            async move {
                if matches!(task.work, Work::Converse { .. }) {
                    spoke.done(&task.id, Err(Failure::new(FailureCode::Model, "the server is busy"))).await;
                } else {
                    good(spoke, task).await;
                }
            }
        });
        let mut town = Town::found(Plot::new(vec![both()], bad)).await;
        let outcome = town.ann.ask("both").await;
        let answer = outcome.answer.unwrap();
        assert!(
            answer.contains("the server is busy")
                && answer.contains("mail.newest: {\"text\":\"mail says one\"}")
        );
        assert_eq!(outcome.outcome, Ending::Answered);
    });
}

#[test]
fn one_query_at_a_time_in_a_session_and_it_can_be_cancelled() {
    run(async {
        let hangs = script(|_, _| std::future::pending());
        let mut town = Town::found(Plot::new(vec![calls(&[("mail.newest", "x")])], hangs)).await;
        let query = town.ann.query("x");
        town.ann.send(&query).await.unwrap();
        let busy = town.ann.send(&town.ann.query("y")).await.unwrap_err();
        assert!(busy.contains("still working on its last query"));
        tokio::time::sleep(Duration::from_millis(300)).await;
        town.ann.cancel(query.id.clone()).await;
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.error.as_deref(), Some("the query was cancelled"));
        assert_eq!(
            town.ann.send(&town.ann.query(&"x".repeat(70_000))).await.unwrap_err(),
            "the query has 70000 bytes; at most 65536 are taken"
        );
        assert!(town.ann.send(&Query { text: " ".into(), ..town.ann.query("") }).await.is_err());
    });
}

#[test]
fn a_hub_that_stops_tells_every_query_and_stops_every_spoke() {
    run(async {
        let hangs = script(|_, _| std::future::pending());
        let mut town = Town::found(Plot::new(vec![calls(&[("mail.newest", "x")])], hangs)).await;
        let query = town.ann.query("x");
        town.ann.send(&query).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let begun = std::time::Instant::now();
        town.hub.take().unwrap().stop().await;
        // What was just said is taken in first, for a moment; a hang would last as long as the query's limit.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.error.as_deref(), Some("secgpt is stopping"));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(town.hosts[0].stopped.borrow().iter().any(|stop| stop.spoke.app.as_str() == "mail"));
    });
}

#[test]
fn a_broker_that_is_restarted_ends_the_query_in_flight_and_the_next_one_works() {
    run(async {
        let good = plain();
        let first = std::rc::Rc::new(std::cell::Cell::new(true));
        let waits = std::rc::Rc::clone(&first);
        let once = script(move |spoke, task| {
            let hangs = spoke.app() == "mail" && waits.replace(false);
            let good = std::rc::Rc::clone(&good);
            async move { if hangs { std::future::pending().await } else { good(spoke, task).await } }
        });
        let mut town = Town::found(Plot::new(vec![calls(&[("mail.newest", "x")])], once)).await;
        let query = town.ann.query("x");
        town.ann.send(&query).await.unwrap();
        // In flight is it when the app has its task, however long the machine takes to get there.
        while first.get() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        town.broker.restart(Duration::from_millis(200));
        let (outcome, _) = town.ann.await_end(&query.id).await;
        assert_eq!(outcome.outcome, Ending::Failed);
        assert!(outcome.error.unwrap().contains("the connection to the bus broke"));
        // Hub, gateway, host and user find the broker again each at its own pace. A query meanwhile ends in a sentence.
        loop {
            match town.ann.try_ask("x").await {
                Some(outcome) if outcome.outcome == Ending::Answered => break,
                Some(outcome) => assert!(outcome.error.is_some_and(|error| !error.is_empty())),
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn without_a_gateway_the_query_ends_in_a_sentence() {
    run(async {
        let mut town = Town::found(Plot::new(vec![both()], plain())).await;
        town.gateway.leave().await;
        let outcome = town.ann.ask("both").await;
        assert_eq!(outcome.outcome, Ending::Failed);
        assert!(outcome.error.unwrap().contains("the model gateway does not answer"));
    });
}

#[test]
fn status_and_apps_are_shown() {
    run(async {
        let mut town = Town::found(Plot::new(vec![both()], plain())).await;
        town.ann.ask("both").await;
        let status = town.ann.admin(Admin::Status).await.unwrap();
        assert_eq!((&status["hosts"][0]["host"], &status["memory"]["up"]), (&json!("a"), &json!(true)));
        let apps = town.ann.admin(Admin::Apps).await.unwrap();
        assert_eq!(apps.as_array().unwrap().len(), 3);
        drop(town.broker.bus(&Role::Tap).await);
    });
}
