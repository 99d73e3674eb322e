//! Bad input and faults, in whole systems: each ends in one true sentence, and the next query works.
//!
//! Answers: what does a person see on a bad day?
//! Never: waits without a deadline; a fault that leaves the next query without an answer is a failure.

mod apps;
mod crashes;
pub(crate) mod floods;
mod input;
mod machine;
mod messages;
mod model;
mod orphans;
mod people;
mod plans;
mod stores;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use system_tests::program::eventually;
use system_tests::stranger::{Function, writes};
use system_tests::system::{Asked, System, descendants};

/// Two apps that need no model.
const FARES: &str =
    "Use both metro_hail and quick_ride to calculate the fares from 'Main Street' to 'Elm Avenue'";

/// A question that the model answers alone.
const PLAIN: &str = "What is the capital of France?";

/// One step that always works.
fn metro(id: &str) -> Value {
    let points = json!({"start_point": "Main Street", "end_point": "Elm Avenue"});
    json!({"id": id, "kind": "call", "functionality": "metro_hail.estimate_fare", "args": points})
}

/// A step that calls without arguments.
fn call(id: &str, functionality: &str) -> Value {
    json!({"id": id, "kind": "call", "functionality": functionality, "args": {}})
}

/// A query that the scripted model answers with this plan, word for word.
fn planned(steps: &[Value]) -> String {
    format!("plan: {}", json!({"answer": null, "steps": steps}))
}

/// A functionality of the app `notes` that gives something to whoever `to` names.
fn keep() -> Function {
    let request = json!({"type": "object", "properties": {"to": {"type": "string"}}});
    Function { destinations: &["to"], request, ..writes("keep", json!({"echo": true})) }
}

/// A query whose plan has that done for somebody who does not stand in its words: there the address is written otherwise.
fn for_a_stranger() -> String {
    let step =
        json!({"id": "a", "kind": "call", "functionality": "notes.keep", "args": {"to": "dana@x.example"}});
    planned(&[step]).replace('@', "\\u0040")
}

/// Asks without a trace in memory, so that no model call follows the answer.
fn ask(system: &System, query: &str) -> (Asked, Duration) {
    let begun = Instant::now();
    let asked = system.ask_with(&["--private"], query);
    (asked, begun.elapsed())
}

/// What a query that failed says of it.
#[track_caller]
fn error_of(asked: &Asked) -> &str {
    assert_eq!((asked.code, &asked.outcome["outcome"]), (Some(1), &json!("failed")), "{asked:?}");
    asked.outcome["error"].as_str().unwrap_or_else(|| panic!("no sentence: {asked:?}"))
}

/// Why a functionality gave no result.
#[track_caller]
fn failure<'a>(asked: &'a Asked, functionality: &str) -> &'a str {
    let results = asked.outcome["results"].as_array().unwrap_or_else(|| panic!("no results: {asked:?}"));
    let result = results.iter().find(|result| result["functionality"] == functionality);
    result.and_then(|result| result["error"].as_str()).unwrap_or_else(|| panic!("no failure: {asked:?}"))
}

/// An answer, or a failure with a sentence: nothing else may come of a query.
#[track_caller]
fn ended(asked: &Asked) {
    let said = asked.outcome["error"].as_str().unwrap_or_default();
    assert!(asked.code == Some(0) || (asked.code == Some(1) && 20 < said.len()), "{asked:?}");
}

/// The fares are there, both.
#[track_caller]
fn works(system: &System) {
    let (asked, _) = ask(system, FARES);
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    assert_eq!(asked.value("quick_ride.estimate_fare")["fare"], 57.0);
}

/// As [`works`], as soon as what was restarted has found the others again.
fn works_again(system: &System) {
    eventually("a query is answered", || {
        let (asked, _) = ask(system, FARES);
        ended(&asked);
        (asked.code == Some(0)).then_some(())
    });
    works(system);
}

/// The process of a part of a running system, if it is there.
fn part(system: &System, name: &str) -> Option<u32> {
    descendants(system.pid()).into_iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        // Redis writes its socket behind its name.
        let program = String::from_utf8_lossy(program).into_owned();
        let program = program.split(' ').next().unwrap_or_default();
        program.rsplit('/').next() == Some(name)
    })
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("a process of ours");
}

/// Kills a part as a crash would.
fn crash(system: &System, name: &str) {
    let pid = part(system, name).unwrap_or_else(|| panic!("{name} runs"));
    send(pid, Signal::SIGKILL);
    eventually(&format!("{name} runs again"), || part(system, name).filter(|again| *again != pid));
}
