//! Texts that are kept in the tree and must not change unnoticed.
//!
//! Answers: is this text still the one that was agreed on?
//! Never: changes a golden file by itself; `UPDATE_GOLDEN=1` does, and the change shows in review.

use crate::bundle::workspace;

/// Compares `actual` with `tests/golden/<name>`.
///
/// # Panics
/// If they differ; shows the lines that do.
#[track_caller]
pub fn golden(name: &str, actual: &str) {
    let file = workspace().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&file, actual).expect("the golden file");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected == actual {
        return;
    }
    let gone = expected.lines().filter(|line| !actual.lines().any(|other| other == *line));
    let new = actual.lines().filter(|line| !expected.lines().any(|other| other == *line));
    let differences: Vec<String> =
        gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect();
    panic!(
        "tests/golden/{name} does not hold any more (UPDATE_GOLDEN=1 rewrites it):\n{}",
        differences.join("\n")
    );
}
