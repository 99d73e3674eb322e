//! What a person has allowed or refused before.
//!
//! Answers: does an earlier answer settle this flow?
//! Never: stretches an answer to another user, caller, functionality, app version, source or receiver.
//! Carries: I-05, I-07.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use bus::id::{IdError, SessionId, UserId, WorkId};
use bus::message::user::{Category, Choice, Effect, Width};
use serde::{Deserialize, Serialize};

use super::destination::{Destination, Whence};
use super::label::{Label, Labels};
use super::offer::widths;
use super::question::{Origin, Question, Target};

/// Names a grant: letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantId(WorkId);

impl GrantId {
    /// A new one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(WorkId::fresh())
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is not made of letters and digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        WorkId::parse(text).map(Self)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A person's answer that holds for more than one flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Whose answer it is.
    pub user: UserId,
    /// From whom.
    pub caller: Origin,
    /// To whom.
    pub target: Target,
    /// Of this category only.
    pub category: Category,
    /// Of these versions of the apps only; see [`super::question::pin`].
    pub pin: String,
    /// Carrying data of these sources at most. What the receiving app itself said does not count: it has that.
    pub labels: Labels,
    /// To these receivers besides those that the user names.
    pub receivers: BTreeSet<String>,
    /// And how far beyond them.
    #[serde(default)]
    pub reach: Reach,
    /// Also when it is not in the plan? Only if the person saw that it was not.
    pub unexpected: bool,
    /// How long.
    pub scope: Scope,
    /// Yes or no.
    pub answer: Answer,
    /// When it was given, Unix seconds.
    pub created: u64,
    /// When it ends, Unix seconds; until it is revoked, if absent.
    #[serde(default)]
    pub expires: Option<u64>,
}

/// How far a grant reaches beyond the receivers that were shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Not at all.
    #[default]
    Shown,
    /// To any mail address at this domain.
    Domain(String),
    /// To anybody.
    Anybody,
}

/// What a person chose beside the choice itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// How far it reaches. What was not offered counts as nothing.
    pub width: Option<Width>,
    /// For how many days it holds.
    pub days: Option<u32>,
}

/// How far a clock may have been set back before a grant that seems to be of the future counts as ended, seconds.
const SET_BACK: u64 = 24 * 60 * 60;

/// How long an answer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To the end of this query.
    Query(WorkId),
    /// To the end of this conversation, or of the hub.
    Session(SessionId),
    /// Until revoked.
    Always,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

impl Grant {
    /// What is to be remembered of an answer. `now` is Unix seconds.
    ///
    /// "Once" is not remembered. "Not this one" is remembered to the end of the query if an app asked, so that it
    /// cannot ask until the person gives in; the plan asks only once anyway. What cannot be undone, and "always" for
    /// stored data, is remembered as "once": it was not offered.
    #[must_use]
    pub fn of_answer(question: &Question, choice: Choice, id: GrantId, now: u64) -> Option<Self> {
        let scope = match choice {
            Choice::Once => return None,
            Choice::Deny if question.from == Origin::Plan => return None,
            Choice::Deny => Scope::Query(question.query.clone()),
            Choice::Session | Choice::Always if question.effect == Effect::Irreversible => return None,
            Choice::Always if question.category() == Category::Data => return None,
            Choice::Session => Scope::Session(question.session.clone()),
            Choice::Always => Scope::Always,
        };
        Some(Self {
            id,
            user: question.user.clone(),
            caller: question.from.clone(),
            target: question.to.clone(),
            category: question.category(),
            pin: question.pin.clone(),
            labels: question.labels.clone(),
            receivers: unnamed(question),
            reach: Reach::Shown,
            unexpected: !question.conformance.is_expected(),
            scope,
            answer: if choice == Choice::Deny { Answer::Deny } else { Answer::Allow },
            created: now,
            expires: None,
        })
    }

    /// What is to be remembered of an answer to several flows of a kind: one grant that covers what was shown, as far
    /// as the person wants it to reach, and no further than was offered.
    #[must_use]
    pub fn of_answers(
        questions: &[&Question],
        choice: Choice,
        extent: &Extent,
        id: GrantId,
        now: u64,
    ) -> Option<Self> {
        let (first, rest) = questions.split_first()?;
        let mut grant = Self::of_answer(first, choice, id, now)?;
        for question in rest {
            // They are of one kind, so this is not `None`; should they not be, nothing is remembered.
            let other = Self::of_answer(question, choice, GrantId::fresh(), now)?;
            grant.labels.add(&other.labels);
            grant.receivers.extend(other.receivers);
            grant.unexpected &= other.unexpected;
        }
        if grant.answer == Answer::Allow {
            let offered = widths(questions.iter().copied());
            grant.reach = match extent.width.clone().filter(|width| offered.contains(width)) {
                Some(Width::Domain(domain)) => Reach::Domain(domain),
                Some(Width::Anybody) => Reach::Anybody,
                Some(Width::Shown) | None => Reach::Shown,
            };
            let days = extent.days.filter(|_| grant.scope == Scope::Always);
            grant.expires = days.map(|days| after(now, days));
        }
        Some(grant)
    }

    /// Is it in force at this time? One that seems to have been given in the future is not: a clock that was set back
    /// does not make it longer.
    #[must_use]
    pub fn is_current(&self, now: u64) -> bool {
        self.expires.is_none_or(|end| now < end && self.created <= now.saturating_add(SET_BACK))
    }

    fn reaches(&self, question: &Question) -> bool {
        let receivers = question.destinations.iter().filter(|receiver| receiver.whence != Whence::User);
        receivers.into_iter().all(|receiver| {
            self.receivers.contains(&named(receiver))
                || match &self.reach {
                    Reach::Shown => false,
                    Reach::Domain(domain) => super::offer::domain(&receiver.value).as_ref() == Some(domain),
                    Reach::Anybody => true,
                }
        })
    }

    /// Does it hold for this flow?
    #[must_use]
    pub fn settles(&self, question: &Question) -> bool {
        let same = self.user == question.user
            && self.caller == question.from
            && self.target == question.to
            && match &self.scope {
                Scope::Query(query) => *query == question.query,
                Scope::Session(session) => *session == question.session,
                Scope::Always => true,
            };
        match self.answer {
            // A no holds for the whole way from the one to the other, whatever is sent: saying it in other words
            // does not make it another question.
            Answer::Deny => same,
            Answer::Allow => {
                same && self.pin == question.pin
                    && !self.pin.is_empty()
                    && self.category == question.category()
                    && question.effect != Effect::Irreversible
                    && !(self.scope == Scope::Always && self.category == Category::Data)
                    && (self.unexpected || question.conformance.is_expected())
                    && question.labels.without(&Label::App(question.to.app().clone())).is_within(&self.labels)
                    && self.reaches(question)
            }
        }
    }
}

/// So many days after a time in Unix seconds.
fn after(now: u64, days: u32) -> u64 {
    now.saturating_add(u64::from(days).saturating_mul(24 * 60 * 60))
}

/// Receivers that the user did not name.
fn unnamed(question: &Question) -> BTreeSet<String> {
    let unnamed = question.destinations.iter().filter(|destination| destination.whence != Whence::User);
    unnamed.map(named).collect()
}

fn named(destination: &Destination) -> String {
    format!("{}={}", destination.parameter, destination.value)
}

/// All grants that the hub knows. Those that are not for always live here alone and end with the hub.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    of: BTreeMap<UserId, Granted>,
}

/// The grants of one user.
#[derive(Clone, Debug, Default)]
struct Granted {
    /// Oldest first.
    all: Vec<Grant>,
    /// Their places in it, by who may reach whom: of thousands a few are about a flow.
    ways: HashMap<(Origin, Target), Vec<usize>>,
}

impl Granted {
    fn add(&mut self, grant: Grant) {
        let way = (grant.caller.clone(), grant.target.clone());
        self.ways.entry(way).or_default().push(self.all.len());
        self.all.push(grant);
    }

    /// Keeps those that are wanted.
    fn keep(&mut self, wanted: impl Fn(&Grant) -> bool) {
        if self.all.iter().all(&wanted) {
            return;
        }
        let kept = std::mem::take(self).all.into_iter().filter(wanted);
        kept.for_each(|grant| self.add(grant));
    }

    fn about(&self, question: &Question) -> impl Iterator<Item = &Grant> {
        let places = self.ways.get(&(question.from.clone(), question.to.clone()));
        places.into_iter().flatten().filter_map(|place| self.all.get(*place))
    }
}

impl Grants {
    /// Of these, as loaded from the store. Only those for always are taken: the others ended with the hub that
    /// they were given to.
    #[must_use]
    pub fn new(stored: Vec<Grant>) -> Self {
        let mut grants = Self::default();
        stored.into_iter().filter(|grant| grant.scope == Scope::Always).for_each(|grant| grants.add(grant));
        grants
    }

    /// One more.
    pub fn add(&mut self, grant: Grant) {
        self.of.entry(grant.user.clone()).or_default().add(grant);
    }

    /// Takes one of this user's back; `None` if the user has none of this name.
    pub fn revoke(&mut self, user: &UserId, id: &GrantId) -> Option<Grant> {
        let granted = self.of.get_mut(user)?;
        let revoked = granted.all.iter().find(|grant| grant.id == *id).cloned()?;
        granted.keep(|grant| grant.id != *id);
        Some(revoked)
    }

    /// Has one of this user's that was given for always end so many days from `now`, and returns it as it is now.
    ///
    /// # Errors
    /// If there is none, or it would hold longer than it does: only a person who sees the prompt can give more.
    pub fn end_in(&mut self, user: &UserId, id: &GrantId, days: u32, now: u64) -> Result<Grant, String> {
        let all = self.of.get_mut(user).map(|granted| granted.all.as_mut_slice()).unwrap_or_default();
        let found = all.iter_mut().find(|grant| grant.id == *id);
        let grant = found.ok_or_else(|| format!("there is no grant {id}"))?;
        if grant.scope != Scope::Always {
            return Err(format!("grant {id} was not given for always; it ends with its conversation"));
        }
        let end = after(now, days);
        if days == 0 || grant.expires.is_some_and(|earlier| earlier < end) {
            return Err(format!("grant {id} can be ended sooner than it ends, and after a day at least"));
        }
        grant.expires = Some(end);
        Ok(grant.clone())
    }

    /// Those whose time is up are no longer in force. Returns them.
    pub fn expire(&mut self, now: u64) -> Vec<Grant> {
        let all = self.of.values().flat_map(|granted| &granted.all);
        let ended: Vec<Grant> = all.filter(|grant| !grant.is_current(now)).cloned().collect();
        if !ended.is_empty() {
            self.keep(|grant| grant.is_current(now));
        }
        ended
    }

    /// Those of a query that has ended are no longer needed.
    pub fn query_ended(&mut self, query: &WorkId) {
        self.keep(|grant| !matches!(&grant.scope, Scope::Query(of) if of == query));
    }

    /// Those of a conversation that has ended are no longer in force.
    pub fn session_ended(&mut self, user: &UserId, session: &SessionId) {
        self.keep(|grant| {
            grant.user != *user || !matches!(&grant.scope, Scope::Session(of) if of == session)
        });
    }

    fn keep(&mut self, wanted: impl Fn(&Grant) -> bool) {
        self.of.values_mut().for_each(|granted| granted.keep(&wanted));
        self.of.retain(|_, granted| !granted.all.is_empty());
    }

    /// All of this user's, oldest first.
    #[must_use]
    pub fn of_user(&self, user: &UserId) -> &[Grant] {
        self.of.get(user).map(|granted| granted.all.as_slice()).unwrap_or_default()
    }

    /// An answer that settles this flow. A no goes before every yes.
    #[must_use]
    pub fn settling(&self, question: &Question, answer: Answer) -> Option<&Grant> {
        let mut about = self.of.get(&question.user)?.about(question);
        about.find(|grant| grant.answer == answer && grant.settles(question))
    }
}
