//! One child process: started, told its place, watched, stopped.
//!
//! Answers: how does a process start so that it cannot outlive this one?
//! Never: leaves a child behind, however this process ends; hands a secret on by argument or environment.
//! Carries: I-10.
//!
//! Every child is started as `secgpt __child`, which asks the kernel to kill it with its parent and then becomes the
//! program. The kernel ties that to the *thread* that started it, so children are started from the main thread only,
//! which runs the whole supervisor.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bus::acl::Role;
use bus::client::Address;
use bus::identity::Signer;
use bus::launch::{Identity, Said, Start};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};

use super::log::Log;
use crate::environment;
use crate::error::Error;

/// The hidden command that becomes a child.
pub const CHILD: &str = "__child";

/// How long a child has to say ready. A cold disk takes seconds; a dead child is noticed at once.
const READY: Duration = Duration::from_secs(20);

/// How long a child has to stop by itself, and after a signal. The hub ends its queries and takes in what was just said,
/// for which it gives itself three seconds in all; every other child ends at once.
const STOP: Duration = Duration::from_secs(5);
const STOP_AFTER_SIGNAL: Duration = Duration::from_secs(3);

/// What to start.
#[derive(Debug)]
pub struct Spec {
    /// Its name in logs and messages.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of its own, beside those that every child gets. Settings, and never a secret: others can read them.
    pub env: &'static [(&'static str, &'static str)],
    /// Does it speak the launch protocol on its pipes?
    pub ours: bool,
}

/// A running child.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub name: &'static str,
    /// Its process id.
    pub pid: u32,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    log: Log,
    order: mpsc::Sender<Signal>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Running {
    /// Starts a child. `told` hears of its end.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(spec: &Spec, log: Log, told: mpsc::Sender<&'static str>) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::failed(format!("{} cannot be started ({})", spec.name, spec.program.display()))
                .because(error)
        };
        let own = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(own);
        command.arg(CHILD).arg(std::process::id().to_string()).arg(&spec.program).args(&spec.args);
        command.env_clear().envs(environment::for_children()).envs(spec.env.iter().copied());
        // A group of its own: Ctrl-C at the terminal reaches this process only, which stops the others in order.
        command.process_group(0).kill_on_drop(true);
        let pipe = || if spec.ours { Stdio::piped() } else { Stdio::null() };
        command.stdin(pipe()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let pid = child.id().ok_or_else(|| failed(std::io::Error::other("it ended at once")))?;
        if let Some(stderr) = child.stderr.take() {
            log.take(stderr);
        }
        let stdout = match child.stdout.take() {
            Some(stdout) if spec.ours => Some(BufReader::new(stdout).lines()),
            Some(stdout) => {
                log.take(stdout);
                None
            }
            None => None,
        };
        let stdin = child.stdin.take();
        let (order, mut orders) = mpsc::channel(4);
        let (tell, ended) = watch::channel(None);
        let name = spec.name;
        tokio::spawn(async move {
            let mut wanted = true;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    signal = orders.recv(), if wanted => match signal {
                        Some(signal) => {
                            // Not reaped yet, so the id is still this child's.
                            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                                let _ = kill(Pid::from_raw(pid), signal);
                            }
                        }
                        // Whoever held it has let it fall.
                        None => {
                            wanted = false;
                            let _ = child.start_kill();
                        }
                    },
                }
            };
            tell.send_replace(Some(status.unwrap_or_default()));
            // Refused only when nobody supervises any more.
            let _ = told.send(name).await;
        });
        Ok(Self { name, pid, stdin, stdout, log, order, ended })
    }

    /// Gives a child of ours its credential and settings, and waits until it does its work.
    ///
    /// # Errors
    /// In the child's own words if it has any, with its last log lines otherwise.
    pub async fn launch<C: Serialize>(
        &mut self,
        address: &Address,
        identity: impl FnOnce(&str) -> Result<Identity, Error>,
        config: C,
    ) -> Result<(), Error> {
        let said = match tokio::time::timeout(READY, self.launch_steps(address, identity, config)).await {
            Ok(result) => result,
            Err(_) => Err(Error::failed(format!("{} was not ready within {} s", self.name, READY.as_secs()))),
        };
        said.map_err(|error| self.with_last_words(error))
    }

    async fn launch_steps<C: Serialize>(
        &mut self,
        address: &Address,
        identity: impl FnOnce(&str) -> Result<Identity, Error>,
        config: C,
    ) -> Result<(), Error> {
        let Said::PublicKey(public_key) = self.said().await? else {
            return Err(Error::failed(format!("{} did not say its public key first", self.name)));
        };
        let start = Start {
            url: address.url.clone(),
            tls_ca: address.tls_ca.clone(),
            identity: identity(&public_key)?,
            config,
        };
        let mut line = serde_json::to_vec(&start).map_err(|error| {
            Error::failed(format!("the settings of {} cannot be written", self.name)).because(error)
        })?;
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            stdin.write_all(&line).await.map_err(|error| {
                Error::failed(format!("{} went away during its start", self.name)).because(error)
            })?;
        }
        match self.said().await? {
            Said::Ready => {
                self.drain();
                Ok(())
            }
            Said::Failed { detail, hint } => {
                Err(Error::failed(format!("{} did not start: {detail}", self.name)).maybe_hint(hint))
            }
            Said::PublicKey(_) => Err(Error::failed(format!("{} said its public key twice", self.name))),
        }
    }

    async fn said(&mut self) -> Result<Said, Error> {
        let ended = || Error::failed(format!("{} ended during its start", self.name));
        let lines = self.stdout.as_mut().ok_or_else(ended)?;
        let line = lines.next_line().await.ok().flatten().ok_or_else(ended)?;
        serde_json::from_str(&line).map_err(|error| {
            Error::failed(format!("{} says what is not understood", self.name))
                .because(error)
                .hint("do all programs come from the same build?")
        })
    }

    /// What a child says after its start is of no interest, but its pipe must not fill.
    fn drain(&mut self) {
        if let Some(mut lines) = self.stdout.take() {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        }
    }

    fn with_last_words(&self, error: Error) -> Error {
        let path = self.log.path().display().to_string();
        let hint = match (error.way_out(), self.log.last_words()) {
            (Some(_), _) => return error,
            (None, words) if words.is_empty() => format!("its log is {path}"),
            (None, words) => format!("its log is {path}; it ends with: {words}"),
        };
        error.hint(hint)
    }

    /// Has it ended?
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// How it ended, as a sentence's end.
    #[must_use]
    pub fn how(&self) -> String {
        match *self.ended.borrow() {
            Some(status) => status.to_string(),
            None => "is still there".to_owned(),
        }
    }

    /// Its last log lines.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.log.last_words()
    }

    /// Stops it: its input ends; then a polite signal; then an impolite one.
    pub async fn stop(mut self) {
        let ours = self.stdin.is_some();
        drop(self.stdin.take());
        if ours && self.within(STOP).await {
            return;
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // Refused only when it has ended already.
            let _ = self.order.send(signal).await;
            if self.within(if ours { STOP_AFTER_SIGNAL } else { STOP }).await {
                return;
            }
        }
        tracing::error!(name = self.name, pid = self.pid, "could not be stopped");
    }

    async fn within(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.ended.wait_for(Option::is_some)).await.is_ok()
    }
}

/// The identity for a child whose own key is to be signed.
pub fn signed<'a>(
    signer: &'a Signer,
    role: &'a Role,
) -> impl FnOnce(&str) -> Result<Identity, Error> + use<'a> {
    move |public_key| Ok(Identity::Signed(signer.sign(role, public_key, None)?))
}

/// Becomes a child: `arguments` are the parent's process id, the program and its arguments. Returns only on failure.
#[must_use]
pub fn become_child(arguments: &[OsString]) -> Error {
    let [parent, program, rest @ ..] = arguments else {
        return Error::usage("this is no command for people");
    };
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        return Error::failed("the kernel does not tie this process to its parent").because(error);
    }
    // The parent may have died before the kernel was asked.
    if parent.to_str().and_then(|text| text.parse().ok()) != Some(getppid().as_raw()) {
        return Error::failed("the parent is gone");
    }
    let error = std::process::Command::new(program).args(rest).exec();
    Error::failed(format!("{} cannot be started", program.to_string_lossy())).because(error)
}
