//! Where data came from.
//!
//! Answers: which sources have a part in this?
//! Never: drops a source; labels only grow.

use std::collections::BTreeSet;
use std::fmt;

use bus::id::AppId;
use serde::{Deserialize, Serialize};

/// One source of data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Label {
    /// The user's own words.
    User,
    /// What an app said.
    App(AppId),
    /// What came from a web host.
    Web(String),
    /// A stored entry of the user's.
    Memory(String),
}

/// A text that is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a label: user, app:<app>, web:<host> or memory:<entry>")]
pub struct NotALabel(String);

impl Label {
    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(text: &str) -> Result<Self, NotALabel> {
        let wrong = || NotALabel(printable(text, 80));
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            Some(("app", app)) => AppId::parse(app).map(Self::App).map_err(|_| wrong()),
            Some(("web", host)) if !host.is_empty() => Ok(Self::Web(printable(host, 253))),
            Some(("memory", entry)) if !entry.is_empty() => Ok(Self::Memory(printable(entry, 80))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::App(app) => write!(f, "app:{app}"),
            Self::Web(host) => write!(f, "web:{host}"),
            Self::Memory(entry) => write!(f, "memory:{entry}"),
        }
    }
}

impl TryFrom<String> for Label {
    type Error = NotALabel;
    fn try_from(text: String) -> Result<Self, NotALabel> {
        Self::parse(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> String {
        label.to_string()
    }
}

/// A set of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeSet<Label>);

impl Labels {
    /// No source.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One source.
    #[must_use]
    pub fn of(label: Label) -> Self {
        Self(BTreeSet::from([label]))
    }

    /// One more source.
    pub fn insert(&mut self, label: Label) {
        self.0.insert(label);
    }

    /// All of the other's besides.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Both together.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// With one more source.
    #[must_use]
    pub fn with(mut self, label: Label) -> Self {
        self.insert(label);
        self
    }

    /// Those besides this one, for a comparison; what is delivered keeps all of its labels.
    #[must_use]
    pub fn without(&self, label: &Label) -> Self {
        self.0.iter().filter(|own| *own != label).cloned().collect()
    }

    /// Is it a source?
    #[must_use]
    pub fn contains(&self, label: &Label) -> bool {
        self.0.contains(label)
    }

    /// Is each of these a source of the other too?
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// In a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.0.iter()
    }

    /// As written in flows.
    #[must_use]
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        Self(labels.into_iter().collect())
    }
}

/// A text that an app may have written, safe to show on a terminal: on one line, without control characters and
/// without those that turn the direction of writing, at most `max` characters.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        c => c,
    };
    let mut out: String = text.chars().take(max).map(shown).collect();
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_label_is_read_as_it_is_written(text in "(user|app:[a-z]{1,8}|web:[a-z.]{1,12}|memory:[ -~]{1,30})") {
            prop_assert_eq!(Label::parse(&text).unwrap().to_string(), text);
        }

        #[test]
        fn what_is_shown_cannot_steer_a_terminal(text in ".*") {
            let shown = printable(&text, 200);
            prop_assert!(!shown.chars().any(char::is_control) && shown.chars().count() <= 201);
        }
    }

    #[test]
    fn a_union_keeps_every_source() {
        let mail = Label::App(AppId::parse("mail").unwrap());
        let both = Labels::of(Label::User).union(&Labels::of(mail.clone()));
        assert!(both.contains(&Label::User) && both.contains(&mail));
        assert!(Labels::of(mail).is_within(&both));
        assert!(!both.is_within(&Labels::of(Label::User)));
    }

    #[test]
    fn an_unknown_kind_of_source_is_no_label() {
        for text in ["", "root", "app:", "app:a.b", "file:/etc/passwd", "web:"] {
            assert!(Label::parse(text).is_err(), "{text:?}");
        }
    }
}
