//! What is wrong with a policy file, and where.
//!
//! Answers: which file, which line, what, and what would be allowed?
//! Never: lets a file with a fault be used in part.

use std::fmt;

/// What a rule may speak of, for people.
pub const VOCABULARY: &str = "\
allowed are: principal Plan::\"plan\", Memory::\"memory\" or App::\"<app>\"; action Action::\"proceed\" or Action::\"ask\"; \
resource Functionality::\"<app>.<functionality>\" or App::\"<app>\" (`resource in App::\"<app>\"` is all of an app); and of \
context: user, effect (Effect::\"read\", \"write\", \"irreversible\"), category (Category::\"exec\", \"data\", \"collab\"), \
expected, accounted, own, attended, step, labels, from_user_alone, destinations.named, .derived, .unnamed, .all_named, .sources, .hosts; \
`secgpt policy schema` prints it in full";

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1; none if it is about the whole file.
    pub line: Option<usize>,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What would be right.
    pub help: Option<String>,
    /// Is it something that the schema does not allow? Then [`VOCABULARY`] says what it does.
    pub by_schema: bool,
}

impl Fault {
    pub(crate) fn new(file: &str, line: Option<usize>, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), help: None, by_schema: false }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// All that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub(crate) fn of(fault: Fault) -> Self {
        Self(vec![fault])
    }

    /// Is there something that the schema does not allow? Then [`VOCABULARY`] says what it does.
    #[must_use]
    pub fn by_schema(&self) -> bool {
        self.0.iter().any(|fault| fault.by_schema)
    }
}

/// Faults that are told in one message; the others are counted.
const TOLD: usize = 8;

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> = self.0.iter().take(TOLD).map(ToString::to_string).collect();
        f.write_str(&told.join("; "))?;
        let more = self.0.len().saturating_sub(TOLD);
        if 0 < more {
            write!(f, "; and {more} more")?;
        }
        if self.by_schema() {
            write!(f, "; {VOCABULARY}")?;
        }
        Ok(())
    }
}
