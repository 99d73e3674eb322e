//! Whole systems: started, asked, stopped, killed.
//! Carries: I-15.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::json;
use system_tests::program::eventually;
use system_tests::system::{Options, System, descendants, runs};

const FARES: &str =
    "Use both metro_hail and quick_ride to calculate the fares from 'Main Street' to 'Elm Avenue'";

#[test]
fn a_query_is_answered_from_the_results_of_every_app() {
    let system = System::start(Options::default());
    let asked = system.ask(FARES);
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    assert_eq!(asked.value("quick_ride.estimate_fare")["fare"], 57.0);
    assert!(asked.answer().contains("51.8") && asked.answer().contains("57"), "{}", asked.answer());
    assert_eq!(asked.outcome["prompts"], 0);
    assert_eq!(asked.outcome["model_calls"], json!({"planner": 1, "spokes": 1}));
    // What the outcome says is what the model's server counted.
    assert_eq!(system.model().calls(), json!({"planner": 1, "compose": 1}));
}

#[test]
fn a_plain_question_costs_one_call() {
    let system = System::start(Options::default());
    let asked = system.ask("What is the capital of France?");
    assert!(!asked.answer().is_empty());
    assert_eq!(asked.outcome["plan"], json!({"steps": []}));
    assert_eq!(asked.outcome["model_calls"], json!({"planner": 1, "spokes": 0}));
}

#[test]
fn one_query_needs_nothing_that_runs_already_and_leaves_nothing_behind() {
    let system = System::at_rest(Options::default());
    let asked = system.ask(FARES);
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    // A second run finds the state of the first.
    let keys = std::fs::read_dir(system.state().join("keys")).unwrap().count();
    system.ask(FARES).answer();
    assert_eq!(std::fs::read_dir(system.state().join("keys")).unwrap().count(), keys);
    let state = system.state().display().to_string();
    let left: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&state))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn nothing_is_left_behind_when_it_is_stopped_or_killed() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let system = System::start(Options::default());
        system.ask(FARES).answer();
        let processes = descendants(system.pid());
        // Control: broker, store, hub, gateways, host and spokes are there.
        assert!(6 <= processes.len(), "{processes:?}");
        nix::sys::signal::kill(Pid::from_raw(system.pid().cast_signed()), signal).unwrap();
        eventually(&format!("everything has ended after {signal}"), || {
            (!processes.iter().any(|pid| runs(*pid))).then_some(())
        });
    }
}

#[test]
fn a_model_that_fails_is_named_and_the_exit_code_says_so() {
    let system = System::start(Options::default().set("model.timeout", "4s"));
    system.model().fault(&json!({"kind": "error", "times": 50, "on": null}));
    let asked = system.ask("What is the capital of France?");
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert_eq!(asked.outcome["outcome"], "failed");
    let error = asked.outcome["error"].as_str().unwrap_or_default();
    assert!(error.contains("model server at 127.0.0.1"), "{asked:?}");
}

#[test]
fn no_output_contains_the_planted_secret() {
    const KEY: &str = "planted-key-of-the-model";
    let mut options = Options::default();
    options.env.push(("PLANTED".into(), KEY.into()));
    let mut system = System::start(options.set("model.api_key_env", "PLANTED"));
    let asked = system.ask(FARES);
    asked.answer();
    let mut everything = asked.stdout + &asked.stderr;
    for pid in descendants(system.pid()) {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        everything += &String::from_utf8_lossy(&environment);
        everything += &String::from_utf8_lossy(&arguments);
    }
    system.stop();
    let mut files = 0;
    let mut open = vec![system.state()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if let Ok(bytes) = std::fs::read(entry.path()) {
                files += 1;
                everything += &String::from_utf8_lossy(&bytes);
            }
        }
    }
    // Control: there was something to look at.
    assert!(10 < files && everything.contains("secgpt"), "{files} files");
    assert!(!everything.contains(KEY), "{}", around(&everything, KEY));
}

/// What stands around a find.
fn around(text: &str, word: &str) -> String {
    let at = text.find(word).unwrap_or_default();
    text[..at].chars().rev().take(200).collect::<String>().chars().rev().collect()
}
