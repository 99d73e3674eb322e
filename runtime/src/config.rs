//! The settings, as meant: every field checked, every path absolute or found.
//!
//! Answers: with which settings does this run?
//! Never: widens anything by omission; what is not set has the narrower meaning.

mod load;
mod raw;
mod span;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bus::id::AppId;
use bus::message::profile::Limits;

pub use load::{Sources, load};
pub use raw::keys;

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bus.
    pub bus: BusConfig,
    /// The model.
    pub model: ModelSettings,
    /// The conversation memory.
    pub memory: MemoryConfig,
    /// The apps.
    pub apps: AppsConfig,
    /// The way out.
    pub egress: EgressSettings,
    /// Permissions.
    pub permission: PermissionConfig,
    /// What apps may use where their manifests are silent.
    pub limits: Limits,
    /// Spokes at once on this machine.
    pub capacity: u32,
    /// Where keys, data and logs are kept.
    pub state_dir: PathBuf,
    /// The folder with `apps`, `prompts` and `scripts`.
    pub data_dir: PathBuf,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
}

/// The bus.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// A broker that runs already; none for the bundled one.
    pub url: Option<String>,
    /// A credentials file for it; none to sign with the keys of this installation.
    pub credentials: Option<PathBuf>,
    /// The certificate authority to trust besides the system's.
    pub tls_ca: Option<PathBuf>,
    /// Where the bundled broker listens; none for a free port on loopback.
    pub listen: Option<SocketAddr>,
    /// Certificate and key of the bundled broker.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The `nats-server` to use.
    pub server: Option<PathBuf>,
}

/// The model.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// Which kind of server.
    pub provider: Provider,
    /// Its address, with the `/v1`.
    pub base_url: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// The variable that holds the key.
    pub api_key_env: String,
    /// For retrieval.
    pub embeddings_model: Option<String>,
    /// How long one call may take.
    pub timeout: Duration,
}

/// Which kind of model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The first that is found: a key in the environment, a local server, the scripted model.
    Auto,
    /// Any server that speaks the OpenAI protocol.
    Openai,
    /// Ollama on its usual local port.
    Ollama,
    /// The scripted model of this program.
    Scripted,
}

/// The conversation memory.
#[derive(Clone, Debug)]
pub struct MemoryConfig {
    /// A Redis that runs already; none for the bundled one.
    pub url: Option<String>,
    /// How long it is kept.
    pub ttl: Duration,
    /// From how many tokens of history a running summary is made.
    pub summary_token_limit: u64,
    /// The `redis-server` to use.
    pub server: Option<PathBuf>,
}

/// The apps.
#[derive(Clone, Debug)]
pub struct AppsConfig {
    /// Folders that hold apps; the last is the one of those that were added.
    pub dirs: Vec<PathBuf>,
    /// Which of them; none for all found.
    pub enabled: Option<Vec<AppId>>,
}

/// The way out.
#[derive(Clone, Debug)]
pub struct EgressSettings {
    /// A Public Suffix List newer than the one that is shipped.
    pub suffix_list: Option<PathBuf>,
    /// A certificate authority to trust besides the machine's.
    pub tls_ca: Option<PathBuf>,
    /// A file with the key to the apps' credentials; none for one of the gateway's own, beside them.
    pub key_file: Option<PathBuf>,
}

impl AppsConfig {
    /// The folders that are there: that of added apps is made with the first one.
    #[must_use]
    pub fn present(&self) -> Vec<PathBuf> {
        let added = self.dirs.last();
        self.dirs.iter().filter(|dir| Some(*dir) != added || dir.is_dir()).cloned().collect()
    }

    /// The folder of those that were added.
    #[must_use]
    pub fn added(&self) -> PathBuf {
        self.dirs.last().cloned().unwrap_or_default()
    }
}

/// Permissions.
#[derive(Clone, Debug)]
pub struct PermissionConfig {
    /// The preset.
    pub preset: String,
    /// More policy files: those that the settings name, and the rules that a person accepted.
    pub policies: Vec<PathBuf>,
    /// Where rules go that a person accepts.
    pub accepted: PathBuf,
    /// How long a person has to answer.
    pub prompt_timeout: Duration,
}

/// The presets there are.
pub const PRESETS: [&str; 3] = ["strict", "balanced", "locked"];

impl Config {
    /// The folder of the model's instructions.
    #[must_use]
    pub fn prompts_dir(&self) -> PathBuf {
        self.data_dir.join("prompts")
    }

    /// The folder of the presets; a data folder without one means those that were shipped.
    #[must_use]
    pub fn presets_dir(&self) -> Option<PathBuf> {
        Some(self.data_dir.join("policies")).filter(|dir| dir.is_dir())
    }

    /// The folder of the scripted model's rules.
    #[must_use]
    pub fn scripts_dir(&self) -> PathBuf {
        self.data_dir.join("scripts")
    }
}
