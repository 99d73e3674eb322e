//! Everything as a user without rights: root runs the same tests twice.
//!
//! Answers: does the system need root for anything?

use serde_json::json;
use system_tests::system::{Options, System};

#[test]
fn an_ordinary_user_is_answered_by_isolated_apps() {
    let system = System::start(Options::default().run_by_an_ordinary_user());
    let asked = system.ask(super::reference::FARES);
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    assert_eq!(asked.value("quick_ride.estimate_fare")["fare"], 57.0);
    // Control: it is not root that runs it.
    let status = std::fs::read_to_string(format!("/proc/{}/status", system.pid())).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(!uid.split_whitespace().any(|id| id == "0"), "{uid}");
}

#[test]
fn an_ordinary_user_sees_the_case_study_end_well() {
    let system = System::at_rest(Options::default().run_by_an_ordinary_user());
    let asked = system.secgpt(&["case-study", "1", "--json"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let verdicts: Vec<_> = asked.outcome["plays"]
        .as_array()
        .unwrap()
        .iter()
        .map(|play| (play["system"].clone(), play["verdict"]["attack_succeeded"].clone()))
        .collect();
    assert_eq!(verdicts, [(json!("isolated"), json!(false)), (json!("baseline"), json!(true))]);
}
