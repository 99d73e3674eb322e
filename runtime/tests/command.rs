//! The command as a program: exit codes, streams, and what is said when something is wrong.
//!
//! Answers: what does a script that calls `secgpt` rely on?
//! Never: needs a running system; tests of the whole are in the crate `system-tests`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use serde_json::Value;

/// Runs the program with nothing in its environment but a home of its own.
fn secgpt(home: &tempfile::TempDir, words: &[&str]) -> Output {
    command(home).args(words).output().expect("secgpt runs")
}

fn command(home: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secgpt"));
    command.env_clear().env("HOME", home.path()).stdin(Stdio::null()).current_dir(home.path());
    command
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Exit code and standard error, with the home folder's name taken out.
fn complaint(home: &tempfile::TempDir, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).replace(&home.path().display().to_string(), "HOME");
    format!("{}\n{said}", output.status.code().unwrap_or(-1))
}

#[test]
fn a_query_with_wrong_settings_is_an_object_and_a_usage_error() {
    let home = home();
    let output = command(&home)
        .args(["ask", "--json", "hello"])
        .env("SECGPT_PERMISSION_PRESET", "lax")
        .output()
        .expect("secgpt runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.is_empty());
    let said: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(said["outcome"], "failed");
    assert_eq!(said["error"], "permission.preset: there is no preset \"lax\"");
    for field in ["answer", "session", "plan", "results", "flows", "model_calls", "prompts", "elapsed_ms"] {
        assert!(said.get(field).is_some(), "{field}");
    }
}

#[test]
fn a_variable_that_is_no_setting_is_named() {
    let home = home();
    let output =
        command(&home).args(["apps", "list"]).env("SECGPT_MODEL_KEY", "x").output().expect("secgpt runs");
    assert_snapshot!(complaint(&home, &output), @r"
    2
    error: the environment: there is no setting `SECGPT_MODEL_KEY`
    hint: `secgpt --help` shows all settings; allowed here: provider, base_url, model, api_key_env, embeddings_model, timeout
    For more, try `secgpt --help`.
    ");
}

#[test]
fn without_a_system_the_tap_says_how_to_start_one() {
    let home = home();
    assert_snapshot!(complaint(&home, &secgpt(&home, &["tap"])), @r"
    1
    error: nothing runs on this state folder
    hint: start it with `secgpt up` (or `secgpt`) in another terminal
    ");
}

#[test]
fn an_unknown_app_is_a_failure_that_names_the_others() {
    let home = home();
    assert_snapshot!(complaint(&home, &secgpt(&home, &["apps", "show", "nope"])), @r"
    1
    error: there is no app nope
    hint: installed are creative_muse, drive, gmail, google_drive, health_companion, mail, metro_hail, quick_ride, requests, symptom_solver, travel_mate
    ");
}

#[test]
fn a_state_folder_that_others_may_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let state = home.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert_snapshot!(complaint(&home, &secgpt(&home, &["--state", "state", "ask", "hello"])), @r"
    1
    error: others may look into the folder HOME/state
    hint: it holds keys: chmod 700 HOME/state
    ");
}

#[test]
fn without_servers_both_ways_out_are_named() {
    let home = home();
    let data = home.path().join("mine");
    for folder in ["apps", "prompts", "scripts"] {
        std::fs::create_dir_all(data.join(folder)).unwrap();
    }
    let output =
        secgpt(&home, &["--set", "data.dir=mine", "--set", "model.provider=scripted", "ask", "hello"]);
    assert_snapshot!(complaint(&home, &output), @r"
    1
    error: there is no nats-server on this machine
    hint: either install nats-server 2.10 or newer (or name it with SECGPT_NATS_SERVER), or run `deploy/bundle.sh` of the repository, which brings both servers, and set SECGPT_BUNDLE_DIR to what it prints
    ");
}

#[test]
fn the_hidden_command_that_becomes_a_child_does_so_for_its_own_parent_only() {
    let home = home();
    assert_snapshot!(complaint(&home, &secgpt(&home, &["__child", "1", "/bin/true"])), @r"
    1
    error: the parent is gone
    ");
    let own = std::process::id().to_string();
    assert_eq!(secgpt(&home, &["__child", &own, "/bin/true"]).status.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = home();
    let mut child = command(&home)
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("secgpt runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
