//! One rule of a policy.
//!
//! Answers: what is it called, what does it say, where does it stand, and which sentence does it give?
//! Never: gives a sentence that an app had a part in; what is filled in are checked names.

use std::fmt;

use crate::facts::{Facts, category, effect};

/// A rule as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as decisions give it.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// The file, as it was named.
    pub file: String,
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// Marked with `@each_time`: it is asked about although another rule lets it proceed, and no grant settles it.
    pub each_time: bool,
    /// The sentence, with placeholders.
    pub reason: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lets it proceed, or be asked about, by its action.
    Permit,
    /// Forbids it.
    Forbid,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

/// What may stand in braces in `@reason`.
pub const PLACEHOLDERS: [&str; 9] =
    ["user", "from", "to", "app", "step", "effect", "category", "labels", "sources"];

impl Rule {
    /// Why, in a sentence.
    #[must_use]
    pub fn sentence(&self, facts: &Facts) -> String {
        match &self.reason {
            Some(reason) => fill(reason, facts),
            None => {
                let what = match self.kind {
                    Kind::Forbid => "forbids",
                    Kind::Permit => "is about",
                };
                format!("The rule {} {what} {} to reach {}.", self.id, facts.from.as_str(), facts.to())
            }
        }
    }
}

fn fill(reason: &str, facts: &Facts) -> String {
    let mut out = String::with_capacity(reason.len());
    let mut rest = reason;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        out.push_str(&value(name, facts));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The names in braces that are no placeholder.
pub fn unknown_placeholders(reason: &str) -> Vec<&str> {
    let named = reason.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    named.filter(|name| !PLACEHOLDERS.contains(name)).collect()
}

fn value(placeholder: &str, facts: &Facts) -> String {
    let list = |all: &std::collections::BTreeSet<String>| {
        let all: Vec<String> = all.iter().map(|text| plain(text)).collect();
        if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
    };
    match placeholder {
        "user" => facts.user.to_string(),
        "from" => facts.from.as_str().to_owned(),
        "to" => facts.to(),
        "app" => facts.app.to_string(),
        "step" => facts.step.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string),
        "effect" => effect(facts.effect).to_owned(),
        "category" => category(facts.category).to_owned(),
        "labels" => list(&facts.labels),
        "sources" => list(&facts.receivers.sources),
        // Refused when the file is loaded.
        _ => String::new(),
    }
}

/// A label may hold a word of the user's or a host's name: one line, nothing that steers a terminal.
fn plain(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
