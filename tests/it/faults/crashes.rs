//! Our own processes, killed: restarted, and what was in flight ends in a sentence.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::program::eventually;
use system_tests::system::{Asked, Options, System};

use super::{FARES, PLAIN, ask, crash, ended, error_of, part, works_again};

/// Asks, and kills a part while the model is asked by `on`.
fn killed_during(system: &System, name: &str, on: &str) -> (Asked, Duration) {
    system.model().reset();
    system.model().fault(&json!({"kind": "hang", "times": 1, "on": on}));
    let outcome = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(system, if on == "planner" { PLAIN } else { FARES }).0);
        eventually("the model was asked", || (system.model().faults_met() == 1).then_some(()));
        let killed = Instant::now();
        crash(system, name);
        (asking.join().unwrap(), killed.elapsed())
    });
    system.model().clear_faults();
    outcome
}

#[test]
fn a_hub_that_is_killed_is_restarted_and_its_query_ends_in_a_sentence() {
    let system = System::start(Options::default());
    let (asked, took) = killed_during(&system, "hub", "planner");
    assert!(error_of(&asked).contains("nothing was heard of the hub"), "{asked:?}");
    assert!(asked.outcome["hint"].as_str().unwrap().contains("ask again"), "{asked:?}");
    // Its client asks after a second and a half; the supervisor has started another hub by then.
    assert!(took < Duration::from_secs(6), "{took:?}");
    works_again(&system);
}

#[test]
fn a_gateway_that_is_killed_is_restarted_and_its_query_ends_in_a_sentence() {
    let system = System::start(Options::default());
    let (asked, took) = killed_during(&system, "llm-gateway", "planner");
    assert!(error_of(&asked).contains("the model gateway does not answer"), "{asked:?}");
    assert!(took < Duration::from_secs(9), "{took:?}");
    works_again(&system);
    // A spoke notices it as well.
    let (asked, took) = killed_during(&system, "llm-gateway", "compose");
    assert!(asked.answer().contains("nothing was heard of the model gateway"), "{asked:?}");
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    assert!(took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn a_host_that_is_killed_is_restarted_and_its_query_ends_in_a_sentence() {
    let system = System::start(Options::default());
    let (asked, took) = killed_during(&system, "spoke-host", "compose");
    ended(&asked);
    // The results were there before: they are the answer, with the reason why there is no better one.
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    assert!(asked.answer().contains("could not put the results together"), "{asked:?}");
    assert!(took < Duration::from_secs(9), "{took:?}");
    works_again(&system);
}

#[test]
fn a_part_that_ends_too_often_ends_the_whole_with_a_sentence() {
    let system = System::start(Options::default());
    let pid = system.pid();
    for _ in 0..5 {
        crash(&system, "llm-gateway");
    }
    let all = system_tests::system::descendants(pid);
    let last = eventually("it runs again", || part(&system, "llm-gateway"));
    super::send(last, Signal::SIGKILL);
    eventually("all has ended", || {
        (!std::iter::once(&pid).chain(&all).any(|pid| system_tests::system::runs(*pid))).then_some(())
    });
    let said = system.up_log();
    assert!(
        said.contains("llm-gateway") && said.contains("more than 5 restarts in 30 s did not help"),
        "{said}"
    );
    // What it left does not stand in the way of the next.
    let mut system = system;
    system.kill();
    system.up();
    super::works(&system);
}
