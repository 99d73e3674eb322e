//! A flow, as rules see it.
//!
//! Answers: which facts about a flow may a rule speak of?
//! Never: holds a fact that an app or a model states of itself.

use std::collections::BTreeSet;

use bus::id::{AppId, FunctionName, Functionality, StepId, UserId};
use bus::message::user::{Category, Effect};

/// The source of a receiver that stands neither in the user's words nor in any data: the planner made it up.
pub const PLANNER: &str = "planner";

/// All that a rule may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// For whom.
    pub user: UserId,
    /// From whom.
    pub from: Caller,
    /// To which app.
    pub app: AppId,
    /// To which functionality of it; none for work handed to the app's own model, and for stored data.
    pub function: Option<FunctionName>,
    /// What it does to the world.
    pub effect: Effect,
    /// The category.
    pub category: Category,
    /// Is it as planned?
    pub expected: bool,
    /// Does every argument stand in the user's words, in the plan, or in a field of a result?
    pub accounted: bool,
    /// Is somebody there to be asked?
    pub attended: bool,
    /// Of which step, if of one.
    pub step: Option<StepId>,
    /// Where the data comes from, as labels are written.
    pub labels: BTreeSet<String>,
    /// Who receives.
    pub receivers: Receivers,
}

/// Who wants something done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The plan.
    Plan,
    /// What is stored about the user.
    Memory,
    /// An app.
    App(AppId),
}

/// Who receives, by who named them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Receivers {
    /// In the user's words.
    pub named: BTreeSet<String>,
    /// From an earlier step or from the app that asks.
    pub derived: BTreeSet<String>,
    /// Made up by the planner.
    pub unnamed: BTreeSet<String>,
    /// Where those come from that are not in the user's words, as labels are written.
    pub sources: BTreeSet<String>,
}

/// A receiver and where it comes from, to be sorted into [`Receivers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// In the user's words.
    Named(String),
    /// From these sources.
    Derived(String, BTreeSet<String>),
    /// Made up by the planner.
    Unnamed(String),
}

impl FromIterator<Receiver> for Receivers {
    fn from_iter<I: IntoIterator<Item = Receiver>>(receivers: I) -> Self {
        let mut all = Self::default();
        for receiver in receivers {
            match receiver {
                Receiver::Named(value) => _ = all.named.insert(value),
                Receiver::Derived(value, sources) => {
                    all.derived.insert(value);
                    all.sources.extend(sources);
                }
                Receiver::Unnamed(value) => {
                    all.unnamed.insert(value);
                    all.sources.insert(PLANNER.to_owned());
                }
            }
        }
        all
    }
}

impl Receivers {
    /// Is each in the user's words? Also if there is none.
    #[must_use]
    pub fn all_named(&self) -> bool {
        self.derived.is_empty() && self.unnamed.is_empty()
    }

    /// The machine of each receiver.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        [&self.named, &self.derived, &self.unnamed].into_iter().flatten().map(|value| host(value)).collect()
    }
}

/// The machine that a receiver names, if it is an address or a URL. One that names none, or not clearly, counts as
/// the machine without a name: so no rule about some hosts is met by a receiver that is at none of them.
fn host(value: &str) -> String {
    clear_host(value).unwrap_or_default()
}

fn clear_host(value: &str) -> Option<String> {
    let (url, rest) = match value.split_once("://") {
        Some((_, rest)) => (true, rest.split(['/', '?', '#']).next()?),
        None => (false, value),
    };
    let host = match (rest.rsplit_once('@'), url) {
        (None, true) => rest,
        (Some((_, host)), _) => host,
        (None, false) => return None,
    };
    let host = if url { host.split_once(':').map_or(host, |(name, _)| name) } else { host };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    // What other parsers would read otherwise is not clear.
    let odd = rest.contains(['\\', ' ', ',', ';', '<', '>', '"']);
    (!host.is_empty() && !odd && host.chars().all(plain)).then_some(host)
}

impl Caller {
    /// As in flows.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plan => "plan",
            Self::Memory => "memory",
            Self::App(app) => app.as_str(),
        }
    }
}

impl Facts {
    /// To whom, as in flows: `<app>.<functionality>`, or the app alone.
    #[must_use]
    pub fn to(&self) -> String {
        match &self.function {
            Some(name) => Functionality { app: self.app.clone(), name: name.clone() }.to_string(),
            None => self.app.to_string(),
        }
    }

    /// How much text they hold that is not of a bounded length by its type.
    pub(crate) fn bytes(&self) -> usize {
        let Receivers { named, derived, unnamed, sources } = &self.receivers;
        [&self.labels, named, derived, unnamed, sources].into_iter().flatten().map(String::len).sum()
    }

    /// Does an app use a functionality of its own?
    #[must_use]
    pub fn own(&self) -> bool {
        matches!(&self.from, Caller::App(caller) if *caller == self.app) && self.function.is_some()
    }
}

pub(crate) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Irreversible => "irreversible",
    }
}

pub(crate) fn category(category: Category) -> &'static str {
    match category {
        Category::Exec => "exec",
        Category::Data => "data",
        Category::Collab => "collab",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_receiver_is_that_of_its_address_or_url() {
        for (value, expected) in [
            ("bob@x.example", "x.example"),
            ("Bob@X.Example.", "x.example"),
            ("https://x.example/pay?to=a@evil.example", "x.example"),
            ("https://x.example@evil.example/pay", "evil.example"),
            ("https://x.example:8443", "x.example"),
            ("https://x.example\\@evil.example", ""),
            ("eve@evil.example, bob@x.example", ""),
            ("eve@evil.example <bob@x.example", ""),
            ("bob@xn--exmple-cua.example", "xn--exmple-cua.example"),
            ("bob@\u{435}xample.com", ""),
            ("DE89 3704", ""),
            ("bob@", ""),
        ] {
            assert_eq!(host(value), expected, "{value}");
        }
    }
}
