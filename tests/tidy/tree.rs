//! The files of the project.
//!
//! Answers: which files are ours, and what is in them?
//! Never: looks at what a build or git made.

use std::path::Path;

use system_tests::bundle::workspace;

/// A text file of the project.
pub struct File {
    /// From the top folder, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// All files with one of these endings (`rs`, `md`, …) or names (`Makefile`), in order.
pub fn files(endings: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    walk(workspace(), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no files with {endings:?}");
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "node_modules") {
                walk(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name == *ending || name.ends_with(&format!(".{ending}"))) {
            // What is not text, or was just removed by somebody, is not looked at.
            if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(workspace()).unwrap().to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
}

impl File {
    /// The header: the leading `//!` lines.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| line.starts_with("//!"))
    }

    /// Is it a test or the harness of tests?
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }

    /// The lines that are neither comments nor behind `#[cfg(test)]`, with their numbers.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number + 1, line))
    }
}

/// Fails with all offences at once.
#[track_caller]
pub fn none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}\n  {}", offences.join("\n  "));
}
