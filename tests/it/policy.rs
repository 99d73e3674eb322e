//! Rules, as somebody meets them who has just played a case study or was asked the same thing twice.
//!
//! Answers: is every flow explained, and does a suggestion that was accepted spare the next question?

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use system_tests::system::{Asked, Options, System};

/// A draft to somebody who does not stand in the query: the address is written otherwise there.
fn draft(to: &str) -> String {
    let to = to.replace('@', "\\u0040");
    format!(
        r#"plan: {{"answer":null,"steps":[{{"id":"s1","kind":"call","functionality":"mail.create_draft","args":{{"to":["{to}"],"subject":"Hi","body":"Hello"}},"after":[]}}]}}"#
    )
}

/// What `policy explain --json` says, in a list.
#[track_caller]
fn explained(system: &System) -> Vec<Value> {
    let asked = system.secgpt(&["policy", "explain", "--json"]);
    assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    asked.outcome.as_array().cloned().unwrap_or_default()
}

#[test]
fn every_flow_of_a_case_study_is_explained_by_its_rule_its_labels_and_the_words_of_the_plan() {
    let system = System::at_rest(Options::default());
    for (study, theft, rule) in
        [("2", ("mail", "mail.send"), "irreversible"), ("3", ("memory", "travel_mate"), "stored-data")]
    {
        let played = system.secgpt(&["case-study", study, "--json"]);
        assert_eq!(played.code, Some(0), "{}", played.stderr);
        let isolated = &played.outcome["plays"][0]["outcomes"];
        let flows: Vec<&Value> = isolated
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|outcome| outcome["flows"].as_array().unwrap())
            .collect();
        let explained = explained(&system);
        let told: Vec<&Value> = explained.iter().map(|one| &one["flow"]).collect();
        assert_eq!(told, flows, "all of them, in their order");
        for one in &explained {
            assert!(one["rule"]["text"].as_str().is_some_and(|text| text.contains("action")), "{one:#}");
            assert!(one["flow"]["labels"].as_array().is_some_and(|labels| !labels.is_empty()), "{one:#}");
            assert!(one["plan"].as_str().is_some_and(|plan| plan.contains(r#""id":"s1""#)), "{one:#}");
            assert!(one["changes"].as_array().is_some_and(|changes| !changes.is_empty()), "{one:#}");
        }
        let stolen = explained
            .iter()
            .find(|one| {
                (one["flow"]["from"].as_str(), one["flow"]["to"].as_str()) == (Some(theft.0), Some(theft.1))
            })
            .unwrap();
        assert_eq!(stolen["rule"]["id"], rule, "{stolen:#}");
        // As a person reads it.
        let number = stolen["number"].to_string();
        let text = system.secgpt(&["policy", "explain", "--flow", &number]).stdout;
        for part in [
            &*format!("flow {number}: {} → {}", theft.0, theft.1),
            "decision   deny by user",
            "not in the plan; asked for during {",
            &*format!("@id(\"{rule}\")"),
            "what would change it",
        ] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }
    let list = system.secgpt(&["policy", "explain", "--list"]).stdout;
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(list.lines().next().is_some_and(|line| line.contains("for study3-")), "the newest first: {list}");
    // Nothing is learned from what nobody wanted.
    let suggested = system.secgpt(&["policy", "suggest", "--json"]);
    assert_eq!(suggested.outcome, json!([]), "{}", suggested.stdout);
}

/// Asks for a draft, as somebody who says yes once.
#[track_caller]
fn drafted(system: &System, to: &str, prompts: u64, by: &str) {
    let asked = system.ask_with(&["--consent", "once"], &draft(to));
    assert_eq!(asked.outcome["outcome"], "answered", "{:#}", asked.outcome);
    let flow = &asked.outcome["flows"][0];
    assert_eq!(
        (asked.outcome["prompts"].as_u64(), flow["by"].as_str()),
        (Some(prompts), Some(by)),
        "{flow:#}"
    );
}

#[track_caller]
fn accepts_the_first(system: &System, of: usize) -> Asked {
    let suggested = system.secgpt(&["policy", "suggest", "--json"]);
    assert_eq!(suggested.outcome.as_array().map(Vec::len), Some(of), "{}", suggested.stdout);
    let accepted = system.secgpt(&["policy", "suggest", "--accept", "1"]);
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    let check = system.secgpt(&["policy", "check"]);
    assert_eq!(check.code, Some(0), "{} {}", check.stdout, check.stderr);
    accepted
}

#[test]
fn a_suggestion_that_was_accepted_spares_the_next_like_question_and_no_other() {
    let mut system = System::start(Options::default());
    drafted(&system, "erin@x.example", 1, "user");
    drafted(&system, "erin@x.example", 1, "user");
    let accepted = accepts_the_first(&system, 1);
    assert!(accepted.stdout.contains("accepted-mail-create_draft is written to"), "{}", accepted.stdout);
    // A hub that is at work has the rules that it started with.
    drafted(&system, "erin@x.example", 1, "user");
    system.stop();
    system.up();
    drafted(&system, "erin@x.example", 0, "policy:accepted-mail-create_draft");
    // Control: another receiver is asked about, and another rule comes beside the first.
    drafted(&system, "mallory@x.example", 1, "user");
    let accepted = accepts_the_first(&system, 1);
    assert!(accepted.stdout.contains("accepted-mail-create_draft-2"), "{}", accepted.stdout);
    let rules = std::fs::read_to_string(system.state().join("policies/accepted.cedar")).unwrap();
    assert_eq!(rules.matches("permit (").count(), 2, "{rules}");
    system.stop();
    system.up();
    drafted(&system, "mallory@x.example", 0, "policy:accepted-mail-create_draft-2");
}

#[test]
fn what_was_refused_is_not_suggested_and_a_file_with_a_fault_is_left_as_it_is() {
    let system = System::start(Options::default());
    drafted(&system, "erin@x.example", 1, "user");
    // Where nobody is there, nobody refuses.
    let unattended = system.ask(&draft("erin@x.example"));
    assert_eq!(unattended.code, Some(3));
    let own = system.state().join("own.cedar");
    std::fs::write(&own, "permit (principal").unwrap();
    let accepted = system.secgpt(&["policy", "suggest", "--accept", "1", "--out", own.to_str().unwrap()]);
    assert_eq!(accepted.code, Some(1), "{}", accepted.stdout);
    assert!(accepted.stderr.contains("nothing is written"), "{}", accepted.stderr);
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "permit (principal");
    let none = system.secgpt(&["policy", "suggest", "--accept", "2"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("there is no suggestion 2"), "{}", none.stderr);
    // A person says no, once: nothing of the kind is suggested.
    let mut chat = system
        .command(&["chat", "--consent", "ask"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let typed = format!("{}\ndeny\n/exit\n", draft("erin@x.example"));
    chat.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    assert!(chat.wait().is_ok());
    let suggested = system.secgpt(&["policy", "suggest", "--json"]);
    assert_eq!(suggested.outcome, json!([]), "{}", suggested.stdout);
}
