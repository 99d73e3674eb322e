//! Names of the parties on the bus.
//!
//! Answers: is this text a legal name?
//! Never: looks anything up, or repairs a name that is not legal.
//! Carries: I-01, I-03. A dot or a wildcard in a name would change what a subject means.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a legal name. The text itself is in the error so that a person can find it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a legal {what}: {rule}")]
pub struct IdError {
    /// What was to be named, e.g. `app name`.
    pub what: &'static str,
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// The rule that it breaks, as a sentence for people.
    pub rule: &'static str,
}

/// Defines a name: a newtype over `String` with `parse` as its only constructor.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal, $first:pat, $rest:pat, $rule:literal $(, not $reserved:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The only way to make one.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let bytes = text.as_bytes();
                let legal = bytes.len() <= $max
                    && matches!(bytes.first(), Some($first))
                    && bytes.iter().all(|byte| matches!(byte, $rest))
                    && !text.contains("__")
                    $(&& text != $reserved)*;
                if legal {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { what: $what, text: text.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    };
}

name!(
    /// The name of an installed app. Two underscores in a row are kept free: they part app and
    /// functionality in the names of tools that a model sees.
    AppId, "app name", 32, b'a'..=b'z', b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-',
    "1 to 32 of a-z, 0-9, _ and -, first a letter, no two underscores in a row"
);
name!(
    /// The name of one callable operation of an app.
    FunctionName, "functionality name", 64,
    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-',
    "1 to 64 of a-z, A-Z, 0-9, _ and -, no two underscores in a row"
);
name!(
    /// One spoke process. Never used again after the process has ended.
    SpokeId, "spoke id", 32, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9',
    "1 to 32 letters and digits"
);
name!(
    /// A person for whom the system works.
    UserId, "user name", 64, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-',
    "1 to 64 of a-z, A-Z, 0-9, _ and -, first a letter or digit, no two underscores in a row"
);
name!(
    /// One conversation of one user.
    SessionId, "session id", 64, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-',
    "1 to 64 of a-z, A-Z, 0-9, _ and -, first a letter or digit, no two underscores in a row"
);
name!(
    /// A machine's spoke-host. `any` is the name of the group of all hosts.
    HostId, "host name", 48, b'a'..=b'z' | b'0'..=b'9', b'a'..=b'z' | b'0'..=b'9' | b'-',
    "1 to 48 of a-z, 0-9 and -, first a letter or digit, and not `any`", not "any"
);
name!(
    /// One query, task, prompt or other unit of work; unique within a run of the system.
    WorkId, "work id", 32, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9',
    "1 to 32 letters and digits"
);
name!(
    /// Under which a hub has a host start spokes. Another one takes its place when the hub holds none of them any more.
    LeaseId, "lease id", 32, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9',
    "1 to 32 letters and digits"
);
name!(
    /// A step of a plan, as the planner named it.
    StepId, "step id", 32, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_', b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-',
    "1 to 32 of a-z, A-Z, 0-9, _ and -, no two underscores in a row"
);

macro_rules! fresh {
    ($($type:ident),*) => {$(
        impl $type {
            /// A new one that nobody has used: 22 letters and digits. Unique, but not secret.
            #[must_use]
            pub fn fresh() -> Self {
                Self(nuid::next().to_string())
            }
        }
    )*};
}
fresh!(SpokeId, SessionId, WorkId, LeaseId);

/// Letters of a query's name that its tasks begin with.
const OF_QUERY: usize = 22;

impl WorkId {
    /// A new one for a part of a query: unique in this process, and recognisable as the query's.
    #[must_use]
    pub fn within(query: &Self) -> Self {
        let fresh = nuid::next();
        // The end is what changes from one to the next.
        let end = fresh.get(fresh.len().saturating_sub(10)..).unwrap_or_default();
        Self(format!("{:0<OF_QUERY$}{end}", query.query()))
    }

    /// What all work of one query has in common.
    #[must_use]
    pub fn query(&self) -> &str {
        self.0.get(..OF_QUERY).unwrap_or(&self.0).trim_end_matches('0')
    }
}

/// An operation of an app: `<app>.<functionality>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Functionality {
    /// The app that provides it.
    pub app: AppId,
    /// Its name within the app.
    pub name: FunctionName,
}

impl Functionality {
    /// Parses `<app>.<functionality>`.
    ///
    /// # Errors
    /// Says which part is not legal.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (app, name) = text.split_once('.').ok_or_else(|| IdError {
            what: "functionality",
            text: text.chars().take(80).collect(),
            rule: "an app name, a dot and the name of one of its functionalities",
        })?;
        Ok(Self { app: AppId::parse(app)?, name: FunctionName::parse(name)? })
    }

    /// The name under which a model sees it: `<app>__<functionality>`.
    #[must_use]
    pub fn tool_name(&self) -> String {
        format!("{}__{}", self.app, self.name)
    }

    /// The reverse of [`Functionality::tool_name`].
    #[must_use]
    pub fn from_tool_name(text: &str) -> Option<Self> {
        let (app, name) = text.split_once("__")?;
        Some(Self { app: AppId::parse(app).ok()?, name: FunctionName::parse(name).ok()? })
    }
}

impl fmt::Display for Functionality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.app, self.name)
    }
}

impl TryFrom<String> for Functionality {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<Functionality> for String {
    fn from(functionality: Functionality) -> String {
        functionality.to_string()
    }
}

/// A spoke's address: the app that it runs, and which process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpokeAddr {
    /// The app.
    pub app: AppId,
    /// The process.
    pub id: SpokeId,
}

impl fmt::Display for SpokeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.app, self.id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_name_carries_a_subject_separator_or_wildcard(text in ".*") {
            if let Ok(name) = AppId::parse(&text) {
                prop_assert!(!name.as_str().contains(['.', '*', '>', ' ', '\n']));
                prop_assert_eq!(name.as_str(), text);
            }
        }

        #[test]
        fn a_tool_name_leads_back_to_its_functionality(app in "[a-z][a-z0-9_-]{0,20}", name in "[a-zA-Z0-9-][a-zA-Z0-9_-]{0,20}") {
            let text = format!("{app}.{name}");
            if let Ok(functionality) = Functionality::parse(&text)
                && !app.ends_with('_')
            {
                prop_assert_eq!(Functionality::from_tool_name(&functionality.tool_name()), Some(functionality));
            }
        }
    }

    #[test]
    fn a_letter_outside_ascii_is_not_a_letter() {
        assert!(AppId::parse("éclair").is_err());
        assert!(UserId::parse("ünsal").is_err());
    }

    #[test]
    fn the_group_of_all_hosts_is_no_host() {
        assert!(HostId::parse("any").is_err());
        assert!(HostId::parse("any2").is_ok());
    }
}
