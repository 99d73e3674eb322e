//! The store and the broker, killed under load.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bus::message::user::{Admin, Choice, Ending};
use serde_json::Value;
use system_tests::person::Person;
use system_tests::program::eventually;
use system_tests::stranger::Strangers;
use system_tests::system::{Asked, Options, System};

use super::{FARES, crash, ended, for_a_stranger, keep, part, works_again};

/// What was said and permitted before the fault.
struct Before {
    system: System,
    memory: Value,
}

impl Before {
    fn new() -> Self {
        let strangers = Strangers::new().with("notes", "", &[keep()], "");
        let options = Options { delay_ms: 150, ..strangers.install(Options::default()) };
        let system = System::start(options);
        let mut ann = Person::join(&system, "ann");
        let outcome = ann.ask(&for_a_stranger(), Choice::Always);
        assert_eq!((outcome.outcome, outcome.prompts), (Ending::Answered, 1), "{outcome:?}");
        let memory = eventually("it is remembered", || {
            let memory = ann.admin(&Admin::Memory { app: None }).unwrap();
            memory.to_string().contains("notes.keep").then_some(memory)
        });
        // The folder of the app is read at each start of its spoke.
        std::mem::forget(strangers);
        Self { system, memory }
    }

    /// Nothing that was stored is gone: each turn is still there, and what was permitted asks no more.
    fn is_kept(&self) {
        let mut ann = Person::join(&self.system, "ann");
        let memory = ann.admin(&Admin::Memory { app: None }).unwrap();
        let turns = |memory: &Value| memory[0]["turns"].as_array().cloned().unwrap_or_default();
        let (old, new) = (turns(&self.memory), turns(&memory));
        assert!(!old.is_empty() && new.starts_with(&old), "{old:?} is not in {new:?}");
        let grants = ann.admin(&Admin::Grants).unwrap();
        assert!(grants.to_string().contains("notes.keep"), "{grants}");
        let outcome = ann.ask(&for_a_stranger(), Choice::Deny);
        assert_eq!((outcome.outcome, outcome.prompts), (Ending::Answered, 0), "{outcome:?}");
    }
}

/// Those who ask stop, even if the fault could not be made.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks without a pause from several sides while `fault` happens, and for a moment longer. Each query must come to an
/// end; how many were answered is returned.
fn under_load(system: &System, fault: impl FnOnce()) -> (usize, Vec<Asked>) {
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let all: Vec<Asked> = std::thread::scope(|scope| {
        let askers: Vec<_> = ["bob", "cyd", "dan"]
            .into_iter()
            .map(|user| {
                let (stop, asked) = (&stop, &asked);
                scope.spawn(move || {
                    let mut all = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        all.push(system.ask_with(&["--user", user], FARES));
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    all
                })
            })
            .collect();
        let enough = Enough(&stop);
        eventually("some are answered", || (2 < asked.load(Ordering::Relaxed)).then_some(()));
        fault();
        std::thread::sleep(Duration::from_millis(700));
        drop(enough);
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
    });
    for asked in &all {
        ended(asked);
        let took = asked.outcome["elapsed_ms"].as_u64().unwrap_or_default();
        assert!(took < 15_000, "{asked:?}");
    }
    (all.iter().filter(|asked| asked.code == Some(0)).count(), all)
}

#[test]
fn a_store_that_is_killed_under_load_costs_no_answer_and_no_memory() {
    let before = Before::new();
    let (answered, all) = under_load(&before.system, || crash(&before.system, "redis-server"));
    assert_eq!(answered, all.len(), "a query needs no memory to be answered: {all:#?}");
    eventually("memory is back", || {
        before.system.secgpt(&["memory", "show", "--user", "ann"]).code.filter(|code| *code == 0)
    });
    works_again(&before.system);
    before.is_kept();
}

#[test]
fn a_broker_that_is_killed_under_load_costs_the_queries_in_flight_and_no_memory_and_no_grant() {
    let before = Before::new();
    let hub = part(&before.system, "hub");
    let (answered, all) = under_load(&before.system, || crash(&before.system, "nats-server"));
    assert!(0 < answered, "{all:#?}");
    works_again(&before.system);
    before.is_kept();
    assert_eq!(part(&before.system, "hub"), hub, "the hub finds the broker again by itself");
}
