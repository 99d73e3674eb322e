//! How a process of ours is started by another.
//!
//! Answers: how does a child get its place on the bus and its settings, and how does it say that it is ready?
//! Never: passes a secret by argument or environment; a private key never leaves the process that made it.
//!
//! On its pipes, a JSON object a line: the child says its public key, the parent answers with [`Start`], the
//! child says ready or failed. When the child's standard input closes, its parent is gone and it stops.

pub mod authorize;
pub mod describe;
pub mod spoke;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use crate::client::{Address, Bus, BusError, WhenLost};
use crate::id::{AppId, HostId};
use crate::identity::{Credential, OwnKey};
use crate::message::profile::Limits;
use crate::secret::Secret;
use crate::subject::{Auditor, inbox};

/// What the parent tells the child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start<C> {
    /// The bus's address.
    pub url: String,
    /// For TLS.
    pub tls_ca: Option<PathBuf>,
    /// The statement for the child's own key, or a credential made elsewhere.
    pub identity: Identity,
    /// The child's settings.
    pub config: C,
}

/// The child's place on the bus.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// For the key that the child made.
    Signed(String),
    /// From a credentials file, as `secgpt host enroll` writes it.
    Given {
        /// The statement.
        jwt: String,
        /// The key.
        seed: Secret,
    },
}

/// What the child tells the parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// First: the public part of its own key.
    PublicKey(String),
    /// Then, once: it does its work.
    Ready,
    /// Or: it does not.
    Failed {
        /// In a sentence.
        detail: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// Settings of the hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HubConfig {
    /// Folders that hold apps.
    pub apps: Vec<PathBuf>,
    /// Which of them; none for all found that wait for nothing.
    pub enabled: Option<Vec<AppId>>,
    /// Apps of which a credential is kept, by what is known at the start.
    pub authorized: Vec<AppId>,
    /// The folder of the model's instructions.
    pub prompts: PathBuf,
    /// The preset: `strict`, `balanced`, …
    pub preset: String,
    /// The folder that holds the presets; without it they are as shipped.
    #[serde(default)]
    pub presets: Option<PathBuf>,
    /// More policy files.
    pub policies: Vec<PathBuf>,
    /// How long a person has to answer, milliseconds.
    pub prompt_timeout_ms: u64,
    /// Where conversation memory is: a `redis://` or `unix://` URL.
    pub memory_url: Secret,
    /// How long it is kept, seconds.
    pub memory_ttl_s: u64,
    /// From how many tokens of history a running summary is made.
    pub summary_token_limit: u64,
    /// Signs for spokes and hosts.
    pub signing_seed: Secret,
    /// The account that it signs for.
    pub account: String,
    /// What apps may use where their manifests are silent.
    pub limits: Limits,
    /// Is there an embeddings model?
    pub embeddings: bool,
}

/// Settings of the llm-gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LlmConfig {
    /// OpenAI-compatible, with the `/v1`.
    pub base_url: String,
    /// The model's name.
    pub model: String,
    /// The key, if the server wants one.
    pub api_key: Option<Secret>,
    /// For retrieval.
    pub embeddings_model: Option<String>,
    /// How long one call may take, milliseconds.
    pub timeout_ms: u64,
}

/// Settings of the egress-gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EgressConfig {
    /// Folders that hold apps; their manifests say who may go where.
    pub apps: Vec<PathBuf>,
    /// The folder in which credentials are kept, encrypted.
    pub credentials: PathBuf,
    /// The key to them, 64 hexadecimal digits; without it, the gateway keeps one of its own in that folder.
    #[serde(default)]
    pub credentials_key: Option<Secret>,
    /// A Public Suffix List newer than the one that is shipped.
    pub suffix_list: Option<PathBuf>,
    /// A certificate authority to trust besides the system's.
    pub tls_ca: Option<PathBuf>,
}

/// Settings of a spoke-host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostConfig {
    /// Its name.
    pub host: HostId,
    /// Folders that hold apps.
    pub apps: Vec<PathBuf>,
    /// The spoke program.
    pub spoke: PathBuf,
    /// Where apps keep their data: `<data>/<user>/<app>`.
    pub data: PathBuf,
    /// Spokes at most.
    pub capacity: u32,
    /// Variables of ours that an app may see (none by default).
    pub env: BTreeMap<String, String>,
}

/// The child's side of the start.
pub struct Child<C> {
    /// Its settings.
    pub config: C,
    /// Where the bus is.
    pub address: Address,
    /// Its credential.
    pub credential: Credential,
    lines: tokio::io::Lines<tokio::io::BufReader<tokio::io::Stdin>>,
}

/// Why a start did not work out.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The pipes broke.
    #[error("the parent went away during the start")]
    Pipe(#[source] std::io::Error),
    /// The parent closed the pipe before it said anything.
    #[error("started without a parent; this program is started by secgpt, see `secgpt up`")]
    NoParent,
    /// What the parent said is not understood.
    #[error("the settings from the parent are not understood")]
    Settings(#[source] serde_json::Error),
    /// The own key is damaged.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// No connection.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl<C: serde::de::DeserializeOwned> Child<C> {
    /// Says the own public key and takes what the parent answers.
    ///
    /// # Errors
    /// If there is no parent that speaks this protocol.
    pub async fn begin() -> Result<Self, LaunchError> {
        let key = OwnKey::generate();
        say(&Said::PublicKey(key.public())).await.map_err(LaunchError::Pipe)?;
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        let line = lines.next_line().await.map_err(LaunchError::Pipe)?.ok_or(LaunchError::NoParent)?;
        let start: Start<C> = serde_json::from_str(&line).map_err(LaunchError::Settings)?;
        let credential = match start.identity {
            Identity::Signed(jwt) => key.with_jwt(jwt)?,
            Identity::Given { jwt, seed } => Credential { jwt, seed },
        };
        let address = Address { url: start.url, tls_ca: start.tls_ca };
        Ok(Self { config: start.config, address, credential, lines })
    }

    /// Comes on the bus in the role's own name.
    ///
    /// # Errors
    /// As [`Bus::connect`].
    pub async fn connect(&self, name: &str, auditor: Auditor) -> Result<Bus, LaunchError> {
        let inbox = match &auditor {
            Auditor::Host(host) => inbox::host(host),
            _ => inbox::HUB.to_owned(),
        };
        Ok(Bus::connect(&self.address, &self.credential, name, &inbox, Some(auditor), WhenLost::Reconnect)
            .await?)
    }

    /// Says that the work is being done.
    ///
    /// # Errors
    /// If the parent is gone.
    pub async fn ready(&self) -> Result<(), LaunchError> {
        say(&Said::Ready).await.map_err(LaunchError::Pipe)
    }

    /// Returns when the parent wants the child to stop, or is gone.
    pub async fn stopped(&mut self) {
        while let Ok(Some(_)) = self.lines.next_line().await {}
    }
}

/// Says why the start failed, for the parent to show.
pub async fn failed(detail: String, hint: Option<String>) {
    // The parent may be gone; then nobody is left to be told.
    let _ = say(&Said::Failed { detail, hint }).await;
}

/// An error with its causes, each said once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !said.contains(&next) {
            said.push_str(": ");
            said.push_str(&next);
        }
        cause = error.source();
    }
    said
}

async fn say(said: &Said) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(said).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let mut out = tokio::io::stdout();
    out.write_all(&line).await?;
    out.flush().await
}
