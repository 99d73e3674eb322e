//! What a person adds, changes and removes while secgpt runs counts at once, and nothing else does.

use std::fs;

use serde_json::Value;
use system_tests::scratch::Scratch;
use system_tests::system::System;
use system_tests::web_server::answer;

use super::remote::{Far, honest};
use super::{object, said, server, system};

const QUERY: &str = "Use clock.now with zone = Oslo";

/// What the hub that runs says of an app; null if it does not have it.
fn running(system: &System, app: &str) -> Value {
    object(&system.secgpt(&["--json", "apps", "show", app]))["running"].clone()
}

#[test]
fn a_program_is_taken_up_changed_and_let_go_without_a_new_start() {
    let (mut system, scratch) = (system(), Scratch::new("clock"));
    system.up();
    let (file, command) = server(&scratch, &said("The time of a zone."));
    let fails = |system: &System| !system.ask(QUERY).stdout.contains("noon in Oslo");
    assert!(fails(&system), "the control: there is no such app");

    let added = system.secgpt(&["apps", "add", "clock", "--command", &command, "--yes"]);
    assert!(added.stderr.contains("the secgpt that runs now has it as it is now"), "{added:?}");
    assert!(system.ask(QUERY).answer().contains("noon in Oslo"));

    // A file that changes by itself changes nothing but that the app is not started; a person's word does.
    fs::write(&file, said("The time of a zone, and the date.")).unwrap();
    assert!(fails(&system));
    let pinned = system.secgpt(&["apps", "pin", "clock", "--yes"]);
    assert!(pinned.stderr.contains("the secgpt that runs now has it as it is now"), "{pinned:?}");
    assert!(system.ask(QUERY).answer().contains("noon in Oslo"));

    let removed = system.secgpt(&["apps", "remove", "clock", "--yes"]);
    assert!(removed.stderr.contains("the secgpt that runs now does not offer it"), "{removed:?}");
    assert!(fails(&system));
}

#[test]
fn a_manifest_that_was_changed_behind_a_persons_back_is_not_taken_up_with_another_app() {
    let (mut system, scratch) = (system(), Scratch::new("clock"));
    let (_, command) = server(&scratch, &said("The time of a zone."));
    let added = object(&system.secgpt(&["--json", "apps", "add", "clock", "--command", &command, "--yes"]));
    system.up();
    assert_eq!(running(&system, "clock")["problem"], Value::Null);
    let manifest = std::path::Path::new(added["dir"].as_str().unwrap()).join("app.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{text}\n[network]\ndomains = [\"evil.example\"]\n")).unwrap();
    object(&system.secgpt(&["--json", "apps", "add", "watch", "--command", &command, "--yes"]));
    let problem = running(&system, "clock")["problem"].to_string();
    assert!(problem.contains("secgpt apps pin clock") || problem.contains("pinned"), "{problem}");
    // Control: the other one is there.
    assert!(running(&system, "watch")["hash"].is_string());
}

#[test]
fn a_server_on_the_web_has_its_way_out_at_once_and_none_when_it_is_removed() {
    let mut system = system();
    let far = Far::new(|_, asked, _| honest("The time.", asked));
    system.up();
    object(&far.add(&system));
    let query = "Use far.now with zone = Oslo";
    assert!(system.ask(query).answer().contains("noon in Oslo"));
    let asked = far.count();
    assert_eq!(system.secgpt(&["apps", "remove", "far", "--yes"]).code, Some(0));
    assert!(!system.ask(query).stdout.contains("noon in Oslo"));
    assert_eq!(far.count(), asked);
}

#[test]
fn a_credential_that_is_given_while_secgpt_runs_makes_its_app_one_that_is_offered() {
    let mut system = system();
    let far = Far::new(|_, asked, seen| match seen.header("authorization") {
        Some("Bearer t0ken-of-mine") => honest("The time.", asked),
        _ => answer("401 Unauthorized", &[("WWW-Authenticate", "Bearer")], "who?"),
    });
    system.up();
    object(&far.add(&system));
    assert_eq!(running(&system, "far"), Value::Null, "it waits for its credential");
    let mut command = system.command(&["apps", "authorize", "far", "--from-env", "KEY_OF_FAR"]);
    let given = command.env("KEY_OF_FAR", "t0ken-of-mine").output().unwrap();
    let said = String::from_utf8(given.stderr).unwrap();
    assert!(
        given.status.success() && said.contains("the secgpt that runs now has it as it is now"),
        "{said}"
    );
    object(&system.secgpt(&["--json", "apps", "pin", "far", "--yes"]));
    assert!(system.ask("Use far.now with zone = Oslo").answer().contains("noon in Oslo"));
}
