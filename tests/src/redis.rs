//! A real store for one test.
//!
//! Answers: how does a test get a store of its own?
//! Never: listens on the network; a unix socket in the test's own folder only.

use std::path::PathBuf;
use std::process::Command;

use crate::bundle::bundle;
use crate::program::Program;
use crate::scratch::Scratch;

/// A store that only its owner knows.
pub struct Redis {
    program: Program,
    scratch: Scratch,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(Scratch::new("redis"))
    }

    /// Starts one again on what an earlier one left.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn restarted(self) -> Self {
        let Self { mut program, scratch } = self;
        program.signal(nix::sys::signal::Signal::SIGTERM);
        program.wait();
        Self::start_in(scratch)
    }

    fn start_in(scratch: Scratch) -> Self {
        let socket = scratch.join("redis.sock");
        let mut command = Command::new(&bundle().redis_server);
        command.args(["--port", "0", "--unixsocket"]).arg(&socket).args(["--unixsocketperm", "700"]);
        command.arg("--dir").arg(scratch.path()).args(["--appendonly", "yes", "--save", ""]);
        let mut program = Program::start(&mut command, &scratch.join("redis.log"));
        program.until("listens", || std::os::unix::net::UnixStream::connect(&socket).ok());
        Self { program, scratch }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.join("redis.sock")
    }

    /// Its address, as the configuration wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its process, to be stopped or killed by a test.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}
