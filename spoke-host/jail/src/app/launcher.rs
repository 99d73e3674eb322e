//! The launcher: the process between a spoke and the init of its app.
//!
//! Answers: is everything around the pid namespace in place, and does the spoke still want the app?
//! Never: reads what the program writes, or keeps a privilege after init is made.
//! Carries: I-10, I-11.

use super::{AppEvent, AppSpec, init};
use crate::error::{Error, Layer};
use crate::step::{self, Step};
use crate::{identity, limits, namespaces, privileges, start, sys};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// What the steps of the launcher work on.
pub(super) struct Launch {
    pub(super) spec: AppSpec,
    /// We are root with its powers, and stay so until the view stands: sources may lie in folders
    /// that only root can reach.
    pub(super) keeps_root: Cell<bool>,
}

const STEPS: &[Step<Launch>] = &[
    Step {
        layer: Layer::ParentDeath,
        what: "the launcher ends with the spoke; umask 077; a session of its own, without a terminal",
        act: |with| begin(&with.spec),
    },
    Step {
        layer: Layer::Command,
        what: "a command, and paths that can exist",
        act: |with| with.spec.check(),
    },
    Step {
        layer: Layer::Limits,
        what: "no core files; the spoke's own limits do not bind its app",
        act: |_| limits::raise_to_hard(),
    },
    Step {
        layer: Layer::PidNamespace,
        what: "as root: mount and pid namespaces; as an ordinary user: all of them, with one id",
        act: enter,
    },
];

/// What remains for the launcher once init is made.
const AFTERWARDS: &[Step<Launch>] = &[
    Step {
        layer: Layer::Capabilities,
        what: "the launcher, too, gives up what the user namespace gave it",
        act: |with| if with.keeps_root.get() { Ok(()) } else { privileges::drop_capabilities() },
    },
    Step {
        layer: Layer::Identity,
        what: "the launcher, too, gives up root",
        act: |with| identity::give_up_root(with.spec.id),
    },
    Step {
        layer: Layer::NoNewPrivileges,
        what: "no program gains privileges",
        act: |_| privileges::no_new_privileges(),
    },
    Step {
        layer: Layer::ParentDeath,
        what: "it ends with the spoke (again: a change of id takes this back)",
        act: |with| start::end_with_parent(with.spec.parent),
    },
];

pub(super) fn steps() -> Vec<(Layer, &'static str)> {
    step::list(STEPS)
}

/// Runs an app in its jail, in a process made for it with one thread, and ends when the app does.
pub fn run(spec: AppSpec) -> ! {
    let inherited =
        |number: Option<i32>| number.and_then(|number| sys::adopt(number).ok()).map(UnixStream::from);
    let (control, door) = (inherited(spec.control_fd), inherited(spec.door_fd));
    let code = match launch(spec, control.as_ref(), door) {
        Ok(code) => code,
        Err(error) => {
            AppEvent::failed(&error).tell(control.as_ref());
            FAILED
        }
    };
    sys::leave(code)
}

/// As shells say "could not be run".
const FAILED: i32 = 126;

fn launch(spec: AppSpec, control: Option<&UnixStream>, door: Option<UnixStream>) -> Result<i32, Error> {
    let with = Launch { spec, keeps_root: Cell::new(false) };
    step::take(STEPS, &with)?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| Error::system(Layer::Descriptors, "could not open /dev/null", error))?;
    // Closed with this process, however it ends: init watches the other end.
    let (alive, launcher) =
        std::io::pipe().map_err(|error| Error::system(Layer::ParentDeath, "could not make a pipe", error))?;

    let ours = launcher.as_raw_fd().unsigned_abs();
    let init = sys::fork(|| {
        // Only the launcher's own copy may keep it open. Its owner is in a frame this copy of the
        // process never returns to.
        let _ = sys::close_range(ours, ours);
        init::run(&with, control, door, &OwnedFd::from(alive), &null)
    })
    .map_err(|errno| Error::system(Layer::PidNamespace, "could not start init", errno))?;

    // The pipes to the program are its own from here on, so that their ends are noticed.
    for number in 0..3 {
        // Without a control channel standard error is the only way to be heard.
        if number < 2 || control.is_some() {
            let _ = sys::duplicate_onto(&null, number);
        }
    }
    let finished = step::take(AFTERWARDS, &with).map(drop).and_then(|()| wait(init, control));
    if finished.is_err() {
        let _ = kill(init, Signal::SIGKILL);
        let _ = waitpid(init, None);
    }
    drop(launcher);
    finished
}

fn begin(spec: &AppSpec) -> Result<(), Error> {
    let keep: Vec<i32> = spec.control_fd.into_iter().chain(spec.door_fd).collect();
    start::prepare(spec.parent, &keep)?;
    // The leader of a group cannot make a session; then a child could not either way take a terminal
    // of ours, as there is none open.
    match nix::unistd::setsid() {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(Error::system(Layer::ParentDeath, "could not make a session", errno)),
    }
}

fn enter(with: &Launch) -> Result<(), Error> {
    if identity::is_root() {
        match unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID) {
            Ok(()) => {
                with.keeps_root.set(true);
                return Ok(());
            }
            // Root in name only, as in most containers: go on as an ordinary user. Nothing is left
            // out; only what such a user cannot reach cannot be shown.
            Err(Errno::EPERM) => identity::give_up_root(with.spec.id)?,
            Err(errno) => {
                return Err(Error::system(Layer::PidNamespace, "the kernel refused a new namespace", errno));
            }
        }
        start::end_with_parent(with.spec.parent)?;
    }
    namespaces::enter(namespaces::APP)
}

/// Waits for init to end, or for the spoke to close the control channel.
fn wait(init: Pid, control: Option<&UnixStream>) -> Result<i32, Error> {
    let failed = |what: &'static str| move |errno: Errno| Error::system(Layer::PidNamespace, what, errno);
    let ended = sys::pidfd(init).map_err(failed("could not watch init"))?;
    let mut watched = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
    if let Some(control) = control {
        watched.push(PollFd::new(control.as_fd(), PollFlags::POLLHUP));
    }
    // No deadline: how long an app may live is the spoke's decision, who closes the channel.
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => (),
            Err(errno) => return Err(failed("could not wait for init")(errno)),
        }
    }
    let init_ended = watched.first().and_then(PollFd::revents).is_some_and(|events| !events.is_empty());
    if !init_ended {
        let _ = kill(init, Signal::SIGKILL);
    }
    match waitpid(init, None).map_err(failed("could not collect init"))? {
        nix::sys::wait::WaitStatus::Exited(_, code) => Ok(code),
        _ if !init_ended => Ok(0),
        other => {
            let what = format!("init ended unexpectedly: {other:?}");
            Err(Error::new(Layer::PidNamespace, what))
        }
    }
}
