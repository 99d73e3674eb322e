//! What a spoke is told about its app, before it is confined: comes from the manifest, by way of hub and host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{AppId, FunctionName};
use crate::message::operation::Operation;

/// The app that a spoke runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name; `empty` for a spoke without an app.
    pub app: AppId,
    /// How it is run.
    pub kind: Kind,
    /// In the app's own words; for its own model only.
    pub description: String,
    /// What it can do.
    pub functions: Vec<Function>,
    /// What it may use.
    pub limits: Limits,
    /// More paths that it may read, besides the system's own.
    pub read: Vec<String>,
    /// Does it have a way out? Then a proxy listens on its loopback.
    pub network: bool,
    /// What it may ask for, if it is an MCP server.
    #[serde(default)]
    pub wishes: Wishes,
}

/// How an app is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No app: plain questions, composing answers, deriving values.
    Empty,
    /// Instructions for its own model.
    Prompt,
    /// An MCP server, spoken to over its standard input and output.
    Stdio {
        /// Program and arguments; looked up inside the jail.
        command: Vec<String>,
        /// Variables that it gets besides the ordinary ones; no secrets.
        env: BTreeMap<String, String>,
    },
    /// An MCP server on the web, reached through egress.
    Remote {
        /// Where.
        url: String,
    },
    /// A web API, reached through egress.
    Http {
        /// How each functionality becomes a request.
        operations: BTreeMap<FunctionName, Operation>,
    },
}

/// One functionality, as its app's own model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// In the app's own words.
    pub description: String,
    /// JSON Schema of the arguments.
    pub request: Value,
    /// JSON Schema of the result.
    pub response: Option<Value>,
    /// The pin over what the app's server said of it when a person read it, see
    /// [`Tool::pin`](crate::message::offer::Tool::pin). None where a server was not asked.
    #[serde(default)]
    pub pinned: Option<String>,
    /// What it is at an MCP server.
    #[serde(default)]
    pub method: Method,
}

/// Which of an MCP server's offers a functionality is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The tool of its name.
    #[default]
    Tool,
    /// Which resources there are.
    ListResources,
    /// One resource's content.
    ReadResource,
    /// Which ready-made prompts there are.
    ListPrompts,
    /// One prompt, filled in.
    GetPrompt,
}

/// What an MCP server may ask for while it works. Each single request is decided upon besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// Turns of the app's own model, within its budget.
    pub sampling: bool,
    /// A yes or no of the user.
    pub elicitation: bool,
}

/// What an app and its tasks may use. All are in force; `0` is not "no limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of the app, MiB.
    pub memory_mb: u64,
    /// Processor time of the app, seconds.
    pub cpu_s: u64,
    /// Largest file it may write, MiB.
    pub file_mb: u64,
    /// All of its data folder, MiB.
    pub data_mb: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Open files at once, in each process.
    pub open_files: u64,
    /// Wall-clock time of a task, seconds.
    pub task_s: u64,
    /// Model calls of a task.
    pub model_calls: u32,
    /// Model tokens of a task.
    pub tokens: u64,
    /// Requests of a task to other apps and to memory.
    pub requests: u32,
}
