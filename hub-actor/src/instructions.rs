//! What each model conversation is told about its work.
//!
//! Answers: which words stand at the beginning of this conversation?
//! Never: contains a word that an app wrote.
//! Carries: I-17.

use std::path::{Path, PathBuf};

use bus::id::AppId;

/// The texts, as the user may have edited them.
#[derive(Clone, Debug)]
pub struct Instructions {
    /// For the planner; with a place for signatures.
    pub planner: String,
    /// For putting results together.
    pub compose: String,
    /// For extracting one value.
    pub derive: String,
    /// For the running summary.
    pub summary: String,
    /// For what the user told of themselves.
    pub entities: String,
    operator: String,
}

/// A text is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the model's instructions in {}", path.display())]
pub struct Missing {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Instructions {
    /// Reads them from a folder.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn load(folder: &Path) -> Result<Self, Missing> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|source| Missing { path, source })
        };
        Ok(Self {
            planner: read("planner.md")?,
            compose: read("compose.md")?,
            derive: read("derive.md")?,
            summary: read("summary.md")?,
            entities: read("entities.md")?,
            operator: read("operator.md")?,
        })
    }

    /// For an app's own model. The spoke adds what the app says of itself.
    #[must_use]
    pub fn operator(&self, app: &AppId) -> String {
        self.operator.replace("{{app}}", app.as_str())
    }
}
