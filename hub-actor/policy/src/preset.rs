//! The presets and the schema.
//!
//! Answers: which presets are there, and what may a rule speak of?
//! Never: takes a name for a preset that is none.

use std::path::Path;
use std::str::FromStr;

use crate::fault::{Fault, Faults};

/// What is asked about, in broad lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything is asked about that no grant covers.
    Strict,
    /// Expected reads run; the rest is asked about.
    Balanced,
    /// Expected reads run; the rest is denied.
    Locked,
}

/// The names of the presets.
pub const PRESETS: [&str; 3] = ["strict", "balanced", "locked"];

/// What a rule may speak of, in Cedar's own notation.
pub const SCHEMA: &str = include_str!("../../../data/policies/secgpt.cedarschema");

/// A preset that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset {0:?}; there are strict, balanced and locked")]
pub struct NoSuchPreset(String);

impl FromStr for Preset {
    type Err = NoSuchPreset;
    fn from_str(text: &str) -> Result<Self, NoSuchPreset> {
        match text {
            "strict" => Ok(Self::Strict),
            "balanced" => Ok(Self::Balanced),
            "locked" => Ok(Self::Locked),
            other => Err(NoSuchPreset(other.chars().take(80).collect())),
        }
    }
}

impl Preset {
    /// Its file in the folder of policies.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Strict => "strict.cedar",
            Self::Balanced => "balanced.cedar",
            Self::Locked => "locked.cedar",
        }
    }

    /// Its rules as they were shipped.
    #[must_use]
    pub fn shipped(self) -> &'static str {
        match self {
            Self::Strict => include_str!("../../../data/policies/strict.cedar"),
            Self::Balanced => include_str!("../../../data/policies/balanced.cedar"),
            Self::Locked => include_str!("../../../data/policies/locked.cedar"),
        }
    }

    /// Its file as it lies in this folder; without a folder, as it was shipped. The name and the text.
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    pub fn source(self, folder: Option<&Path>) -> Result<(String, String), Faults> {
        match folder {
            None => Ok((self.file_name().to_owned(), self.shipped().to_owned())),
            Some(folder) => read(&folder.join(self.file_name())),
        }
    }
}

/// The name and the text of a policy file.
pub fn read(path: &Path) -> Result<(String, String), Faults> {
    let name = path.display().to_string();
    let wrong = |what: String| Faults::of(Fault::new(&name, None, what));
    let length = std::fs::metadata(path).map_err(|error| wrong(format!("cannot be read: {error}")))?.len();
    if crate::MAX_FILE < length {
        return Err(wrong(format!("has {length} bytes; {} are the most", crate::MAX_FILE)));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".to_owned()))?;
    Ok((name, text))
}
