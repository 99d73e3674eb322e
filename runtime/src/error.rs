//! What a person is told when something did not work.
//!
//! Answers: which sentence, which way out, which exit code?
//! Never: prints a cause twice, or a secret.

use std::error::Error as StdError;
use std::fmt;

/// One sentence, perhaps a way out, and what kind of failure it was.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    sentence: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of failure; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line or the configuration is not right: 2.
    Usage,
    /// A permission was refused: 3.
    Refused,
    /// Anything else: 1.
    Failed,
}

impl Kind {
    /// The exit code, as the README promises it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
        }
    }
}

impl Error {
    /// Something did not work.
    #[must_use]
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, sentence: sentence.into(), hint: None, source: None }
    }

    /// The command line or the configuration is not right.
    #[must_use]
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::failed(sentence) }
    }

    /// With a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a way out, if there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// With its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The way out.
    #[must_use]
    pub fn way_out(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The sentence and its causes, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.sentence.clone();
        let mut cause = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries put the cause into their own sentence.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<bus::client::BusError> for Error {
    fn from(error: bus::client::BusError) -> Self {
        Self::failed("the bus failed").because(error)
    }
}

impl From<bus::id::IdError> for Error {
    fn from(error: bus::id::IdError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<bus::identity::IdentityError> for Error {
    fn from(error: bus::identity::IdentityError) -> Self {
        Self::failed("the keys of this installation cannot be used").because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn a_cause_is_printed_once() {
        let inner = Error::failed("inner");
        let outer = Error::failed("outer: inner").because(inner);
        assert_eq!(outer.line(), "outer: inner");
        let outer =
            Error::failed("outer").because(Error::failed("inner").because(Error::failed("innermost")));
        assert_eq!(outer.line(), "outer: inner: innermost");
    }
}
