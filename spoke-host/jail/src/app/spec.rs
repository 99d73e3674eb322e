//! What an app is run with.
//!
//! Answers: which command, which folders, which variables, how much of the machine?
//! Never: holds a default that shows more than was named.
//! Carries: I-10.

use crate::error::{Error, Layer};
use crate::identity::UnprivilegedId;
use crate::limits::AppLimits;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything the launcher is told. It travels as JSON in an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSpec {
    /// The program and its arguments. A name is looked up in `PATH` inside the jail, a relative path
    /// in the app's folder.
    pub command: Vec<String>,
    /// The app's own folder: `/app` inside, read-only, and the working directory.
    pub app_dir: PathBuf,
    /// The app's data: `/data` inside, and its `HOME`. See [`crate::app::own_data_dir`].
    pub data_dir: PathBuf,
    /// More paths to read, at their own place.
    pub read: Vec<PathBuf>,
    /// Variables. `HOME`, `LANG`, `PATH` and `TMPDIR` have defaults; there are no others.
    pub env: Vec<(String, String)>,
    /// How much of the machine.
    pub limits: AppLimits,
    /// Has it a way out? Then connections to [`crate::app::PROXY`] come to the spoke, and the usual variables say so.
    #[serde(default)]
    pub proxy: bool,
    /// The id outside, when we are root.
    #[serde(default)]
    pub id: UnprivilegedId,
    /// Set by [`crate::app::start`]: the number of the inherited control channel.
    #[serde(default)]
    pub control_fd: Option<i32>,
    /// Set by [`crate::app::start`]: the number of the inherited channel for connections to the proxy.
    #[serde(default)]
    pub door_fd: Option<i32>,
    /// Set by [`crate::app::start`]: the process to end with.
    #[serde(default)]
    pub parent: Option<u32>,
}

/// The kernel's own limit on a path.
const LONGEST_PATH: usize = 4095;

impl AppSpec {
    /// This command with its two folders, and nothing more: no other paths, no variables, no way out, the standard limits.
    #[must_use]
    pub fn bare(command: &[&str], app_dir: PathBuf, data_dir: PathBuf) -> Self {
        Self {
            command: command.iter().map(|&part| part.to_owned()).collect(),
            app_dir,
            data_dir,
            read: Vec::new(),
            env: Vec::new(),
            limits: AppLimits::standard(),
            proxy: false,
            id: UnprivilegedId::default(),
            control_fd: None,
            door_fd: None,
            parent: None,
        }
    }

    /// Refuses what cannot work, before anything is made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::new(Layer::Command, what));
        match self.command.first() {
            Some(program) if !program.is_empty() => (),
            _ => return wrong("the command is empty".to_owned()),
        }
        if self.command.iter().any(|part| part.contains('\0')) {
            return wrong("the command has a zero byte".to_owned());
        }
        for path in self.paths() {
            if !path.is_absolute() {
                return wrong(format!("{} is not an absolute path", path.display()));
            }
            if LONGEST_PATH < path.as_os_str().len() {
                let start: String = path.display().to_string().chars().take(40).collect();
                return wrong(format!("the path {start}… is longer than {LONGEST_PATH} bytes"));
            }
        }
        Ok(())
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        [self.app_dir.as_path(), self.data_dir.as_path()]
            .into_iter()
            .chain(self.read.iter().map(PathBuf::as_path))
    }
}
