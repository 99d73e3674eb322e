//! Servers of strangers, as their registries have them, in whole systems.
//!
//! They are fetched once, in the versions that `package.rs` names, into `target/strangers`.

mod everything;
mod walls;

use std::process::Command;

use serde_json::{Value, json};
use system_tests::package::{EVERYTHING, FILESYSTEM, GIT, TIME};
use system_tests::scratch::Scratch;
use system_tests::system::{Options, System};

/// A system whose only apps are those in this folder.
fn system(apps: &Scratch) -> System {
    System::start(Options::default().set("apps.dirs", &json!([apps.path()]).to_string()))
}

/// Git does not trust a folder that belongs to somebody else; in a jail everything does.
const TRUST: [&str; 4] =
    ["/usr/bin/env", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"];

#[test]
fn four_servers_from_the_registries_answer_in_their_jails() {
    let apps = Scratch::new("strangers");
    let none = json!({});
    TIME.app(&apps, "", "", &none);
    EVERYTHING.app(&apps, "", "", &none);
    FILESYSTEM.app(&apps, "", "", &none);
    let git: Vec<String> = TRUST.iter().map(|word| (*word).to_owned()).chain(GIT.command(&[])).collect();
    let folder = GIT.app_with(&apps, &git, "", "", &none);
    let script = "git init -q repo && cd repo && echo a > a.txt && git add . \
                  && git -c user.name=ann -c user.email=ann@a.example commit -q -m 'The first step'";
    assert!(
        Command::new("sh").args(["-c", script]).current_dir(folder).status().is_ok_and(|done| done.success())
    );

    let system = system(&apps);
    let time = system.ask(r#"call time.convert_time with {"source_timezone": "Europe/Berlin", "time": "16:30", "target_timezone": "Asia/Tokyo"}"#);
    assert!(
        time.value("time.convert_time").to_string().contains("T00:30:00+09:00")
            || time.value("time.convert_time").to_string().contains("T23:30:00+09:00"),
        "{time:?}"
    );
    let sum = system.ask(r#"call everything.get-sum with {"a": 2, "b": 40}"#);
    assert_eq!(sum.value("everything.get-sum"), "The sum of 2 and 40 is 42.");
    let log = system.ask(r#"call git.git_log with {"repo_path": "/app/repo"}"#);
    assert!(log.value("git.git_log").to_string().contains("The first step"), "{log:?}");
    let written =
        system.ask(r#"call filesystem.write_file with {"path": "/data/note.txt", "content": "buy milk"}"#);
    assert!(written.answer().contains("Successfully"), "{written:?}");
    // The same process answers the session's next query, and a later one finds the file again.
    let read = system.ask(r#"call filesystem.read_text_file with {"path": "/data/note.txt"}"#);
    assert_eq!(read.value("filesystem.read_text_file")["content"], "buy milk");
}

#[test]
fn a_server_lives_as_long_as_its_session_and_is_nobody_elses() {
    let apps = Scratch::new("strangers");
    EVERYTHING.app(&apps, "", "", &json!({}));
    let system = system(&apps);
    // The server turns on what is off, and off what is on.
    let toggled = |session: &str| {
        let asked = system.ask_with(&["--session", session], "call everything.toggle-simulated-logging");
        asked.value("everything.toggle-simulated-logging").to_string()
    };
    assert!(toggled("one").contains("Started"));
    assert!(toggled("one").contains("Stopped"));
    assert!(toggled("two").contains("Started"));
}

#[test]
fn a_file_that_an_app_may_not_have_is_told_with_the_line_of_its_manifest() {
    let apps = Scratch::new("strangers");
    FILESYSTEM.app(&apps, "", "", &json!({}));
    let system = system(&apps);
    let asked = system.ask(r#"call filesystem.read_text_file with {"path": "/home/ann/notes.md"}"#);
    let error = asked.outcome["error"].as_str().unwrap_or_default();
    assert!(error.contains("`[filesystem] read = [\"/home/ann/notes.md\"]`"), "{asked:?}");
}

#[test]
fn a_tool_whose_description_was_not_accepted_is_refused_with_what_to_run() {
    let apps = Scratch::new("strangers");
    let folder = TIME.app(&apps, "", "", &json!({}));
    let file = folder.join("discovered.json");
    let mut said: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    said["convert_time"]["description"] = json!("Convert time.");
    std::fs::write(&file, said.to_string()).unwrap();
    let system = system(&apps);
    let asked = system.ask(r#"call time.convert_time with {"source_timezone": "UTC", "time": "16:30", "target_timezone": "UTC"}"#);
    let error = asked.outcome["error"].as_str().unwrap_or_default();
    assert!(error.contains("convert_time of time") && error.contains("its description"), "{asked:?}");
    assert!(error.contains("`secgpt apps pin time`"), "{asked:?}");
    // Control: the other tool is as it was.
    let other = system.ask(r#"call time.get_current_time with {"timezone": "UTC"}"#);
    assert_eq!(other.value("time.get_current_time")["timezone"], "UTC");
}
