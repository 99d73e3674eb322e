//! The init of an app's pid namespace.
//!
//! Answers: is the jail furnished, is the program still within its limits, and why did it end?
//! Never: outlives the launcher or the program; when it ends the kernel ends everything inside.
//! Carries: I-11, I-12, I-16.

use super::door::Door;
use super::launcher::Launch;
use super::program::{self, Program, Started};
use super::usage::Usage;
use super::{AppEnd, AppEvent};
use crate::error::{Error, Layer};
use crate::step::{self, Step};
use crate::view::app::Shown;
use crate::{environment, identity, namespaces, privileges, seccomp, start, sys, view};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// What is made after the id was given up, when the view was made as root.
const LATER: &[Layer] = &[
    Layer::UserNamespace,
    Layer::MountNamespace,
    Layer::NetworkNamespace,
    Layer::IpcNamespace,
    Layer::UtsNamespace,
    Layer::CgroupNamespace,
];

const STEPS: &[Step<Launch>] = &[
    Step {
        layer: Layer::ParentDeath,
        what: "init ends with the launcher",
        act: |_| start::end_with_parent(None),
    },
    Step {
        layer: Layer::View,
        what: "a root of its own: system folders, /app and named paths read-only; /data, /tmp and a few devices; its own /proc",
        act: |with| {
            view::app::build(&Shown {
                app_dir: with.spec.app_dir.clone(),
                data_dir: with.spec.data_dir.clone(),
                read: with.spec.read.clone(),
                tmp_mb: with.spec.limits.tmp_mb,
            })
        },
    },
    Step {
        layer: Layer::Identity,
        what: "root becomes an unprivileged id without groups",
        act: |with| identity::give_up_root(with.spec.id),
    },
    Step {
        layer: Layer::UserNamespace,
        what: "as root: the remaining namespaces, with one id; what was mounted is locked",
        act: |with| {
            if with.keeps_root.get() {
                namespaces::enter(LATER)?;
            }
            Ok(())
        },
    },
    Step {
        layer: Layer::View,
        what: "the root becomes a copy that no table of mounts shows: where it lies on disk cannot be read",
        act: |_| view::app::leave_the_table(),
    },
    Step {
        layer: Layer::UtsNamespace,
        what: "the host is called `app`",
        act: |_| {
            nix::unistd::sethostname("app")
                .map_err(|errno| Error::system(Layer::UtsNamespace, "could not name the host", errno))
        },
    },
    Step {
        layer: Layer::Loopback,
        what: "loopback, the only interface, is up",
        act: |_| {
            sys::loopback_up()
                .map_err(|errno| Error::system(Layer::Loopback, "could not bring loopback up", errno))
        },
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
        what: "init ends with the launcher (again: a change of id takes this back)",
        act: |_| start::end_with_parent(None),
    },
    Step {
        layer: Layer::Dumpable,
        what: "init's memory is closed to the program, which has the same id",
        act: |_| {
            nix::sys::prctl::set_dumpable(false)
                .map_err(|errno| Error::system(Layer::Dumpable, "could not be set", errno))
        },
    },
];

pub(super) fn steps() -> Vec<(Layer, &'static str)> {
    step::list(STEPS)
}

/// Furnishes the jail, runs the program, and says how it ended. Returns the exit code.
pub(super) fn run(
    with: &Launch,
    control: Option<&UnixStream>,
    door: Option<UnixStream>,
    alive: &OwnedFd,
    null: &File,
) -> i32 {
    match jail(with, control, door, alive, null) {
        Ok(end) => {
            AppEvent::Ended(end).tell(control);
            0
        }
        Err(error) => {
            AppEvent::failed(&error).tell(control);
            126
        }
    }
}

fn jail(
    with: &Launch,
    control: Option<&UnixStream>,
    door: Option<UnixStream>,
    alive: &OwnedFd,
    null: &File,
) -> Result<AppEnd, Error> {
    step::take(STEPS, with)?;
    let door = door.map(Door::open).transpose()?;
    let environment = environment::for_app(&with.spec.env, door.is_some())?;
    let program = Program::find(&with.spec, environment)?;
    // Init, and the launcher where it had to enter the user namespace itself.
    let others = if with.keeps_root.get() { 1 } else { 2 };
    let started = program::start(&program, &with.spec.limits, others, control, null)?;
    AppEvent::Started.tell(control);

    let end = watch(with, &started, door.as_ref(), alive);
    // Before the listener closes: a call that waits on it would come back with an error, and the
    // program would go on for a moment.
    end_all();
    end
}

/// Ends every process of the namespace but this one, and collects them.
fn end_all() {
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while waitpid(Pid::from_raw(-1), None).is_ok() {}
}

/// Waits until the program ends, or has to.
fn watch(with: &Launch, started: &Started, door: Option<&Door>, alive: &OwnedFd) -> Result<AppEnd, Error> {
    let exited = sys::pidfd(started.pid).map_err(unwatched)?;
    let mut usage = Usage::new(&with.spec.limits);
    loop {
        let mut watched = vec![
            PollFd::new(exited.as_fd(), PollFlags::POLLIN),
            PollFd::new(alive.as_fd(), PollFlags::POLLIN),
        ];
        let listener = started.listener.as_ref().map(AsFd::as_fd);
        let fixed = watched.len();
        for more in [listener, door.map(Door::waits)].into_iter().flatten() {
            watched.push(PollFd::new(more, PollFlags::POLLIN));
        }
        let (call_waits, somebody_waits) = (fixed, fixed + usize::from(listener.is_some()));
        let rest = usage.next_look().saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(rest).unwrap_or(PollTimeout::ZERO);
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(errno) => return Err(unwatched(errno)),
        }
        let ready = |index: usize, flag: PollFlags| {
            watched.get(index).and_then(PollFd::revents).is_some_and(|events| events.intersects(flag))
        };
        if ready(1, PollFlags::all()) {
            return Ok(AppEnd::Stopped);
        }
        if let Some(listener) = listener
            && ready(call_waits, PollFlags::POLLIN)
        {
            // The call is never made: the process that asks waits until init has ended.
            match sys::waiting_call(listener) {
                Ok(number) => return Ok(refused(Some(number))),
                // It was killed by another while it waited.
                Err(Errno::ENOENT | Errno::EINTR) => (),
                Err(errno) => return Err(unwatched(errno)),
            }
        }
        if let Some(door) = door
            && ready(somebody_waits, PollFlags::POLLIN)
        {
            door.hand_over();
        }
        if let Some(end) = reap(started.pid)? {
            return Ok(end);
        }
        if let Some(end) = usage.look() {
            return Ok(end);
        }
    }
}

/// Collects whatever ended; says so if the program itself did.
fn reap(program: Pid) -> Result<Option<AppEnd>, Error> {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => {
                return Ok(Some(AppEnd::Exited { code }));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return Ok(Some(signalled(signal)));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => (),
            Err(errno) => return Err(unwatched(errno)),
        }
    }
}

fn signalled(signal: Signal) -> AppEnd {
    match signal {
        Signal::SIGSYS => refused(None),
        Signal::SIGXCPU => AppEnd::CpuTime,
        Signal::SIGXFSZ => AppEnd::FileSize,
        other => AppEnd::Signalled { signal: other as i32, name: other.as_str().to_owned() },
    }
}

fn refused(syscall: Option<u32>) -> AppEnd {
    AppEnd::Refused { syscall, name: syscall.and_then(seccomp::call_name).map(str::to_owned) }
}

fn unwatched(errno: Errno) -> Error {
    Error::system(Layer::PidNamespace, "could not watch the program", errno)
}
