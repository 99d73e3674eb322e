//! A core process of ours, started as its supervisor would start it.
//!
//! Answers: how does a test or a benchmark run one real core process and play the rest itself?
//! Never: outlives the test; its standard input closes with this value, and the process with it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::launch::{Identity, Said, Start};
use serde::Serialize;

use crate::nats::Nats;

/// A running core process.
pub struct Core {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// Where the built programs are: beside the program that runs now, or one folder up for test programs.
///
/// # Panics
/// If they were not built.
#[must_use]
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("the own program");
    own.ancestors()
        .skip(1)
        .take(2)
        .find(|dir| dir.join("spoke-host").is_file())
        .expect("the programs beside this one: `cargo build --workspace` makes them")
        .to_owned()
}

impl Core {
    /// Starts `program` in `role`, and returns when it says that it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    #[must_use]
    pub fn start<C: Serialize>(nats: &Nats, program: &str, role: &Role, config: C) -> Self {
        let log = nats.scratch().join(&format!("{program}.log"));
        let mut child = Command::new(programs().join(program))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("a log file"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()))
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut hear = || -> Said {
            let line = lines.next().and_then(Result::ok).unwrap_or_else(|| {
                panic!("{program} ended:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
            });
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{program}: {error}: {line}"))
        };
        let Said::PublicKey(key) = hear() else { panic!("{program} did not begin with its key") };
        let jwt = nats.signer().sign(role, &key, None).expect("a credential");
        let start = Start { url: nats.url.clone(), tls_ca: None, identity: Identity::Signed(jwt), config };
        let mut line = serde_json::to_vec(&start).expect("the settings");
        line.push(b'\n');
        stdin.write_all(&line).expect("the pipe");
        match hear() {
            Said::Ready => {}
            other => panic!("{program}: {other:?}\n{}", std::fs::read_to_string(&log).unwrap_or_default()),
        }
        Self { child, stdin: Some(stdin) }
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
}

impl Drop for Core {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Ended already, or about to be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
