//! Colour, where it is wanted.
//!
//! Answers: is this stream coloured, and how does a word look?
//! Never: says by colour alone what must be known.

use std::io::IsTerminal;

use crate::environment;

/// When colour is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Colours words, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For standard error.
    #[must_use]
    pub fn stderr(when: When) -> Self {
        Self::for_stream(when, std::io::stderr().is_terminal())
    }

    /// For standard output.
    #[must_use]
    pub fn stdout(when: When) -> Self {
        Self::for_stream(when, std::io::stdout().is_terminal())
    }

    fn for_stream(when: When, terminal: bool) -> Self {
        let on = match when {
            When::Auto => terminal && !environment::no_color(),
            When::Always => true,
            When::Never => false,
        };
        Self { on }
    }

    /// No colour.
    #[must_use]
    pub fn none() -> Self {
        Self { on: false }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Important.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Beside the point.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A warning.
    #[must_use]
    pub fn warning(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// Not good.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// Good.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// A name.
    #[must_use]
    pub fn name(self, text: &str) -> String {
        self.with("36", text)
    }
}
