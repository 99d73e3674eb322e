//! A core process of the system, started as `secgpt` starts it.
//!
//! Answers: how does a test run one of our processes alone, on a broker of its own?
//! Never: hands a secret over by argument or environment.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::launch::{Identity, Said, Start};
use serde::Serialize;

use crate::nats::Nats;
use crate::program::{PATIENCE, built, eventually};
use crate::scratch::{Scratch, tail};

/// Where the built programs are.
///
/// # Panics
/// If they were not built.
#[must_use]
pub fn programs() -> PathBuf {
    built("spoke-host").parent().expect("a folder").to_owned()
}

/// A running core process. Its log goes to a file of the test's.
pub struct Core {
    child: Child,
    stdin: Option<ChildStdin>,
    said: mpsc::Receiver<Said>,
    name: String,
    log: PathBuf,
    _scratch: Scratch,
}

impl Core {
    /// Starts `program` in a role, and returns when it does its work. It logs warnings, unless `RUST_LOG` says more.
    ///
    /// # Panics
    /// If it does not come to do its work.
    #[must_use]
    pub fn start<C: Serialize>(nats: &Nats, program: &str, role: &Role, config: C) -> Self {
        let level = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into());
        Self::try_start(nats, program, role, config, &level)
            .unwrap_or_else(|(detail, hint)| panic!("{program}: {detail} ({hint:?})"))
    }

    /// Starts `program` in a role with a log level, and returns when it does its work.
    ///
    /// # Errors
    /// What the process says when it does not.
    ///
    /// # Panics
    /// If it does not keep to the protocol of the start.
    pub fn try_start<C: Serialize>(
        nats: &Nats,
        program: &str,
        role: &Role,
        config: C,
        level: &str,
    ) -> Result<Self, (String, Option<String>)> {
        let scratch = Scratch::new(program);
        let log = scratch.join("log");
        let mut child = Command::new(built(program))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUST_LOG", level)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("the log file"))
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("a pipe");
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(said) = serde_json::from_str(&line) else { break };
                if tell.send(said).is_err() {
                    break;
                }
            }
        });
        let mut core = Self { child, stdin, said, name: program.to_owned(), log, _scratch: scratch };
        let Said::PublicKey(key) = core.hear() else { panic!("{program} did not begin with its key") };
        let jwt = nats.signer().sign(role, &key, None).expect("a statement");
        let start = Start { url: nats.url.clone(), tls_ca: None, identity: Identity::Signed(jwt), config };
        let line = serde_json::to_string(&start).expect("JSON") + "\n";
        core.stdin.as_mut().expect("a pipe").write_all(line.as_bytes()).expect("a pipe");
        match core.hear() {
            Said::Ready => Ok(core),
            Said::Failed { detail, hint } => Err((detail, hint)),
            Said::PublicKey(_) => panic!("{program} said its key twice"),
        }
    }

    fn hear(&mut self) -> Said {
        match self.said.recv_timeout(PATIENCE) {
            Ok(said) => said,
            Err(error) => panic!("{} said nothing: {error}\n{}", self.name, tail(&self.log, 30)),
        }
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Wants it to stop, and waits until it has.
    ///
    /// # Panics
    /// If it does not.
    pub fn stop(&mut self) {
        self.stdin = None;
        let name = self.name.clone();
        eventually(&format!("{name} stops"), || self.child.try_wait().expect("a child"));
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // In good order if it can: a host takes its spokes down with it.
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the last lines of {}\n{}", self.name, tail(&self.log, 30));
        }
    }
}
