//! Work for a spoke: hub to spoke on `…in.task` and `…in.cancel`; back on `…out.result.{ready,token,done}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chat::{NamedSchema, Turn};
use crate::envelope::Message;
use crate::id::{FunctionName, WorkId};

/// Please do this. A spoke may have several at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Comes back in [`Done`].
    pub id: WorkId,
    /// Wall-clock limit, milliseconds from receipt. The hub keeps its own clock besides.
    pub limit_ms: u64,
    /// What to do.
    pub work: Work,
}

impl Message for Task {
    const KIND: &'static str = "task";
}

/// What a spoke can be asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Call one functionality; no model takes part.
    Call {
        /// Of this spoke's app.
        function: FunctionName,
        /// Checked against its request schema by the hub, and again by the spoke.
        args: Value,
    },
    /// The app's own model works on a request in natural language, with the app's own functionalities, and may
    /// ask for those of others.
    Delegate {
        /// What the user (or the plan) wants.
        request: String,
        /// Instructions of the system to the model; the app's own description is added by the spoke.
        system: String,
        /// This app's earlier turns in this session.
        history: Vec<Turn>,
        /// Turns of the model at most.
        rounds: u32,
    },
    /// One turn of a model without tools: composing an answer, deriving a value, summarising.
    Converse {
        /// All the model gets to see.
        turns: Vec<Turn>,
        /// If given, the answer is JSON of this form, and is checked.
        schema: Option<NamedSchema>,
        /// Send tokens as they come?
        stream: bool,
    },
}

/// Stop working on that task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub task: WorkId,
}

impl Message for Cancel {
    const KIND: &'static str = "cancel";
}

/// The spoke is confined and listens. Said once, after the subscription, on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {}

impl Message for Ready {
    const KIND: &'static str = "ready";
}

/// A piece of an answer while it is being written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Of which task.
    pub task: WorkId,
    /// The piece.
    pub text: String,
}

impl Message for Token {
    const KIND: &'static str = "token";
}

/// A task came to its end. The first one counts; later ones for the same task are dropped and audited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Which.
    pub task: WorkId,
    /// A call's result; a delegate's or conversation's text as a JSON string; a derivation's object.
    pub result: Result<Value, Failure>,
    /// Turns of the model that it took, by the spoke's own count (the gateway's count is what is billed).
    pub model_calls: u32,
}

impl Message for Done {
    const KIND: &'static str = "done";
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// For people: one sentence that is true.
    pub detail: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// No such app or functionality.
    Unknown,
    /// The arguments do not fit the request schema.
    Arguments,
    /// The result does not fit the response schema, or is too large.
    Result,
    /// The app says that it failed; its own words are in the detail.
    App,
    /// The app ended before it answered.
    AppExited,
    /// The app wrote what is not its protocol.
    AppNonsense,
    /// Not done in time.
    Timeout,
    /// The model gave no usable turn.
    Model,
    /// The task's budget is used up.
    Budget,
    /// A permission was refused.
    Refused,
    /// The spoke could not be started; the detail names the layer that is missing.
    Spawn,
    /// The spoke, its host or its connection was lost.
    Lost,
    /// It was cancelled.
    Cancelled,
    /// An earlier step that it needs has no result.
    Dependency,
    /// A value named by the plan is not there.
    Path,
}

impl Failure {
    /// A failure of this kind, with a sentence.
    #[must_use]
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
