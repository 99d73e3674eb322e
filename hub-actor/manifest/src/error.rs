//! What is wrong with a manifest, and where.
//!
//! Answers: which file, which line, what, and what to do about it?
//! Never: stops the other apps from being loaded.

use std::fmt;
use std::path::{Path, PathBuf};

/// A manifest, or a file that it names, that cannot be used. Its app is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong, in a sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ManifestError {
    /// Something is wrong with this file.
    #[must_use]
    pub fn new(file: &Path, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, what: what.into(), hint: None }
    }

    /// On this line.
    #[must_use]
    pub fn on(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self
    }

    /// This would mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ManifestError {}

/// The line on which a byte of the text stands.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count().saturating_add(1)
}
