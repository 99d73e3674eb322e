//! A folder of its own for each test.
//!
//! Answers: where does this test put its files?
//! Never: removes the folder of a test that failed; its path is printed instead.

use std::path::{Path, PathBuf};

/// A new, empty folder, 0700. Removed at the end, unless the test fails.
pub struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    /// Makes it. `what` becomes part of its name.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("secgpt-test-{what}-")).tempdir();
        Self(Some(folder.expect("a temporary folder")))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("lives until drop").path()
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.0.take()
        {
            eprintln!("kept for a look: {}", folder.keep().display());
        }
    }
}

/// The last lines of a file, for a test that fails.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
