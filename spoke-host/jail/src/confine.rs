//! Confining a spoke.
//!
//! Answers: in which order does the calling process give everything up?
//! Never: goes on after a layer that could not be had, or leaves the filter for later.
//! Carries: I-10, I-11, I-12, I-16.

use crate::error::{Error, Layer};
use crate::identity::{self, UnprivilegedId};
use crate::limits::{self, SpokeLimits};
use crate::seccomp::{self, Filter};
use crate::step::{self, Step};
use crate::{descriptors, environment, namespaces, privileges, start, sys, view};
use std::time::Duration;

/// How long each layer took, in the order in which they were put in force.
#[derive(Clone, Debug)]
pub struct Timings {
    /// One entry for each step of [`steps`].
    pub steps: Vec<(Layer, Duration)>,
}

struct Confinement {
    limits: SpokeLimits,
    id: UnprivilegedId,
    parent: u32,
    was_root: bool,
}

/// The order is the meaning: the id goes before the namespaces, so that they belong to nobody; the
/// view before the capabilities, which it needs; the filter last, since it forbids all the rest.
const STEPS: &[Step<Confinement>] = &[
    Step {
        layer: Layer::Threads,
        what: "there is one thread, so that nothing escapes what is per thread",
        act: |_| one_thread(),
    },
    Step { layer: Layer::Environment, what: "the environment is empty", act: |_| environment::check_empty() },
    Step {
        layer: Layer::Descriptors,
        what: "nothing is open but pipes, sockets and the event loop",
        act: |_| descriptors::check(),
    },
    Step {
        layer: Layer::Limits,
        what: "limits become final, and no further process is allowed",
        act: |with| limits::seal_spoke(&with.limits),
    },
    Step {
        layer: Layer::Identity,
        what: "root becomes an unprivileged id without groups",
        act: |with| identity::give_up_root(with.id),
    },
    Step {
        layer: Layer::UserNamespace,
        what: "user, mount, network, ipc and uts namespaces of its own, with one id",
        act: |_| namespaces::enter(namespaces::SPOKE),
    },
    Step {
        layer: Layer::View,
        what: "the root is an empty folder that cannot be written to",
        act: |_| view::empty(),
    },
    Step {
        layer: Layer::Capabilities,
        what: "no capability is left in any set, and none can come back",
        act: |_| privileges::drop_capabilities(),
    },
    Step {
        layer: Layer::NoNewPrivileges,
        what: "no program gains privileges",
        act: |_| privileges::no_new_privileges(),
    },
    Step {
        layer: Layer::ParentDeath,
        what: "it ends with its parent (again: a change of id takes this back)",
        act: |with| start::end_with_parent(Some(with.parent)),
    },
    Step {
        layer: Layer::Dumpable,
        what: "started by root, its memory belongs to root alone",
        act: |with| dumpable(with.was_root),
    },
    Step {
        layer: Layer::Seccomp,
        what: "only the calls of the policy, everything else ends the process",
        act: |_| filter(),
    },
];

/// Confines the calling process, which must have one thread and have called
/// [`prepare`](crate::prepare) and [`limits::apply_spoke`].
///
/// Afterwards it can use the descriptors it has, wait, allocate and end; see the policy.
///
/// # Errors
/// A layer could not be had. The process is half confined then and can only end.
pub fn spoke(limits: &SpokeLimits) -> Result<Timings, Error> {
    spoke_as(limits, UnprivilegedId::default())
}

/// As [`spoke`], with another id in the place of root.
///
/// # Errors
/// As [`spoke`].
pub fn spoke_as(limits: &SpokeLimits, id: UnprivilegedId) -> Result<Timings, Error> {
    let with = Confinement {
        limits: limits.clone(),
        id,
        parent: std::os::unix::process::parent_id(),
        was_root: identity::is_root(),
    };
    step::take(STEPS, &with).map(|steps| Timings { steps })
}

/// All that does not depend on how a process was started, for a try in a throwaway process.
pub(crate) fn rehearse(limits: &SpokeLimits) -> Result<(), Error> {
    limits::apply_spoke(limits)?;
    let with = Confinement {
        limits: limits.clone(),
        id: UnprivilegedId::default(),
        parent: std::os::unix::process::parent_id(),
        was_root: identity::is_root(),
    };
    STEPS
        .iter()
        .filter(|step| !matches!(step.layer, Layer::Environment | Layer::Descriptors))
        .try_for_each(|step| (step.act)(&with))
}

/// The steps in order, for people.
#[must_use]
pub fn steps() -> Vec<(Layer, &'static str)> {
    step::list(STEPS)
}

/// The beginning of the line that a spoke writes to its standard error before it dies of a refused
/// call: `{"event":"refused","syscall":41,"name":"socket"}`.
pub const REFUSED_EVENT: &str = "{\"event\":\"refused\",\"syscall\":";

fn one_thread() -> Result<(), Error> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .map_err(|error| Error::system(Layer::Threads, "could not count threads", error))?
        .count();
    if tasks == 1 {
        return Ok(());
    }
    Err(Error::new(
        Layer::Threads,
        format!("there are {tasks} threads; namespaces and filters are per thread"),
    ))
}

/// What an ordinary user's host may read of its own child is decided here. The kernel shows the
/// namespaces, descriptors and root of a process that is not dumpable only to those with
/// capabilities in the namespace it was *executed* in. Root has them: so a spoke of root is not
/// dumpable. An ordinary user has not, and could not vouch: so there it stays dumpable. Other confined
/// processes have other user namespaces and pass no check either way, and no core is ever written.
fn dumpable(was_root: bool) -> Result<(), Error> {
    nix::sys::prctl::set_dumpable(!was_root)
        .map_err(|errno| Error::system(Layer::Dumpable, "could not be set", errno))
}

fn filter() -> Result<(), Error> {
    sys::on_refused_call(say_refused)
        .map_err(|errno| Error::system(Layer::Seccomp, "could not set the handler of refusals", errno))?;
    Filter::spoke().install_trapping()
}

/// Runs in a signal handler: no allocation, no lock, one write.
fn say_refused(number: u32) {
    use std::io::Write;
    let mut line = [0_u8; 128];
    let room = line.len();
    let mut rest: &mut [u8] = &mut line;
    let name = seccomp::call_name(number).unwrap_or("unnamed");
    let written = writeln!(rest, "{REFUSED_EVENT}{number},\"name\":\"{name}\"}}").is_ok();
    let length = room - rest.len();
    if written && let Some(text) = line.get(..length) {
        // Past the lock of the standard library, which the interrupted code may hold. A lost line
        // changes nothing: the parent sees SIGSYS.
        let _ = nix::unistd::write(std::io::stderr(), text);
    }
}
