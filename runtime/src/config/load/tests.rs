//! What `load.rs` promises, each promise a test.

#![allow(clippy::unwrap_used)]

use insta::assert_snapshot;

use super::*;

/// What is said about a file with this text.
fn complaint(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secgpt.toml");
    std::fs::write(&file, text).unwrap();
    let error = load(&Sources { file: Some(file), set: Vec::new() }).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    let said = format!("{}\nhint: {}", error.line(), error.way_out().unwrap_or("-"));
    said.replace(&dir.path().display().to_string(), "DIR")
}

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secgpt.toml");
    std::fs::write(&file, text).unwrap();
    load(&Sources { file: Some(file), set: vec![("state.dir".into(), "/nowhere".into())] }).unwrap()
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_what_is_allowed() {
    assert_snapshot!(complaint("[model]\nbase_ulr = \"http://localhost:1/v1\"\n"), @r"
    DIR/secgpt.toml: there is no setting `model.base_ulr`
    hint: did you mean `model.base_url`?; allowed here: provider, base_url, model, api_key_env, embeddings_model, timeout
    ");
}

#[test]
fn an_unknown_section_is_named() {
    assert_snapshot!(complaint("[modell]\nmodel = \"x\"\n"), @r"
DIR/secgpt.toml: there is no setting `modell`
hint: did you mean `model`?; allowed here: bus, model, memory, apps, egress, permission, sandbox, state, data
");
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    assert_snapshot!(complaint("[permission]\nprompt_timeout = \"soon\"\n"), @r#"
DIR/secgpt.toml: `permission.prompt_timeout`: invalid value string "soon", expected a length of time such as "500ms", "30s", "10m" or "1h", or a number of seconds
hint: `secgpt --help` shows all settings
"#);
}

#[test]
fn a_preset_that_is_not_there_is_refused() {
    assert_snapshot!(complaint("[permission]\npreset = \"lax\"\n"), @r#"
permission.preset: there is no preset "lax"
hint: presets are strict, balanced, locked
"#);
}

#[test]
fn no_number_switches_a_limit_off() {
    assert_snapshot!(complaint("[sandbox]\nprocesses = 0\n"), @r#"
sandbox.processes is 0, which would let nothing run
hint: no number means "no limit": leave the key out for the default, or give the limit you want
"#);
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    assert_snapshot!(complaint("[bus]\nurl = \n"), @r#"
DIR/secgpt.toml: TOML parse error at line 2, column 7
  |
2 | url = 
  |       ^
invalid string
expected `"`, `'`

hint: `secgpt --help` shows all settings
"#);
}

#[test]
fn a_key_without_its_certificate_is_refused() {
    assert_snapshot!(complaint("[bus]\ntls_key = \"a\"\n"), @r"
bus.tls_cert and bus.tls_key belong together; only one is given
hint: -
");
}

#[test]
fn a_length_of_time_is_read_with_its_unit() {
    let config = config("[permission]\nprompt_timeout = \"2m\"\n[memory]\nttl = 600\n");
    assert_eq!(config.permission.prompt_timeout, Duration::from_secs(120));
    assert_eq!(config.memory.ttl, Duration::from_secs(600));
}

#[test]
fn a_path_in_the_file_is_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    let file = dir.path().join("secgpt.toml");
    std::fs::write(&file, "[apps]\ndirs = [\"mine\"]\n[state]\ndir = \"state\"\n").unwrap();
    let config = load(&Sources { file: Some(file), set: Vec::new() }).unwrap();
    // And the folder of what `apps add` installed.
    assert_eq!(config.apps.dirs, vec![dir.path().join("mine"), dir.path().join("state/apps")]);
}

#[test]
fn a_flag_beats_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secgpt.toml");
    std::fs::write(&file, "[model]\nmodel = \"a\"\ntimeout = \"1s\"\n").unwrap();
    let config = load(&Sources { file: Some(file), set: vec![("model.model".into(), "b".into())] }).unwrap();
    assert_eq!(config.model.model.as_deref(), Some("b"));
    assert_eq!(config.model.timeout, Duration::from_secs(1));
}

#[test]
fn every_key_of_the_list_is_a_setting() {
    for key in keys() {
        let error = load(&Sources { file: None, set: vec![(key.to_owned(), "[[nonsense]]".into())] });
        if let Err(error) = error {
            assert!(!error.line().contains("no such setting"), "{key}");
            assert!(!error.line().contains("there is no setting"), "{key}: {}", error.line());
        }
    }
}
