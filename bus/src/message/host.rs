//! Spokes: started, signed for, vouched for, ended. Hub to host on `…in.{spawn,stop}`; host to hub on `…out.*`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::profile::Profile;
use crate::envelope::Message;
use crate::id::{AppId, LeaseId, SpokeAddr, UserId, WorkId};

/// Please start this spoke. Answered by a [`SignRequest`] from the same host, then by [`Spawned`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Names this request in the answers.
    pub id: WorkId,
    /// Who it will be.
    pub spoke: SpokeAddr,
    /// For whom; parts the data folders of an app between users.
    pub user: UserId,
    /// What it runs.
    pub profile: Profile,
    /// The pinned hash of the app's folder; a host whose copy differs refuses. Empty for spokes without a folder.
    pub pinned: String,
    /// Under which lease. A hub that knows of none starts spokes that the next hub's first [`Lease`] ends.
    #[serde(default)]
    pub lease: Option<LeaseId>,
}

impl Message for Spawn {
    const KIND: &'static str = "spawn";
}

/// The new spoke made this key; please sign for it. Answered by [`Signed`], only to the host that was asked to spawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignRequest {
    /// Which spawn.
    pub spawn: WorkId,
    /// The public part of the spoke's own key.
    pub public_key: String,
}

impl Message for SignRequest {
    const KIND: &'static str = "sign-request";
    const MAX: usize = 4 << 10;
}

/// The signed statement, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signed {
    /// A NATS user JWT.
    pub jwt: Result<String, String>,
}

impl Message for Signed {
    const KIND: &'static str = "signed";
}

/// The spoke is confined and the host vouches for it; or it could not be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spawned {
    /// Which spawn.
    pub spawn: WorkId,
    /// The host's word on what the kernel says is in force.
    pub result: Result<Vouched, SpawnFailure>,
}

impl Message for Spawned {
    const KIND: &'static str = "spawned";
}

/// What is in force on a spoke, read from the kernel by its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vouched {
    /// Layers in force; the hub compares them with [`REQUIRED_LAYERS`].
    pub layers: Vec<String>,
    /// Of the app's own processes, if it has any; compared with [`REQUIRED_APP_LAYERS`].
    pub app_layers: Option<Vec<String>>,
    /// All that was read, for the audit.
    pub report: Value,
    /// From the request to the kernel's word, microseconds.
    pub took_us: u64,
}

/// Layers that a spoke has, or gets no work.
pub const REQUIRED_LAYERS: [&str; 6] =
    ["seccomp", "no_new_privs", "capabilities", "namespaces", "root", "limits"];

/// Layers that an app child has, or its spoke gets no work.
pub const REQUIRED_APP_LAYERS: [&str; 6] = REQUIRED_LAYERS;

impl Vouched {
    /// Which required layers are not vouched for?
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let lacks = |have: &[String], want: &[&str], whose: &str| -> Vec<String> {
            want.iter()
                .filter(|want| !have.iter().any(|have| have == *want))
                .map(|layer| format!("{whose}{layer}"))
                .collect()
        };
        let mut missing = lacks(&self.layers, &REQUIRED_LAYERS, "");
        if let Some(app) = &self.app_layers {
            missing.extend(lacks(app, &REQUIRED_APP_LAYERS, "app:"));
        }
        missing
    }
}

/// Why a spoke was not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnFailure {
    /// What is wrong, in a sentence; names the kernel feature if one is missing.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Could another host do it? True if this one lacks the app or room.
    pub elsewhere: bool,
}

/// A spoke has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    /// Which.
    pub spoke: SpokeAddr,
    /// How: `exited with 1`, `killed by SIGSYS (system call 41, socket)` …
    pub how: String,
    /// Was it killed for breaking a rule?
    pub violation: bool,
}

impl Message for Exited {
    const KIND: &'static str = "exited";
}

/// Please stop this spoke now. Not answered; [`Exited`] follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Which.
    pub spoke: SpokeAddr,
    /// Why, for the audit.
    pub why: String,
}

impl Message for Stop {
    const KIND: &'static str = "stop";
}

/// Please stop every spoke of another lease than this. Not answered; [`Exited`] follows for each. Said to a host whose report
/// names a lease that the hub has not given: those spokes are an earlier hub's, or the hub has given them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The only one that counts.
    pub id: LeaseId,
}

impl Message for Lease {
    const KIND: &'static str = "lease";
    const MAX: usize = 4 << 10;
}

/// Leases that a report names at most. There are two for a moment when a hub was started again, and hardly ever more.
pub const MAX_LEASES: usize = 16;

/// A host is here. Sent once a second; a host that is silent for five is gone, and its spokes with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// Spokes alive.
    pub live: u32,
    /// Spokes that it takes at most.
    pub capacity: u32,
    /// Apps in its folders, with the hash of each.
    pub apps: Vec<(AppId, String)>,
    /// How long ago it began to look for them, milliseconds.
    #[serde(default)]
    pub looked_ms: u64,
    /// What this machine cannot enforce; empty if all is well.
    pub missing: Vec<String>,
    /// Under which leases the spokes were started that are alive, each once; [`MAX_LEASES`] of them at most.
    #[serde(default)]
    pub leases: Vec<Option<LeaseId>>,
}

impl Message for HostReport {
    const KIND: &'static str = "host-report";
}
