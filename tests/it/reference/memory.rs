//! What the reference offers of memory.
//!
//! Answers: what is remembered, of whom, and for how long?
//! Carries: I-14.

use bus::message::user::{Admin, Choice};
use serde_json::{Value, json};
use system_tests::person::Person;
use system_tests::program::eventually;
use system_tests::system::{Options, System};

use super::APPOINTMENT;

fn remembered(person: &Person) -> Value {
    person.admin(&Admin::Memory { app: None }).unwrap()
}

/// What is remembered of the conversation with the hub.
fn of_hub(person: &Person) -> Value {
    let all = remembered(person);
    all.as_array().unwrap().iter().find(|kept| kept["of"] == "hub").cloned().unwrap_or_default()
}

#[test]
fn memory_full_history_is_kept_and_used() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask("What is the capital of France?", Choice::Deny);
    let outcome = person.ask("What did I ask before?", Choice::Deny);
    assert!(outcome.answer.unwrap().contains("capital of France"));
    let kept = eventually("both exchanges are kept", || {
        let kept = of_hub(&person);
        (kept["turns"].as_array().map_or(0, Vec::len) == 4).then_some(kept)
    });
    assert!(kept["turns"][1]["text"].as_str().unwrap().contains("Paris"), "{kept:#}");
    let shown = system.secgpt(&["memory", "show", "--user", "alice"]);
    assert!(shown.stdout.contains("capital of France"), "{shown:?}");
    // Of another user nothing is shown.
    let other = system.secgpt(&["memory", "show", "--user", "bob"]);
    assert!(other.stdout.contains("nothing is remembered"), "{other:?}");
}

#[test]
fn memory_entities_are_what_the_user_told() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(APPOINTMENT, Choice::Once);
    let entities = eventually("the particulars are known", || {
        let entities = of_hub(&person)["entities"].clone();
        entities["name"].is_string().then_some(entities)
    });
    assert_eq!((&entities["name"], &entities["city"]), (&json!("Robert Hill"), &json!("Irvine")));
}

#[test]
fn memory_a_summary_is_made_past_the_limit_after_the_answer() {
    let system = System::start(Options::default().set("memory.summary_token_limit", "40"));
    let mut person = Person::join(&system, "alice");
    for country in ["France", "Germany", "Italy"] {
        person.ask(&format!("For my geography class: what is the capital of {country}?"), Choice::Deny);
    }
    let summary = eventually("a summary", || {
        let summary = of_hub(&person)["summary"].clone();
        let text = summary.as_str().or_else(|| summary["text"].as_str()).unwrap_or_default().to_owned();
        text.contains("France").then_some(text)
    });
    assert!(summary.contains("The user said"), "{summary}");
    // The planner gets the summary in place of the turns that it covers.
    system.model().reset();
    person.ask("What is the capital of Spain?", Choice::Deny);
    let request = system.model().requests("planner")[0].to_string();
    assert!(request.contains("The user said"), "{request}");
    // The answer did not wait for it: neither is among its calls.
    let outcome = person.ask("What is the capital of Japan?", Choice::Deny);
    assert_eq!(outcome.model_calls, [("planner".to_owned(), 1), ("spokes".to_owned(), 0)].into());
}

#[test]
fn memory_is_per_app() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask("ask symptom_solver to say what a headache may be", Choice::Deny);
    person.ask("ask creative_muse to tell of a lighthouse", Choice::Deny);
    let all = eventually("both apps have a memory", || {
        let all = remembered(&person);
        let of = |name: &str| all.as_array().unwrap().iter().find(|kept| kept["of"] == name).cloned();
        Some((of("app:symptom_solver")?, of("app:creative_muse")?))
    });
    assert!(all.0.to_string().contains("headache") && !all.0.to_string().contains("lighthouse"));
    assert!(all.1.to_string().contains("lighthouse") && !all.1.to_string().contains("headache"));
    // One is forgotten, the other stays.
    assert_eq!(system.secgpt(&["memory", "forget", "symptom_solver", "--user", "alice"]).code, Some(0));
    let left = remembered(&person).to_string();
    assert!(!left.contains("app:symptom_solver") && left.contains("app:creative_muse"), "{left}");
}

#[test]
fn memory_ends_after_its_time() {
    let system = System::start(Options::default().set("memory.ttl", "2s"));
    let mut person = Person::join(&system, "alice");
    person.ask("What is the capital of France?", Choice::Deny);
    eventually("it is kept", || remembered(&person).to_string().contains("France").then_some(()));
    // Its time counts from the last use, and looking is a use.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert!(remembered(&person).to_string().contains("France"), "it ended too early");
    std::thread::sleep(std::time::Duration::from_millis(3500));
    let left = remembered(&person).to_string();
    assert!(!left.contains("France"), "{left}");
}
