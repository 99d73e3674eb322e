//! Names of entries in the store.
//!
//! Answers: under which key does this stand?
//! Never: takes a part of a key from anything but a user's and an app's checked names.
//! Carries: I-14.

use std::fmt;

use bus::id::{AppId, UserId};

/// Whose memory it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The conversation of the user with the hub.
    Hub,
    /// What an app's own model was told and said.
    App(AppId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An app's name never stands alone, so that an app named `hub` is not the hub.
            Self::Hub => f.write_str("hub"),
            Self::App(app) => write!(f, "app:{app}"),
        }
    }
}

/// A part of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The turns: a list.
    History,
    /// How many turns there ever were, and the running summary with how far it goes: a hash.
    Summary,
    /// Particulars that the user told: a hash.
    Entities,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::History, Self::Summary, Self::Entities];

    fn as_str(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Summary => "summary",
            Self::Entities => "entities",
        }
    }
}

/// The key of a part. Neither kind of name can hold a colon.
#[must_use]
pub fn key(user: &UserId, owner: &Owner, part: Part) -> String {
    format!("secgpt:{user}:{owner}:{}", part.as_str())
}

/// The key of the set of owners of whom something is remembered for this user.
#[must_use]
pub fn owners(user: &UserId) -> String {
    format!("secgpt:{user}:owners")
}

/// Reads an owner as [`Owner`] is written.
#[must_use]
pub fn read_owner(text: &str) -> Option<Owner> {
    match text.split_once(':') {
        None if text == "hub" => Some(Owner::Hub),
        Some(("app", app)) => AppId::parse(app).ok().map(Owner::App),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(name: &str) -> Owner {
        if name.is_empty() { Owner::Hub } else { Owner::App(AppId::parse(name).unwrap()) }
    }

    proptest! {
        #[test]
        fn an_app_cannot_read_another_apps_memory(
            a in "[a-zA-Z0-9][a-zA-Z0-9-]{0,6}", b in "[a-zA-Z0-9][a-zA-Z0-9-]{0,6}",
            x in "(hub|owners|user|[a-z][a-z0-9-]{0,6}|)", y in "(hub|owners|user|[a-z][a-z0-9-]{0,6}|)",
        ) {
            let (a, b) = (UserId::parse(&a).unwrap(), UserId::parse(&b).unwrap());
            let (x, y) = (owner(&x), owner(&y));
            for p in Part::ALL {
                prop_assert_ne!(key(&a, &x, p), owners(&b));
                for q in Part::ALL {
                    prop_assert_eq!(key(&a, &x, p) == key(&b, &y, q), (&a, &x, p) == (&b, &y, q));
                }
            }
        }
    }

    #[test]
    fn an_app_named_hub_is_not_the_hub() {
        let user = UserId::parse("ann").unwrap();
        assert_eq!(key(&user, &owner("hub"), Part::History), "secgpt:ann:app:hub:history");
        assert_eq!(key(&user, &Owner::Hub, Part::History), "secgpt:ann:hub:history");
        assert_eq!(read_owner("app:hub"), Some(owner("hub")));
        assert_eq!(read_owner("hub"), Some(Owner::Hub));
        assert_eq!(read_owner("mail"), None);
    }
}
