//! A model conversation's next turn: spoke or hub to the llm-gateway, on `…out.llm.*`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::envelope::Message;
use crate::id::{SpokeAddr, WorkId};

/// Please say what comes next. Answered by any number of [`ChatReply::Token`] (if `stream`), then one `Done` or `Failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The task whose budget pays. Only a budget that the hub announced for this spoke and task pays.
    pub task: WorkId,
    /// The conversation so far.
    pub turns: Vec<Turn>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// If given, the answer must be JSON of this form.
    pub schema: Option<NamedSchema>,
    /// Send tokens as they come?
    pub stream: bool,
}

impl Message for ChatRequest {
    const KIND: &'static str = "chat-request";
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Turn {
    /// What the model is told about its work.
    System {
        /// The words.
        text: String,
    },
    /// What was asked.
    User {
        /// The words.
        text: String,
    },
    /// What the model said.
    Assistant {
        /// The words; may be empty when it calls tools.
        text: String,
        /// What it called.
        calls: Vec<ToolCall>,
    },
    /// What a tool returned.
    Tool {
        /// Which call it answers.
        call: String,
        /// The result, as JSON text.
        text: String,
    },
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// `<app>__<functionality>`.
    pub name: String,
    /// For the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A call that the model made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Chosen by the model's server.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// JSON text, as the model wrote it; not checked yet.
    pub arguments: String,
}

/// A JSON Schema with the name under which the model's server knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedSchema {
    /// `secgpt_plan`, `secgpt_derive`.
    pub name: String,
    /// The schema.
    pub schema: Value,
}

/// What the model said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatReply {
    /// A piece of text; an empty one each second, as a sign that the gateway is there and waits for the model.
    Token {
        /// The piece.
        text: String,
    },
    /// The whole turn; tokens sent before are contained in it.
    Done {
        /// The words.
        text: String,
        /// What the model calls.
        calls: Vec<ToolCall>,
        /// What it cost.
        usage: Usage,
        /// Which model answered.
        model: String,
    },
    /// No turn could be had.
    Failed {
        /// For programs.
        code: ChatError,
        /// For people: what happened, with whom.
        detail: String,
    },
}

impl Message for ChatReply {
    const KIND: &'static str = "chat-reply";
}

/// Tokens used by a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the request.
    pub prompt: u64,
    /// Of the reply.
    pub completion: u64,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatError {
    /// The hub announced no budget for this spoke and task, or it is used up.
    Budget,
    /// No connection to the model's server.
    Unreachable,
    /// The server does not accept the key.
    Key,
    /// The server is overloaded or limits the rate, and stayed so through all retries.
    Busy,
    /// The server did not answer in time.
    Timeout,
    /// The connection broke in the middle of an answer.
    Cut,
    /// The server answered, but not in the protocol.
    Nonsense,
    /// The server refuses the request itself.
    Refused,
}

/// What a task may spend on the model; hub to gateway on `secgpt.hub.out.llm.budget`, acknowledged by [`BudgetSet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Who spends.
    pub spoke: SpokeAddr,
    /// For what.
    pub task: WorkId,
    /// Calls.
    pub calls: u32,
    /// Tokens, of requests and replies together.
    pub tokens: u64,
    /// Another model than the usual one, by the app's manifest.
    pub model: Option<String>,
    /// How long it is good for, milliseconds from receipt.
    pub lifetime_ms: u64,
}

impl Message for Budget {
    const KIND: &'static str = "budget";
}

/// A budget is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSet {}

impl Message for BudgetSet {
    const KIND: &'static str = "budget-set";
}

/// Embeddings of short texts, for retrieval; hub to gateway on `secgpt.hub.out.llm.embed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbedRequest {
    /// The texts.
    pub texts: Vec<String>,
}

impl Message for EmbedRequest {
    const KIND: &'static str = "embed-request";
}

/// One vector for each text, in order; or why not (no embeddings model is configured, for one).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbedReply {
    /// The vectors.
    pub vectors: Result<Vec<Vec<f32>>, String>,
}

impl Message for EmbedReply {
    const KIND: &'static str = "embed-reply";
}
