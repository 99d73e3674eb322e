//! What an app can do: its operations as a table of data, and the texts that cross into them.
//!
//! Answers: which operations are there, what do they take, why was one refused?
//! Never: lets a text of unbounded length, or a line with control characters in it, reach an operation.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::folder::Folder;

/// An app: a name, and the operations it offers.
pub struct App {
    /// The name its manifest has, too.
    pub name: &'static str,
    /// All that it offers.
    pub operations: &'static [Operation],
}

/// One operation, served as one MCP tool.
pub struct Operation {
    /// The name of the tool and of the functionality in the manifest.
    pub name: &'static str,
    /// One sentence for a model.
    pub about: &'static str,
    /// JSON Schema of the arguments, the very file that the manifest names.
    pub request: &'static str,
    /// JSON Schema of the result, likewise.
    pub response: &'static str,
    /// What MCP calls the read-only hint.
    pub reads_only: bool,
    /// Does the work.
    pub run: fn(&Folder, Map<String, Value>) -> Result<Value, Refusal>,
}

/// Why an operation did not happen. The text goes to the caller.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The arguments are not what the schema says.
    #[error("the arguments are not usable: {0}")]
    Arguments(#[source] serde_json::Error),
    /// Something named does not exist.
    #[error("there is no {kind} {name:?}")]
    Absent {
        /// What kind of thing was named.
        kind: &'static str,
        /// The name given.
        name: String,
    },
    /// The data folder holds as much as this app keeps.
    #[error("the data folder is full")]
    Full,
    /// The data folder could not be read or written.
    #[error("the data folder cannot be used: {0}")]
    Folder(#[source] std::io::Error),
    /// A file in the data folder is not what this app left there.
    #[error("{file} in the data folder is damaged: {source}")]
    Damaged {
        /// The name of the file.
        file: &'static str,
        /// Where it is wrong.
        source: serde_json::Error,
    },
}

impl From<std::io::Error> for Refusal {
    fn from(source: std::io::Error) -> Self {
        Refusal::Folder(source)
    }
}

/// Reads arguments into the type that an operation takes.
pub fn parse<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(arguments)).map_err(Refusal::Arguments)
}

/// One line of text: 1 to `MAX` characters, none of them a control character.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Line<const MAX: usize = 200>(String);

/// Text of any shape, up to `MAX` characters.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Line<MAX> {
    /// The line itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Text<MAX> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Line<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim().is_empty() || MAX < text.chars().count() {
            return Err(D::Error::custom(format!("a line of 1 to {MAX} characters is needed")));
        }
        if text.chars().any(char::is_control) {
            return Err(D::Error::custom("a line has no control characters"));
        }
        Ok(Line(text))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if MAX < text.chars().count() {
            return Err(D::Error::custom(format!("a text of at most {MAX} characters is needed")));
        }
        Ok(Text(text))
    }
}
