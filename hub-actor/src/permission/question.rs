//! A flow to be decided upon.
//!
//! Answers: who wants to send what to whom, as which step of which plan; and how is that said to a person?
//! Never: shows a person text of an app that could steer a terminal or pass for ours.
//! Carries: I-05.

use std::fmt;

use bus::id::{AppId, Functionality, SessionId, StepId, UserId, WorkId};
use bus::message::user::{Category, Effect, Flow, Prompt, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decide::Decision;
use super::destination::{Destination, Whence};
use super::label::{Label, Labels, printable};
use crate::plan::{Conformance, Sight, Source};
use crate::registry::Catalogue;

/// All that a decision depends on, besides policy and grants.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// On whose behalf.
    pub user: UserId,
    /// In which conversation.
    pub session: SessionId,
    /// For which query.
    pub query: WorkId,
    /// From whom.
    pub from: Origin,
    /// To whom.
    pub to: Target,
    /// With which arguments; for a delegate its request, for stored data [`data_args`].
    pub args: Value,
    /// Where the data comes from: all that the sender ever got, and what the arguments carry.
    pub labels: Labels,
    /// What it does to the world. Running an app by a delegate, and giving it stored data, only reads.
    pub effect: Effect,
    /// Is it as planned?
    pub conformance: Conformance,
    /// Who receives, by [`super::destination::check`].
    pub destinations: Vec<Destination>,
    /// Which parts of the arguments came from earlier steps.
    pub sources: Vec<Source>,
    /// By [`pin`].
    pub pin: String,
    /// Is somebody there to be asked?
    pub attended: bool,
    /// Of which step of the plan, if of one.
    pub step: Option<StepId>,
}

/// From whom a flow comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Origin {
    /// The executor, by the plan.
    Plan,
    /// An app asks for it.
    App(AppId),
    /// What is stored about the user.
    Memory,
}

/// To whom a flow goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// A functionality.
    Functionality(Functionality),
    /// An app's own model.
    App(AppId),
}

impl Target {
    /// The app that receives.
    #[must_use]
    pub fn app(&self) -> &AppId {
        match self {
            Self::Functionality(functionality) => &functionality.app,
            Self::App(app) => app,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan => f.write_str("plan"),
            Self::App(app) => app.fmt(f),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Functionality(functionality) => functionality.fmt(f),
            Self::App(app) => app.fmt(f),
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = bus::id::IdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Both names are reserved, so no app has them.
        match text.as_str() {
            "plan" => Ok(Self::Plan),
            "memory" => Ok(Self::Memory),
            app => AppId::parse(app).map(Self::App),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = bus::id::IdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('.') {
            Functionality::parse(&text).map(Self::Functionality)
        } else {
            AppId::parse(&text).map(Self::App)
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.to_string()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

/// What a grant is bound to: the pins of the apps that take part. An app that changed is another one.
#[must_use]
pub fn pin(catalogue: &Catalogue, from: &Origin, to: &Target) -> String {
    let of = |app: &AppId| catalogue.app(app).map_or("", |manifest| manifest.hash.as_str());
    match from {
        Origin::App(caller) if caller != to.app() => format!("{} {}", of(caller), of(to.app())),
        _ => of(to.app()).to_owned(),
    }
}

/// The arguments of a flow of stored data: each item with its source, as the user will see it.
#[must_use]
pub fn data_args(items: &[crate::memory::text::Item]) -> Value {
    json!({"items": items})
}

impl Question {
    /// The reference's category: stored data to an app; an app's output to another; else running an app.
    #[must_use]
    pub fn category(&self) -> Category {
        let to = self.to.app();
        let foreign = |label: &Label| matches!(label, Label::App(app) if app != to);
        match &self.from {
            Origin::Memory => Category::Data,
            Origin::App(app) if app != to => Category::Collab,
            _ if self.labels.iter().any(foreign) => Category::Collab,
            Origin::Plan | Origin::App(_) => Category::Exec,
        }
    }

    /// The flow as recorded and shown.
    #[must_use]
    pub fn flow(&self, decision: &Decision) -> Flow {
        let (verdict, by, reason) = match decision {
            Decision::Allow { by, reason } => (Verdict::Allow, by, reason),
            Decision::Ask { by, reason, .. } => (Verdict::Ask, by, reason),
            Decision::Deny { by, reason } => (Verdict::Deny, by, reason),
        };
        self.flow_with(verdict, by, reason)
    }

    /// The flow after a person, or the clock, had the last word.
    #[must_use]
    pub fn flow_with(&self, decision: Verdict, by: &str, reason: &str) -> Flow {
        Flow {
            from: self.from.to_string(),
            to: self.to.to_string(),
            args: self.args.clone(),
            labels: self.labels.to_strings(),
            expected: self.conformance.is_expected(),
            effect: self.effect,
            category: self.category(),
            decision,
            by: by.to_owned(),
            reason: reason.to_owned(),
            step: self.step.clone(),
            receivers: self.destinations.iter().map(Destination::told).collect(),
            accounted: self.unaccounted().is_empty(),
        }
    }

    /// The prompt for a flow that is asked about; `None` if it is not. `apps_words` is why the app asks.
    #[must_use]
    pub fn prompt(
        &self,
        id: WorkId,
        decision: &Decision,
        apps_words: Option<&str>,
        limit_ms: u64,
    ) -> Option<Prompt> {
        let Decision::Ask { warning, offers, .. } = decision else { return None };
        Some(Prompt {
            id,
            query: self.query.clone(),
            session: self.session.clone(),
            flow: self.flow(decision),
            others: Vec::new(),
            widths: Vec::new(),
            warning: warning.clone(),
            apps_words: apps_words
                .filter(|words| !words.trim().is_empty())
                .map(|words| printable(words, 300)),
            offers: offers.clone(),
            limit_ms,
        })
    }

    /// What would happen, as a sentence: who, what, to whom, with which arguments.
    #[must_use]
    pub fn sentence(&self) -> String {
        let to = &self.to;
        match (&self.from, to) {
            (Origin::Memory, _) => {
                format!("{} would get this stored data of yours: {}.", to.app(), items(&self.args))
            }
            (Origin::Plan, Target::App(app)) => {
                format!("The plan hands {app} this work: {}.", shown(&self.args))
            }
            (Origin::Plan, Target::Functionality(_)) => {
                format!("The plan calls {to}, which {}, with {}.", does(self.effect), arguments(&self.args))
            }
            (Origin::App(app), Target::App(_)) => {
                format!("{app} would have {to} do this: {}.", shown(&self.args))
            }
            (Origin::App(app), Target::Functionality(_)) => {
                format!("{app} asks for {to}, which {}, with {}.", does(self.effect), arguments(&self.args))
            }
        }
    }

    /// Whose data would move, as a sentence; `None` if it is the user's own words alone.
    #[must_use]
    pub fn provenance(&self) -> Option<String> {
        let foreign: Vec<String> = self
            .labels
            .iter()
            .filter_map(|label| match label {
                Label::User => None,
                Label::App(app) => Some(format!("what {app} said")),
                Label::Web(host) => Some(format!("what came from {host}")),
                Label::Memory(entry) => Some(format!("your stored {entry}")),
            })
            .collect();
        (!foreign.is_empty()).then(|| format!("It may carry {}.", foreign.join(", ")))
    }

    /// The arguments that a model made, or chose with texts in sight that anybody may have written; each as a sentence. Who receives
    /// is told by [`Question::receivers`].
    #[must_use]
    pub fn unaccounted(&self) -> Vec<String> {
        let receives = |at: &str| {
            let parameter = parameter(at);
            self.destinations.iter().any(|destination| destination.parameter == parameter)
        };
        let doubtful = self.sources.iter().filter(|source| source.sight != Sight::Field);
        doubtful
            .filter(|source| !receives(&source.at))
            .map(|source| {
                let (parameter, step) = (printable(&parameter(&source.at), 40), &source.step);
                let from = source.labels.to_strings().join(", ");
                match source.sight {
                    Sight::Text => format!("{parameter} is text, or was taken from a text, in what step {step} returned ({from}); whoever wrote that may have decided it."),
                    Sight::Made | Sight::Field => format!("{parameter} was worked out by a model from what step {step} returned ({from})."),
                }
            })
            .collect()
    }

    /// Characters in the arguments that a person would not see for what they are, as sentences.
    #[must_use]
    pub fn lookalikes(&self) -> Vec<String> {
        let mut told = Vec::new();
        let Some(fields) = self.args.as_object() else { return told };
        for (name, value) in fields {
            let mut remarks = Vec::new();
            texts(value, &mut |text| {
                for remark in super::lookalike::remarks(text) {
                    if !remarks.contains(&remark) {
                        remarks.push(remark);
                    }
                }
            });
            remarks.truncate(5);
            if !remarks.is_empty() {
                told.push(format!("{} {}.", printable(name, 40), remarks.join(", ")));
            }
        }
        told
    }

    /// Who would receive without the user having named them, as sentences.
    #[must_use]
    pub fn receivers(&self) -> Vec<String> {
        self.destinations
            .iter()
            .filter(|destination| destination.whence != Whence::User)
            .map(|destination| {
                let value = printable(&destination.value, 120);
                let parameter = printable(&destination.parameter, 40);
                match &destination.whence {
                    Whence::User => String::new(),
                    Whence::Planner => {
                        format!("{parameter} is {value:?}, which does not stand in your words.")
                    }
                    Whence::Step { step, labels, sight } => {
                        let text = if *sight == Sight::Text {
                            ", from a text that anybody may have written"
                        } else {
                            ""
                        };
                        format!(
                            "{parameter} is {value:?}, which comes from step {step} ({}){text}.",
                            labels.to_strings().join(", ")
                        )
                    }
                    Whence::App(app) => format!("{parameter} is {value:?}, which {app} gave."),
                }
            })
            .collect()
    }
}

/// The parameter that a place in the arguments belongs to.
fn parameter(at: &str) -> String {
    let first = at.trim_start_matches('/').split('/').next().unwrap_or_default();
    first.replace("~1", "/").replace("~0", "~")
}

/// What an effect means, to be put after "which".
fn does(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "only reads",
        Effect::Write => "changes something",
        Effect::Irreversible => "cannot be undone",
    }
}

fn arguments(args: &Value) -> String {
    let Some(fields) = args.as_object() else { return shown(args) };
    if fields.is_empty() {
        return "no arguments".to_owned();
    }
    let one = |(name, value): (&String, &Value)| format!("{} {}", printable(name, 40), shown(value));
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn items(args: &Value) -> String {
    let all = args.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |item: &Value| {
        let source = item.get("source").and_then(Value::as_str).unwrap_or("?");
        format!(
            "{} {}",
            printable(source.trim_start_matches("memory:"), 80),
            shown(item.get("text").unwrap_or(&Value::Null))
        )
    };
    if all.is_empty() { "nothing".to_owned() } else { all.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// A value on one line, in quotation marks if it is a text. The whole value is in the flow; a person reads this.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("“{}”", printable(text, MAX_SHOWN)),
        other => printable(&other.to_string(), MAX_SHOWN),
    }
}

/// Every text that is short enough to be read for its letters: a name, an address; not a letter's body.
fn texts(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) if text.len() <= 300 => found(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            found(name);
            texts(field, found);
        }),
        _ => {}
    }
}

/// Enough for a person to recognise a text by.
const MAX_SHOWN: usize = 400;
