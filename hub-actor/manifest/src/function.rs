//! One functionality of an app.
//!
//! Answers: what does it do to the world, what does it take and give, and how is it shown to the planner?
//! Never: shows the planner a word of the app's own prose.
//! Carries: I-17.

use std::collections::BTreeSet;

use bus::id::{AppId, FunctionName};
use bus::message::profile::Method;
use bus::message::user::Effect;
use serde_json::Value;

use crate::schema::Schema;
use crate::signature;

/// A functionality as the manifest defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    /// Its name within the app.
    pub name: FunctionName,
    /// What it does to the world.
    pub effect: Effect,
    /// One vetted line; may reach the planner.
    pub summary: Option<String>,
    /// In the app's own words; for its own model only.
    pub description: Option<String>,
    /// What it takes: always an object.
    pub request: Schema,
    /// What it gives, if that is known.
    pub response: Option<Schema>,
    /// Parameters that say who receives.
    pub destinations: Vec<String>,
    /// The pin over what the app's server said of it; none where no server was asked.
    pub pinned: Option<String>,
    /// What it is at an MCP server.
    pub method: Method,
}

impl FunctionSpec {
    /// Do the arguments fit?
    ///
    /// # Errors
    /// Where they do not, in a sentence.
    pub fn check_request(&self, args: &Value) -> Result<(), String> {
        self.request.check(args)
    }

    /// Does the result fit? Without a response schema everything does.
    ///
    /// # Errors
    /// Where it does not, in a sentence.
    pub fn check_response(&self, result: &Value) -> Result<(), String> {
        self.response.as_ref().map_or(Ok(()), |schema| schema.check(result))
    }

    /// As the planner sees it: `app.name(parameter: type, optional?: type) -> effect — summary`.
    #[must_use]
    pub fn signature(&self, app: &AppId) -> String {
        signature::render(app, self)
    }

    /// Names of the parameters as the planner sees them.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        signature::parameters(self.request.value()).into_iter().map(|parameter| parameter.shown).collect()
    }

    /// Can this stand in for the other: the same effect, the same parameters, the same of them naming receivers? Whether
    /// what it gives has the same form counts where a later step takes a part of it.
    #[must_use]
    pub fn stands_in_for(&self, other: &Self, result_is_used: bool) -> bool {
        let destinations = |spec: &Self| spec.destinations.iter().cloned().collect::<BTreeSet<String>>();
        self.effect == other.effect
            && signature::form(self.request.value()) == signature::form(other.request.value())
            && destinations(self) == destinations(other)
            && (!result_is_used || self.gives() == other.gives())
    }

    fn gives(&self) -> Option<String> {
        self.response.as_ref().map(|schema| signature::type_of(schema.value(), 0))
    }

    /// Puts the app's own parameter names back where the planner was shown others.
    #[must_use]
    pub fn own_names(&self, args: Value) -> Value {
        signature::own_names(self.request.value(), args)
    }
}
