//! A flow that was recorded, as the rules would see it again.
//!
//! Answers: what would the rules say of this flow, and what would a person be told?
//! Never: takes a record for a permission; nothing is let through by what stands here.

use std::collections::BTreeSet;

use bus::id::{AppId, Functionality, IdError, UserId};
use bus::message::user::{Category, Flow, Named, Verdict};

use crate::facts::{Caller, Facts, Receiver};
use crate::ruling::{Ruling, Said};

impl Caller {
    /// Reads what flows hold: `plan`, `memory`, or an app.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text {
            "plan" => Ok(Self::Plan),
            "memory" => Ok(Self::Memory),
            app => AppId::parse(app).map(Self::App),
        }
    }
}

impl Facts {
    /// The facts of a flow, as recorded. Was somebody there to be asked? That no flow tells.
    ///
    /// # Errors
    /// If it names somebody that nobody can be.
    pub fn of_flow(user: &UserId, flow: &Flow, attended: bool) -> Result<Self, IdError> {
        let (app, function) = match flow.to.contains('.') {
            true => Functionality::parse(&flow.to).map(|to| (to.app, Some(to.name)))?,
            false => (AppId::parse(&flow.to)?, None),
        };
        let receiver = |receiver: &bus::message::user::Receiver| {
            let value = receiver.value.clone();
            match receiver.whence {
                Named::User => Receiver::Named(value),
                Named::Planner => Receiver::Unnamed(value),
                Named::Step | Named::App => {
                    Receiver::Derived(value, receiver.sources.iter().cloned().collect())
                }
            }
        };
        Ok(Self {
            user: user.clone(),
            from: Caller::parse(&flow.from)?,
            app,
            function,
            effect: flow.effect,
            category: flow.category,
            expected: flow.expected,
            accounted: flow.accounted,
            attended,
            step: flow.step.clone(),
            labels: flow.labels.iter().cloned().collect(),
            receivers: flow.receivers.iter().map(receiver).collect(),
        })
    }
}

/// The category of a flow: stored data to an app; what an app said to another; else running an app.
#[must_use]
pub fn category_of(from: &Caller, to: &AppId, labels: &BTreeSet<String>) -> Category {
    let foreign = |label: &String| label.strip_prefix("app:").is_some_and(|app| app != to.as_str());
    match from {
        Caller::Memory => Category::Data,
        Caller::App(app) if app != to => Category::Collab,
        _ if labels.iter().any(foreign) => Category::Collab,
        Caller::Plan | Caller::App(_) => Category::Exec,
    }
}

impl Ruling {
    /// What becomes of the flow if there are no grants: the verdict, by which rule, and why.
    #[must_use]
    pub fn verdict(&self, attended: bool) -> (Verdict, String, String) {
        let by = |rule: &str| format!("policy:{rule}");
        match self {
            Self::Proceeds(Said { rule, why }) => (Verdict::Allow, by(rule), why.clone()),
            Self::Forbidden(Said { rule, why }) => (Verdict::Deny, by(rule), why.clone()),
            Self::Asks { said, .. } if attended => (Verdict::Ask, by(&said.rule), said.why.clone()),
            Self::Asks { said, .. } => {
                let why = format!("{} Nobody is there to be asked, so it is denied.", said.why);
                (Verdict::Deny, by("unattended"), why)
            }
            Self::Nothing => (Verdict::Deny, by("none"), "No rule permits it.".to_owned()),
        }
    }

    /// The rule that was decisive, if one was.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Proceeds(said) | Self::Forbidden(said) | Self::Asks { said, .. } => Some(&said.rule),
            Self::Nothing => None,
        }
    }
}
