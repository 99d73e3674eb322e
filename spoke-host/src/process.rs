//! The spoke program, executed and told nothing.
//!
//! Answers: how is it started, whatever it is to do?
//! Never: passes an environment, or a descriptor besides three pipes.
//! Carries: I-10.

use std::path::Path;
use std::process::Stdio;

use bus::message::host::SpawnFailure;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::lines::Lines;
use crate::spawn::failure;

/// A process of the spoke program. Dropping it kills it.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// When it closes, the process takes its host for gone.
    pub(crate) stdin: ChildStdin,
    pub(crate) said: Lines<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

impl Process {
    /// Executes `program` to do `what`; of a line that it says `most` bytes are taken.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn execute(program: &Path, what: &str, most: usize) -> Result<Self, SpawnFailure> {
        let mut child = Command::new(program)
            .arg(what)
            .arg(std::process::id().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failure(format!("{} could not be started: {error}", program.display())))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failure("the spoke has no pipes".to_owned()));
        };
        let stderr = child.stderr.take();
        Ok(Self { child, stdin, said: Lines::new(stdout, most), stderr })
    }
}
