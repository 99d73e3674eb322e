//! The scripts that ship, and the server as a client sees it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};

use super::Script;

mod case_studies;
mod server;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data")
}

/// The scripts that ship; their examples are checked by that.
fn shipped() -> Script {
    Script::load(&data().join("scripts")).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(file: &str, line: usize, why: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.toml"), file).unwrap();
    let error = Script::load(folder.path()).unwrap_err();
    assert_eq!((error.file, error.line), (folder.path().join("one.toml"), line), "{}", error.why);
    assert!(error.why.contains(why), "{}", error.why);
}

const GREETING: &str = r#"kinds = ["plain"]

[[rule]]
name = "greeting"
query = "^hello"
content = "Hello {{ query }}."
"#;

#[test]
fn a_script_that_holds_its_examples_loads() {
    let folder = tempfile::tempdir().unwrap();
    let example = r#"match = [{ query = "hello", gives = "Hello hello." }]"#;
    std::fs::write(folder.path().join("one.toml"), format!("{GREETING}{example}\n")).unwrap();
    Script::load(folder.path()).unwrap();
}

#[test]
fn a_script_that_contradicts_its_own_examples_does_not_load_and_says_where() {
    let one = |example: &str| format!("{GREETING}{example}\n");
    refused(&one(r#"match = [{ query = "goodbye" }]"#), 3, "is answered by no rule");
    refused(&one(r#"match = [{ query = "hello", gives = "Goodbye" }]"#), 3, "lacks \"Goodbye\"");
    refused(
        &one(r#"match = [{ query = "hello" }]
no_match = [{ query = "hello you" }]"#),
        3,
        "is answered by greeting",
    );
}

#[test]
fn a_script_with_a_mistake_in_it_does_not_load_and_says_where() {
    refused("kinds = [\"plain\"]\nturn = 1\n", 2, "unknown field `turn`");
    refused("kinds = [\n", 2, "invalid array");
    refused(&GREETING.replace("^hello", "^hello("), 3, "missing field `match`");
    refused(
        &format!("{}match = [{{ query = \"x\" }}]\n", GREETING.replace("^hello", "^hello(")),
        3,
        "unclosed group",
    );
    refused(
        &format!("{}match = [{{ query = \"x\" }}]\n", GREETING.replace("{{ query }}", "{{ query")),
        3,
        "syntax",
    );
    refused(&format!("{GREETING}match = []\n"), 3, "needs an example");
}
