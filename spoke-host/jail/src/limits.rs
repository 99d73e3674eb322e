//! Resource limits.
//!
//! Answers: how much of the machine may a spoke, or an app and all it starts, use?
//! Never: leaves a limit as it was inherited.
//! Carries: I-16.

use crate::error::{Error, Layer};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;
/// Too small for a core file, and the one value at which the kernel does not hand the memory to a core
/// handler either: 0 would not stop that.
pub(crate) const NO_CORE: u64 = 1;

/// What a spoke may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpokeLimits {
    /// Processor time over its whole life, in seconds.
    pub cpu_s: u64,
    /// Address space, in MiB.
    pub memory_mb: u64,
    /// Descriptors.
    pub open_files: u64,
}

impl SpokeLimits {
    /// For a spoke that serves one session. An idle one uses well under 1 MiB of its own and some 20
    /// MiB of address space; a spoke that holds a large web page and parses it needs tens.
    #[must_use]
    pub fn standard() -> SpokeLimits {
        SpokeLimits { cpu_s: 300, memory_mb: 512, open_files: 64 }
    }
}

/// What an app may use, with everything it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppLimits {
    /// Memory in MiB: private writable memory of each process by the kernel, resident private
    /// memory of all together by the jail's init, several times a second.
    pub memory_mb: u64,
    /// Processor time of each process, in seconds.
    pub cpu_s: u64,
    /// Size of one file, in MiB.
    pub file_mb: u64,
    /// Processes and threads together.
    pub processes: u64,
    /// Descriptors of each process.
    pub open_files: u64,
    /// All files in the data folder together, in MiB; looked at several times a second.
    pub data_mb: u64,
    /// `/tmp`, in MiB. It is memory.
    pub tmp_mb: u64,
    /// Also bound the address space to `memory_mb`. V8 and Go reserve far more address space than
    /// they use and do not start with this.
    pub address_space: bool,
}

impl AppLimits {
    /// For a small server. Node starts eleven threads, npx and pip start several processes.
    #[must_use]
    pub fn standard() -> AppLimits {
        AppLimits {
            memory_mb: 512,
            cpu_s: 120,
            file_mb: 64,
            processes: 64,
            open_files: 256,
            data_mb: 256,
            tmp_mb: 64,
            address_space: false,
        }
    }
}

/// Puts a spoke's limits in force, before it connects to anything.
///
/// The hard limits follow in [`crate::confine::spoke`]: an app child that is started in between has
/// limits of its own, and nobody without privileges can raise a hard limit again.
///
/// # Errors
/// The kernel refused a limit, for instance because the inherited hard limit is lower than it.
pub fn apply_spoke(limits: &SpokeLimits) -> Result<(), Error> {
    for (resource, value) in spoke(limits) {
        let (_, hard) = current(resource)?;
        set(resource, value.min(hard), hard)?;
    }
    // No core file, from the first moment and for every child.
    lower(Resource::RLIMIT_CORE, NO_CORE)
}

/// Makes a spoke's limits final.
pub(crate) fn seal_spoke(limits: &SpokeLimits) -> Result<(), Error> {
    for (resource, value) in spoke(limits) {
        lower(resource, value)?;
    }
    // It will never start another process or thread; counted for each user namespace.
    lower(Resource::RLIMIT_NPROC, 0)
}

fn spoke(limits: &SpokeLimits) -> [(Resource, u64); 6] {
    [
        (Resource::RLIMIT_CPU, limits.cpu_s),
        (Resource::RLIMIT_AS, limits.memory_mb.saturating_mul(MIB)),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
    ]
}

/// Takes the soft limits of the spoke back, in the launcher of its app child.
pub(crate) fn raise_to_hard() -> Result<(), Error> {
    for resource in
        [Resource::RLIMIT_CPU, Resource::RLIMIT_AS, Resource::RLIMIT_FSIZE, Resource::RLIMIT_NOFILE]
    {
        let (_, hard) = current(resource)?;
        set(resource, hard, hard)?;
    }
    lower(Resource::RLIMIT_CORE, NO_CORE)
}

/// Puts an app's limits in force, in the process that becomes the app. `others` is how many
/// processes of the jail itself count against the same user.
pub(crate) fn apply_app(limits: &AppLimits, others: u64) -> Result<(), Error> {
    let memory = limits.memory_mb.saturating_mul(MIB);
    lower(Resource::RLIMIT_CORE, NO_CORE)?;
    // The soft limit ends the process with a signal that names the reason; the hard one follows for
    // those that ignore it.
    let (_, hard) = current(Resource::RLIMIT_CPU)?;
    let cpu = limits.cpu_s.min(hard);
    set(Resource::RLIMIT_CPU, cpu, cpu.saturating_add(2).min(hard))?;
    lower(Resource::RLIMIT_DATA, memory)?;
    if limits.address_space {
        lower(Resource::RLIMIT_AS, memory)?;
    }
    lower(Resource::RLIMIT_FSIZE, limits.file_mb.saturating_mul(MIB))?;
    lower(Resource::RLIMIT_NOFILE, limits.open_files)?;
    lower(Resource::RLIMIT_NPROC, limits.processes.saturating_add(others))?;
    // What V8 or a database may want to lock; more would keep memory from being reclaimed.
    lower(Resource::RLIMIT_MEMLOCK, 8 * MIB)?;
    lower(Resource::RLIMIT_MSGQUEUE, 0)?;
    lower(Resource::RLIMIT_RTPRIO, 0)?;
    lower(Resource::RLIMIT_NICE, 0)
}

/// Sets soft and hard limit to a value, or to the inherited hard limit where that is lower.
fn lower(resource: Resource, value: u64) -> Result<(), Error> {
    let (_, hard) = current(resource)?;
    let value = value.min(hard);
    set(resource, value, value)
}

fn current(resource: Resource) -> Result<(rlim_t, rlim_t), Error> {
    getrlimit(resource)
        .map_err(|errno| Error::system(Layer::Limits, format!("could not read {resource:?}"), errno))
}

fn set(resource: Resource, soft: u64, hard: u64) -> Result<(), Error> {
    setrlimit(resource, soft, hard)
        .map_err(|errno| Error::system(Layer::Limits, format!("could not set {resource:?} to {soft}"), errno))
}
