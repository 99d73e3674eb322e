//! What the kernel says is in force for a process.
//!
//! Answers: which layers does a process have, and which are missing?
//! Never: asks the process, or takes a layer for granted that could not be read.
//! Carries: I-10, I-11, I-12, I-16.

mod read;

use crate::descriptors::Kind;
use crate::error::{Error, Layer};
use crate::limits::NO_CORE;
use crate::seccomp::Filter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a process is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A spoke: the operator.
    Spoke,
    /// A stranger's program.
    App,
}

/// Inode numbers of namespaces; two processes share one if the numbers are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Namespaces {
    pub user: u64,
    pub mount: u64,
    pub pid: u64,
    pub network: u64,
    pub ipc: u64,
    pub uts: u64,
    pub cgroup: u64,
}

/// The five sets of capabilities, as bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Capabilities {
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
}

/// One mount a process sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where.
    pub place: String,
    /// The type of the file system.
    pub kind: String,
    /// Can it be written to?
    pub writable: bool,
}

/// What the kernel says. Every field is read from `/proc/<pid>`; none comes from the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The process, as its reader counts.
    pub pid: u32,
    /// 2 is a filter.
    pub seccomp_mode: u32,
    /// How many filter programs. `None` on kernels before 5.9, which do not say.
    pub seccomp_filters: Option<u32>,
    /// Programs it starts gain no privileges.
    pub no_new_privs: bool,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Real, effective, saved and file system user id, as its reader counts.
    pub uids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Threads.
    pub threads: u32,
    /// Hard limits by their name in `/proc/<pid>/limits`; `None` is unlimited.
    pub hard_limits: BTreeMap<String, Option<u64>>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Open descriptors by kind.
    pub descriptors: BTreeMap<Kind, u32>,
    /// Bytes of the environment it was started with.
    pub environment_bytes: u64,
    /// What it sees of file systems. Where the kernel lists none to it, found by walking its root.
    pub mounts: Vec<Mount>,
    /// Does the kernel list its mounts to it, with their places on the machine's disks?
    pub mounts_listed: bool,
    /// How many entries its root folder has.
    pub root_entries: u32,
    /// Names of its network interfaces.
    pub interfaces: Vec<String>,
    /// Do its files in `/proc` belong to its own user?
    pub dumpable: bool,
}

impl Report {
    /// Reads what is in force for a process now.
    ///
    /// Complete for a host that is root, and for an ordinary user reading a spoke or app of its own.
    ///
    /// # Errors
    /// The process is gone, or the reader may not look.
    pub fn read(pid: u32) -> Result<Report, Error> {
        read::report(pid)
    }

    /// The layers that are not in force, of those the role must have. Pure: empty means vouched for.
    #[must_use]
    pub fn missing(&self, role: Role, reader: &Namespaces) -> Vec<Layer> {
        let checks = [
            (Layer::Seccomp, self.filtered(role)),
            (Layer::NoNewPrivileges, self.no_new_privs),
            (Layer::Capabilities, self.powerless()),
            (Layer::Identity, self.unprivileged()),
            (Layer::Threads, role == Role::App || self.threads == 1),
            (Layer::Limits, self.limited(role)),
            (Layer::UserNamespace, self.namespaces.user != reader.user),
            (Layer::MountNamespace, self.namespaces.mount != reader.mount),
            (Layer::NetworkNamespace, self.namespaces.network != reader.network),
            (Layer::IpcNamespace, self.namespaces.ipc != reader.ipc),
            (Layer::UtsNamespace, self.namespaces.uts != reader.uts),
            (Layer::PidNamespace, role == Role::Spoke || self.namespaces.pid != reader.pid),
            (Layer::CgroupNamespace, role == Role::Spoke || self.namespaces.cgroup != reader.cgroup),
            (Layer::Descriptors, self.holds_only_harmless(role)),
            (Layer::Environment, role == Role::App || self.environment_bytes == 0),
            (Layer::View, self.sees_only_its_own(role)),
            (Layer::Loopback, self.interfaces.iter().all(|name| name == "lo")),
        ];
        checks.into_iter().filter_map(|(layer, in_force)| (!in_force).then_some(layer)).collect()
    }

    fn filtered(&self, role: Role) -> bool {
        let ours = match role {
            Role::Spoke => Filter::spoke(),
            Role::App => Filter::app(),
        };
        // More are fine: an outer sandbox has its own.
        self.seccomp_mode == 2 && self.seccomp_filters.is_none_or(|count| ours.programs() <= count)
    }

    fn powerless(&self) -> bool {
        let all = &self.capabilities;
        [all.inheritable, all.permitted, all.effective, all.bounding, all.ambient].iter().all(|set| *set == 0)
    }

    fn unprivileged(&self) -> bool {
        // An ordinary user's own groups cannot be dropped inside a namespace; root's must be.
        self.uids.iter().all(|uid| *uid != 0) && !self.groups.contains(&0)
    }

    fn limited(&self, role: Role) -> bool {
        let is = |name: &str, wanted: u64| self.hard_limits.get(name) == Some(&Some(wanted));
        let finite = |name: &str| matches!(self.hard_limits.get(name), Some(Some(_)));
        // Inherited as 0 it cannot be raised to the better value.
        (is("Max core file size", NO_CORE) || is("Max core file size", 0))
            && finite("Max cpu time")
            && finite("Max open files")
            && match role {
                Role::Spoke => {
                    is("Max file size", 0) && is("Max processes", 0) && finite("Max address space")
                }
                Role::App => finite("Max file size") && finite("Max processes") && finite("Max data size"),
            }
    }

    fn holds_only_harmless(&self, role: Role) -> bool {
        // An app opens files of its view; what it starts with is the jail's to say.
        role == Role::App || !self.descriptors.contains_key(&Kind::Other)
    }

    fn sees_only_its_own(&self, role: Role) -> bool {
        match role {
            Role::Spoke => {
                self.root_entries == 0
                    && matches!(self.mounts.as_slice(), [only]
                        if only.place == "/" && only.kind == "tmpfs" && !only.writable)
            }
            Role::App => {
                let root = self.mounts.iter().find(|mount| mount.place == "/");
                !self.mounts_listed
                    && root.is_some_and(|root| root.kind == "tmpfs" && !root.writable)
                    && self
                        .mounts
                        .iter()
                        .filter(|mount| mount.writable)
                        .all(|mount| WRITABLE.iter().any(|place| within(&mount.place, place)))
            }
        }
    }
}

/// Where an app's view may be written to. Devices are not files; `/proc` has its own rules.
const WRITABLE: &[&str] = &["/data", "/tmp", "/dev", "/proc"];

fn within(place: &str, folder: &str) -> bool {
    place.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Namespaces {
    /// The reader's own.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn own() -> Result<Namespaces, Error> {
        read::namespaces("self")
    }
}

/// The program inside the jail that a spoke started, as the reader counts processes: the child of
/// the init of another pid namespace. `None` while there is none.
///
/// # Errors
/// `/proc` cannot be read.
pub fn app_of(spoke: u32) -> Result<Option<u32>, Error> {
    read::app_of(spoke)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
