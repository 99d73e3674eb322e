//! Inter-spoke communication, and stored data: spoke to hub on `…out.isc.*` and `…out.memory.recall`.
//!
//! The caller is whose subject the request came in on. Names come as text, because a model wrote them:
//! a name that is not legal is answered as one that does not exist.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::Failure;
use crate::envelope::Message;
use crate::id::WorkId;

/// In which words does one ask for this functionality?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// `<app>.<functionality>`.
    pub functionality: String,
}

impl Message for Probe {
    const KIND: &'static str = "isc-probe";
    const MAX: usize = 4 << 10;
}

/// Answer to [`Probe`]. An app that may not know whether something exists gets the same answer as if it did not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probed {
    /// These are the words.
    Found {
        /// JSON Schema of the arguments.
        request: Value,
        /// JSON Schema of the result.
        response: Option<Value>,
    },
    /// There is no such thing for this caller.
    NotFound,
}

impl Message for Probed {
    const KIND: &'static str = "isc-probed";
}

/// Please have this done by another app. Every request is a flow and is decided upon, probed before or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The caller's own task for which it asks.
    pub task: WorkId,
    /// `<app>.<functionality>`.
    pub functionality: String,
    /// The arguments.
    pub args: Value,
    /// Why the app asks, in its own words; shown to the user as such.
    pub why: String,
}

impl Message for Request {
    const KIND: &'static str = "isc-request";
}

/// Please give me what is stored about this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// The caller's own task for which it asks.
    pub task: WorkId,
    /// What is wanted, in words.
    pub about: String,
    /// Why, in the app's own words.
    pub why: String,
}

impl Message for Recall {
    const KIND: &'static str = "recall";
    const MAX: usize = 16 << 10;
}

/// An MCP server, while it works on a task, wants something of its client. Recorded and decided like any other flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// The task that it works on.
    pub task: WorkId,
    /// What it wants.
    pub wanted: Wanted,
    /// In its own words: what the model, or the user, is to be asked. Shown to the user.
    pub words: String,
}

/// What an MCP server may want of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// A turn of the app's own model.
    Sampling,
    /// A yes of the user.
    Elicitation,
}

impl Message for Wish {
    const KIND: &'static str = "isc-wish";
}

/// Answer to [`Request`] and [`Recall`]; to a [`Wish`] with no value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The result, checked against the response schema; or why there is none.
    pub result: Result<Value, Failure>,
}

impl Message for Response {
    const KIND: &'static str = "isc-response";
}
