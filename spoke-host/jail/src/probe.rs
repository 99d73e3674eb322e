//! What this machine can enforce.
//!
//! Answers: does every layer work here, and if not, which setting of the machine is in the way?
//! Never: believes a version number or a file where it can try; each try is in a process of its own
//! that ends afterwards.
//! Carries: I-11.

mod facts;

pub(crate) use facts::why_refused;

use crate::app::{self, AppEnd, AppEvent, AppSpec};
use crate::error::{Error, Layer};
use crate::identity::{self, UnprivilegedId};
use crate::limits::SpokeLimits;
use crate::seccomp::Filter;
use crate::{confine, namespaces, privileges, start, sys};
use nix::sys::wait::waitpid;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// What.
    pub name: String,
    /// Does nothing start without it?
    pub required: bool,
    /// Did it work?
    pub state: State,
}

/// Whether something works here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It does.
    Ok,
    /// It does not.
    Missing {
        /// What went wrong.
        what: String,
        /// What is in the way, as far as it shows.
        why: String,
        /// What to do about it.
        what_to_do: String,
    },
}

/// Starting and confining takes milliseconds; a machine that needs longer than this has other worries.
const TO_TRY: Duration = Duration::from_secs(20);

/// Tries everything.
#[must_use]
pub fn features() -> Vec<Feature> {
    let required = |name: &str, state: State| Feature { name: name.to_owned(), required: true, state };
    let optional = |name: &str, state: State| Feature { name: name.to_owned(), required: false, state };
    vec![
        required("Linux 5.12 or newer", facts::kernel()),
        required("processes end with their parent", tried(|| start::end_with_parent(None))),
        required("no_new_privs", tried(privileges::no_new_privileges)),
        required("system call filters", tried(filter)),
        required("unprivileged user namespaces", tried(user_namespace)),
        required("mount, network, ipc and uts namespaces", tried(spoke_namespaces)),
        required("a spoke, with every layer", tried(spoke)),
        required("an app, with every layer", app()),
        optional("names of refused calls of apps", tried(listening)),
        optional("a delegated cgroup", facts::cgroup()),
    ]
}

fn filter() -> Result<(), Error> {
    privileges::no_new_privileges()?;
    Filter::spoke().install_killing()
}

fn listening() -> Result<(), Error> {
    privileges::no_new_privileges()?;
    match Filter::app().install_listening()? {
        Some(_) => Ok(()),
        None => Err(Error::new(Layer::Seccomp, "another sandbox around us listens already")),
    }
}

fn user_namespace() -> Result<(), Error> {
    identity::give_up_root(UnprivilegedId::default())?;
    namespaces::enter(&[Layer::UserNamespace])
}

fn spoke_namespaces() -> Result<(), Error> {
    identity::give_up_root(UnprivilegedId::default())?;
    namespaces::enter(namespaces::SPOKE)
}

fn spoke() -> Result<(), Error> {
    confine::rehearse(&SpokeLimits::standard())
}

/// Runs `act` in a throwaway process.
fn tried(act: fn() -> Result<(), Error>) -> State {
    match outcome(act) {
        Ok(None) => State::Ok,
        Ok(Some((what, hint))) => facts::missing(what, hint),
        Err(error) => facts::missing(format!("could not try: {error}"), None),
    }
}

type Failure = (String, Option<String>);

fn outcome(act: fn() -> Result<(), Error>) -> std::io::Result<Option<Failure>> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(TO_TRY))?;
    let child = sys::fork(move || {
        let failure = act().err().map(|error| (error.line(), error.hint().map(str::to_owned)));
        let text = serde_json::to_vec(&failure).unwrap_or_default();
        let _ = (&theirs).write_all(&text);
        0
    })?;
    let mut text = Vec::new();
    let read = ours.read_to_end(&mut text);
    let status = waitpid(child, None)?;
    read?;
    Ok(serde_json::from_slice(&text).unwrap_or_else(|_| Some((format!("the try ended: {status:?}"), None))))
}

/// Runs `true` in a whole jail.
fn app() -> State {
    let folder = std::env::temp_dir().join(format!("secgpt-doctor-{}", std::process::id()));
    let state = match run_true(&folder) {
        Ok(None) => State::Ok,
        Ok(Some((what, hint))) => facts::missing(what, hint),
        Err(error) => facts::missing(format!("could not try: {error}"), None),
    };
    let _ = std::fs::remove_dir(&folder);
    state
}

fn run_true(folder: &Path) -> std::io::Result<Option<Failure>> {
    if let Err(error) = app::own_data_dir(folder) {
        return Ok(Some((error.line(), None)));
    }
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(TO_TRY))?;
    let spec = AppSpec {
        control_fd: Some(theirs.as_raw_fd()),
        parent: Some(std::process::id()),
        ..AppSpec::bare(&["true"], PathBuf::from("/usr"), folder.to_owned())
    };
    let launcher = sys::fork(move || app::run(spec))?;
    drop(theirs);
    let mut failure = Some(("the jail said nothing".to_owned(), None));
    for line in BufReader::new(&ours).lines() {
        match serde_json::from_str(&line?) {
            Ok(AppEvent::Started) => (),
            Ok(AppEvent::Ended(AppEnd::Exited { code: 0 })) => failure = None,
            Ok(AppEvent::Ended(end)) => failure = Some((format!("it ended: {end:?}"), None)),
            Ok(AppEvent::Failed { layer, message, hint }) => {
                failure = Some((format!("{layer}: {message}"), hint));
            }
            Err(error) => failure = Some((format!("a line that is no event: {error}"), None)),
        }
    }
    waitpid(launcher, None)?;
    Ok(failure)
}
