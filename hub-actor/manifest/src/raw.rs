//! A manifest as it is written.
//!
//! Answers: which keys may stand in `app.toml`, and of which type is each?
//! Never: fills in what is not written. An unknown key is an error that lists the known ones.

use std::collections::BTreeMap;

use bus::message::user::Effect;
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawManifest {
    pub name: Spanned<String>,
    pub kind: Spanned<RawKind>,
    pub description: String,
    pub command: Option<Spanned<Vec<String>>>,
    pub url: Option<Spanned<String>>,
    pub openapi: Option<Spanned<String>>,
    pub model: Option<Spanned<String>>,
    pub network: Option<RawNetwork>,
    pub filesystem: Option<RawFilesystem>,
    pub mcp: Option<Spanned<RawMcp>>,
    #[serde(default)]
    pub credentials: BTreeMap<String, RawCredential>,
    pub limits: Option<Spanned<RawLimits>>,
    #[serde(default, rename = "functionality")]
    pub functionalities: Vec<RawFunctionality>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawKind {
    Prompt,
    Mcp,
    Http,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNetwork {
    #[serde(default)]
    pub domains: Vec<Spanned<String>>,
    #[serde(default)]
    pub hosts: Vec<Spanned<String>>,
    #[serde(default)]
    pub local: Vec<Spanned<String>>,
    pub methods: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFilesystem {
    #[serde(default)]
    pub read: Vec<Spanned<String>>,
}

/// What an MCP server may ask for while it works.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMcp {
    #[serde(default)]
    pub sampling: bool,
    #[serde(default)]
    pub elicitation: bool,
}

/// Which of MCP's methods a functionality is, in the protocol's own words.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum RawMethod {
    #[serde(rename = "tools/call")]
    CallTool,
    #[serde(rename = "resources/list")]
    ListResources,
    #[serde(rename = "resources/read")]
    ReadResource,
    #[serde(rename = "prompts/list")]
    ListPrompts,
    #[serde(rename = "prompts/get")]
    GetPrompt,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCredential {
    pub kind: RawCredentialKind,
    pub header: Spanned<String>,
    #[serde(rename = "for")]
    pub hosts: Vec<Spanned<String>>,
    pub prefix: Option<Spanned<String>>,
    pub authorize_url: Option<Spanned<String>>,
    pub device_url: Option<Spanned<String>>,
    pub token_url: Option<Spanned<String>>,
    pub registration_url: Option<Spanned<String>>,
    pub resource: Option<Spanned<String>>,
    pub client_id: Option<Spanned<String>>,
    #[serde(default)]
    pub scopes: Vec<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawCredentialKind {
    Oauth2,
    ApiKey,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLimits {
    pub memory_mb: Option<u64>,
    pub cpu_s: Option<u64>,
    pub file_mb: Option<u64>,
    pub data_mb: Option<u64>,
    pub processes: Option<u64>,
    pub open_files: Option<u64>,
    pub task_s: Option<u64>,
    pub model_calls: Option<u32>,
    pub tokens: Option<u64>,
    pub requests: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFunctionality {
    pub name: Spanned<String>,
    /// Without a default: what is not said to be harmless is not.
    pub effect: Effect,
    pub summary: Option<Spanned<String>>,
    pub request: Option<Spanned<String>>,
    pub response: Option<Spanned<String>>,
    #[serde(default)]
    pub destinations: Vec<Spanned<String>>,
    #[serde(default)]
    pub discovered: bool,
    /// For `http`: the requests, where they are not one operation of the description.
    pub recipe: Option<Spanned<String>>,
    pub method: Option<Spanned<RawMethod>>,
}
