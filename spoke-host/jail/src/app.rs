//! Running a stranger's program.
//!
//! Answers: how is an app child started by a spoke, and what does it have around it?
//! Never: runs a program before every layer is in force, or leaves one running when the spoke ended.
//! Carries: I-10, I-11, I-12, I-16.
//!
//! Three processes: the *launcher* (a child of the spoke), the *init* of a new pid namespace, and the
//! *program*. The launcher cannot enter the pid namespace itself; init ends everything in it when the
//! program ends, when the launcher ends, or when a limit is passed that the kernel does not keep.

mod door;
mod event;
mod init;
mod launcher;
mod program;
mod spec;
mod usage;

pub use door::{PROXY, take};
pub use event::{AppEnd, AppEvent};
pub use launcher::run;
pub use spec::AppSpec;

use crate::error::{Error, Layer};
use crate::identity::{self, UnprivilegedId};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{Gid, Uid};
use std::fs::{DirBuilder, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// An app that was started.
#[derive(Debug)]
pub struct AppChild {
    /// The launcher; its three standard descriptors are pipes to the program.
    pub child: Child,
    /// Lines of JSON from the jail, each an [`AppEvent`]; the program cannot write there. Closing it
    /// ends the program and everything it started.
    pub control: UnixStream,
    /// Where connections to [`PROXY`] come out, see [`take`]; only if the spec asks for a proxy.
    pub door: Option<UnixStream>,
}

/// Starts an app: this very program again as `<program> app <spec>`, which calls [`run`].
///
/// To be called by a spoke before it confines itself.
///
/// # Errors
/// The process could not be started. Everything later comes as an [`AppEvent`].
pub fn start(spec: &AppSpec) -> Result<AppChild, Error> {
    start_with(Path::new("/proc/self/exe"), &["app"], spec)
}

/// As [`start`], with another program that calls [`run`] with its last argument.
///
/// # Errors
/// As [`start`].
pub fn start_with(program: &Path, before: &[&str], spec: &AppSpec) -> Result<AppChild, Error> {
    let failed = |what: &'static str| move |error: std::io::Error| Error::system(Layer::Command, what, error);
    let (control, theirs) = channel()?;
    let (door, theirs_of_door) = if spec.proxy { Some(channel()?).unzip() } else { (None, None) };
    let spec = AppSpec {
        control_fd: Some(theirs.as_raw_fd()),
        door_fd: theirs_of_door.as_ref().map(AsRawFd::as_raw_fd),
        parent: Some(std::process::id()),
        ..spec.clone()
    };
    let text = serde_json::to_string(&spec)
        .map_err(|error| Error::system(Layer::Command, "could not write the spec", error))?;
    let child = Command::new(program)
        .args(before)
        .arg(text)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed("could not start the launcher"))?;
    Ok(AppChild { child, control, door })
}

/// Two ends: ours, and the one that the launcher inherits.
fn channel() -> Result<(UnixStream, UnixStream), Error> {
    let (ours, theirs) = UnixStream::pair()
        .map_err(|error| Error::system(Layer::Command, "could not make a channel to the jail", error))?;
    // Inherited by this child only: the calling process has one thread, and closes its copy once it runs.
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))
        .map_err(|errno| Error::system(Layer::Command, "could not pass a channel to the jail", errno))?;
    Ok((ours, theirs))
}

/// Makes the folder an app may write to, for nobody else, owned by the id the app will have.
///
/// # Errors
/// It could not be made or handed over.
pub fn own_data_dir(path: &Path) -> Result<(), Error> {
    own_data_dir_as(path, UnprivilegedId::default())
}

/// As [`own_data_dir`], for another id than the default.
///
/// # Errors
/// As [`own_data_dir`].
pub fn own_data_dir_as(path: &Path, id: UnprivilegedId) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::system(Layer::Data, format!("could not make {} for the app", path.display()), error)
    };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
    if identity::is_root() {
        let (uid, gid) = (Uid::from_raw(id.number()), Gid::from_raw(id.number()));
        nix::unistd::chown(path, Some(uid), Some(gid)).map_err(|errno| failed(errno.into()))?;
    }
    Ok(())
}

/// The steps of all three processes in order, for people.
pub(crate) fn steps() -> Vec<(Layer, &'static str)> {
    let mut steps = launcher::steps();
    steps.extend(init::steps());
    steps.extend(program::steps());
    steps
}
