//! What is allowed without asking, asked about, or forbidden.
//!
//! Answers: which preset is in force, and what did the organisation forbid?
//! Never: permits by omission; without a preset nothing is permitted.
//! Carries: I-06, I-07.

use std::str::FromStr;

use bus::id::AppId;
use bus::message::user::Effect;

use super::question::{Question, Target};

/// The policy in force. A value; it is replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    preset: Option<Preset>,
    forbidden: Vec<Forbid>,
}

/// What is asked about, in broad lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything is asked about that no grant covers.
    Strict,
    /// Expected reads run; the rest is asked about.
    Balanced,
    /// Expected reads run; the rest is denied.
    Locked,
}

/// The names of the presets.
pub const PRESETS: [&str; 3] = ["strict", "balanced", "locked"];

/// A preset that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset {0:?}; there are strict, balanced and locked")]
pub struct NoSuchPreset(String);

impl FromStr for Preset {
    type Err = NoSuchPreset;
    fn from_str(text: &str) -> Result<Self, NoSuchPreset> {
        match text {
            "strict" => Ok(Self::Strict),
            "balanced" => Ok(Self::Balanced),
            "locked" => Ok(Self::Locked),
            other => Err(NoSuchPreset(other.chars().take(80).collect())),
        }
    }
}

/// Something that never happens, whoever wants it. Each field that is given must agree; with none it is everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbid {
    /// Its name, as decisions give it.
    pub id: String,
    /// From this origin only: `plan`, `memory` or an app.
    pub from: Option<String>,
    /// To this app or functionality only.
    pub to: Option<String>,
    /// Of this effect or a worse one only.
    pub effect: Option<Effect>,
    /// Carrying data of this app only.
    pub carrying: Option<AppId>,
}

impl Policy {
    /// This preset.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        Self { preset: Some(preset), forbidden: Vec::new() }
    }

    /// Nothing is permitted.
    #[must_use]
    pub fn empty() -> Self {
        Self { preset: None, forbidden: Vec::new() }
    }

    /// And this is forbidden besides.
    #[must_use]
    pub fn forbidding(mut self, forbid: Forbid) -> Self {
        self.forbidden.push(forbid);
        self
    }

    /// The preset in force, if there is one.
    #[must_use]
    pub fn in_force(&self) -> Option<Preset> {
        self.preset
    }

    /// What forbids this, if anything does.
    #[must_use]
    pub fn forbids(&self, question: &Question) -> Option<&Forbid> {
        self.forbidden.iter().find(|forbid| forbid.is_about(question))
    }
}

impl Forbid {
    fn is_about(&self, question: &Question) -> bool {
        let from = question.from.to_string();
        let to = match &question.to {
            Target::Functionality(functionality) => functionality.to_string(),
            Target::App(app) => app.to_string(),
        };
        let app = question.to.app().as_str();
        self.from.as_ref().is_none_or(|wanted| *wanted == from)
            && self.to.as_ref().is_none_or(|wanted| *wanted == to || wanted == app)
            && self.effect.is_none_or(|least| least <= question.effect)
            && self
                .carrying
                .as_ref()
                .is_none_or(|app| question.labels.contains(&super::label::Label::App(app.clone())))
    }
}
