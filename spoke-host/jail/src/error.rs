//! What went wrong, and in which layer of the confinement.
//!
//! Answers: which layer could not be had, while doing what, and what can a person do about it?
//! Never: turns a missing layer into a warning; there is no weaker mode.
//! Carries: I-11.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io;

/// The layers of the confinement. Closed: a report that names one of these is understood by the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The process ends with the one that started it.
    ParentDeath,
    /// Only named descriptors.
    Descriptors,
    /// Only named environment variables.
    Environment,
    /// One thread while confining.
    Threads,
    /// Resource limits.
    Limits,
    /// An unprivileged user id, no supplementary groups.
    Identity,
    /// A user namespace of its own.
    UserNamespace,
    /// A mount namespace of its own.
    MountNamespace,
    /// A pid namespace of its own.
    PidNamespace,
    /// A network namespace of its own.
    NetworkNamespace,
    /// An IPC namespace of its own.
    IpcNamespace,
    /// A UTS (host name) namespace of its own.
    UtsNamespace,
    /// A cgroup namespace of its own.
    CgroupNamespace,
    /// An empty root, or for an app the view it was given.
    View,
    /// A `/proc` that shows the own processes only.
    Proc,
    /// Loopback, and no other interface.
    Loopback,
    /// No capability, none to be had.
    Capabilities,
    /// No program gains privileges.
    NoNewPrivileges,
    /// The memory cannot be read by others of the same user.
    Dumpable,
    /// The system call filter.
    Seccomp,
    /// The data folder and its limit.
    Data,
    /// The command of an app.
    Command,
    /// Reading what the kernel says.
    Report,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Layer::ParentDeath => "end with the parent",
            Layer::Descriptors => "descriptors",
            Layer::Environment => "environment",
            Layer::Threads => "single thread",
            Layer::Limits => "resource limits",
            Layer::Identity => "unprivileged id",
            Layer::UserNamespace => "user namespace",
            Layer::MountNamespace => "mount namespace",
            Layer::PidNamespace => "pid namespace",
            Layer::NetworkNamespace => "network namespace",
            Layer::IpcNamespace => "ipc namespace",
            Layer::UtsNamespace => "uts namespace",
            Layer::CgroupNamespace => "cgroup namespace",
            Layer::View => "file system view",
            Layer::Proc => "proc",
            Layer::Loopback => "loopback",
            Layer::Capabilities => "capabilities",
            Layer::NoNewPrivileges => "no new privileges",
            Layer::Dumpable => "dumpable",
            Layer::Seccomp => "system call filter",
            Layer::Data => "data folder",
            Layer::Command => "command",
            Layer::Report => "report",
        })
    }
}

/// A layer that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{layer}: {doing}")]
pub struct Error {
    layer: Layer,
    doing: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    #[source]
    source: Option<io::Error>,
}

impl Error {
    /// Something that is not as it has to be, without an error of the system behind it.
    pub(crate) fn new(layer: Layer, doing: impl Into<Cow<'static, str>>) -> Error {
        Error { layer, doing: doing.into(), hint: None, source: None }
    }

    /// A call that failed.
    pub(crate) fn system(
        layer: Layer,
        doing: impl Into<Cow<'static, str>>,
        source: impl Into<io::Error>,
    ) -> Error {
        Error { layer, doing: doing.into(), hint: None, source: Some(source.into()) }
    }

    /// What a person can do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// The layer that could not be had.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// What a person can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message and the system's own words, without the layer.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source}", self.doing),
            None => self.doing.to_string(),
        }
    }

    /// Everything on one line, for places that carry no more.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.layer, self.text())
    }
}
