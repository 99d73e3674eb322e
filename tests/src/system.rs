//! A whole system for one test: the real `secgpt`, with a state folder, a model and settings of its own.
//!
//! Answers: how does a test ask a query as a person would, and see what came of it?
//! Never: reads the settings or keys of the person who runs the tests; leaves a process behind.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::bundle::{bundle, workspace};
use crate::program::{PATIENCE, built, eventually};
use crate::scratch::{Scratch, tail};

/// What differs from the usual.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Settings, as for `--set`: `("permission.preset", "strict")`.
    pub set: Vec<(String, String)>,
    /// Variables of the environment.
    pub env: Vec<(String, String)>,
    /// Another model server than the scripted one: its base URL.
    pub base_url: Option<String>,
    /// How long the scripted model waits before each answer, milliseconds.
    pub delay_ms: u64,
    /// Run everything as this user id, which needs no name. Only root can.
    pub run_as: Option<u32>,
}

impl Options {
    /// Run by somebody who owns nothing and has no rights.
    #[must_use]
    pub fn run_by_an_ordinary_user(mut self) -> Self {
        // Whoever is one already need not become one.
        self.run_as = nix::unistd::Uid::effective().is_root().then_some(ORDINARY_USER);
        self
    }

    /// With a setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.set.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// An id that owns nothing. It needs no name.
const ORDINARY_USER: u32 = 47_012;

/// A system. Stopped at the end of the test.
pub struct System {
    up: Option<Running>,
    model: Option<Scripted>,
    settings: Vec<(String, String)>,
    env: Vec<(String, String)>,
    run_as: Option<u32>,
    scratch: Scratch,
}

/// What came of a command.
#[derive(Debug)]
pub struct Asked {
    /// 0 answered, 1 failed, 2 usage, 3 refused by permission; none if it was killed.
    pub code: Option<i32>,
    /// The object that `ask --json` prints; null if it printed none.
    pub outcome: Value,
    /// Everything it printed.
    pub stdout: String,
    /// Everything it said besides.
    pub stderr: String,
}

impl System {
    /// `secgpt up`, and a scripted model beside it. Returns when queries are taken.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let mut system = Self::at_rest(options);
        system.up();
        system
    }

    /// Only the settings and the model: each command starts what it needs and stops it.
    ///
    /// # Panics
    /// If the scripted model does not start.
    #[must_use]
    pub fn at_rest(options: Options) -> Self {
        let scratch = Scratch::new("system");
        let model = options.base_url.is_none().then(|| Scripted::start(&scratch, options.delay_ms));
        let base_url = options.base_url.or_else(|| model.as_ref().map(|model| model.base_url.clone()));
        let mut settings = vec![
            ("model.provider".to_owned(), "openai".to_owned()),
            ("model.base_url".to_owned(), base_url.expect("a model")),
            ("model.model".to_owned(), "scripted-1".to_owned()),
            ("data.dir".to_owned(), workspace().join("data").display().to_string()),
        ];
        if let Some(user) = options.run_as {
            furnish(&scratch, user);
            settings.push(("data.dir".to_owned(), scratch.join("data").display().to_string()));
        }
        // The ordinary user has a copy of what may lie in a closed home.
        let (own, copied) = (workspace().join("data"), scratch.join("data"));
        let place = |value: String| match options.run_as {
            Some(_) => value.replace(&own.display().to_string(), &copied.display().to_string()),
            None => value,
        };
        settings.extend(options.set.into_iter().map(|(name, value)| (name, place(value))));
        Self { up: None, model, settings, env: options.env, run_as: options.run_as, scratch }
    }

    /// One of our programs, where the user who runs the system may execute it.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        program(&self.scratch, self.run_as, name)
    }

    /// Starts it, if it was at rest or has been stopped; on the same state.
    ///
    /// # Panics
    /// If it does not start.
    pub fn up(&mut self) {
        let mut command = self.command(&["--json", "up"]);
        self.up = Some(Running::start(&mut command, self.scratch.join("up.log")));
    }

    /// Stops it as Ctrl-C does. Says how it ended.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn stop(&mut self) -> Option<i32> {
        self.up.take().expect("it is up").stop()
    }

    /// Kills it without a word, as a crash would.
    pub fn kill(&mut self) {
        drop(self.up.take());
    }

    /// The process of `secgpt up`.
    ///
    /// # Panics
    /// If it is not up.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.up.as_ref().expect("it is up").child.id()
    }

    /// One query; whatever would ask is refused.
    pub fn ask(&self, query: &str) -> Asked {
        self.ask_with(&[], query)
    }

    /// One query with more words for the command: `["--consent", "once"]`.
    #[must_use]
    pub fn ask_with(&self, more: &[&str], query: &str) -> Asked {
        let arguments: Vec<&str> = ["ask", "--json"].iter().chain(more).chain([&query]).copied().collect();
        self.secgpt(&arguments)
    }

    /// Any command of `secgpt`, to its end.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn secgpt(&self, arguments: &[&str]) -> Asked {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("secgpt runs");
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let outcome = serde_json::from_str(&stdout).unwrap_or_default();
        Asked { code: status.code(), outcome, stdout, stderr }
    }

    /// A command of `secgpt` with this system's settings, for a test that runs it itself.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = secgpt(&self.scratch, self.run_as);
        command.arg("--state").arg(self.state());
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.scratch.join("state")
    }

    /// The log of one of its processes so far: `hub`, `llm-gateway`, `spoke-host` …
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.state().join("log").join(format!("{name}.log"))).unwrap_or_default()
    }

    /// What `secgpt up` said besides its first line.
    #[must_use]
    pub fn up_log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("up.log")).unwrap_or_default()
    }

    /// The scripted model.
    ///
    /// # Panics
    /// If the test named another model.
    #[must_use]
    pub fn model(&self) -> &Scripted {
        self.model.as_ref().expect("the scripted model")
    }

    /// Starts anew with other settings on top, on the same state.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart_with(&mut self, set: &[(&str, &str)]) {
        self.stop();
        self.settings.extend(set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.up();
    }
}

impl Drop for System {
    fn drop(&mut self) {
        drop(self.up.take());
        if std::thread::panicking() {
            for name in ["hub", "spoke-host", "llm-gateway"] {
                let file = self.state().join("log").join(format!("{name}.log"));
                eprintln!("--- the last lines of {name}\n{}", tail(&file, 15));
            }
            eprintln!("--- the last lines of secgpt up\n{}", tail(&self.scratch.join("up.log"), 15));
        }
    }
}

impl Asked {
    /// The answer.
    ///
    /// # Panics
    /// If the query was not answered.
    #[track_caller]
    pub fn answer(&self) -> &str {
        assert_eq!(self.code, Some(0), "not answered: {self:?}");
        self.outcome["answer"].as_str().unwrap_or_else(|| panic!("no answer: {self:?}"))
    }

    /// The value of a functionality's first result.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn value(&self, functionality: &str) -> &Value {
        let results = self.outcome["results"].as_array().unwrap_or_else(|| panic!("no results: {self:?}"));
        let result = results.iter().find(|result| result["functionality"] == functionality);
        &result.unwrap_or_else(|| panic!("no result of {functionality}: {results:#?}"))["value"]
    }

    /// All flows to a functionality.
    #[must_use]
    pub fn flows(&self, to: &str) -> Vec<&Value> {
        self.outcome["flows"].as_array().into_iter().flatten().filter(|flow| flow["to"] == to).collect()
    }
}

/// What an ordinary user needs to run everything: the programs and the catalogue may lie in a closed home.
fn furnish(scratch: &Scratch, user: u32) {
    let programs = scratch.join("programs");
    std::fs::create_dir(&programs).expect("a folder");
    let of_ours = [
        "secgpt",
        "hub",
        "llm-gateway",
        "egress-gateway",
        "spoke-host",
        "spoke",
        "example-app",
        "hostile-app",
        "hostile-probe",
        "other-machine",
    ]
    .map(built);
    for program in of_ours.iter().chain([&bundle().nats_server, &bundle().redis_server]) {
        let place = programs.join(program.file_name().expect("a name"));
        std::fs::hard_link(program, &place)
            .or_else(|_| std::fs::copy(program, &place).map(drop))
            .expect("a program");
    }
    copy(&workspace().join("data"), &scratch.join("data"));
    std::os::unix::fs::chown(scratch.path(), Some(user), Some(user)).expect("root can give a folder away");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let place = to.join(entry.file_name());
        if entry.file_type().expect("a file").is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).expect("a file");
        }
    }
}

fn program(scratch: &Scratch, run_as: Option<u32>, name: &str) -> PathBuf {
    run_as.map_or_else(|| built(name), |_| scratch.join("programs").join(name))
}

/// `secgpt` with none of the surroundings that could change what it does.
fn secgpt(scratch: &Scratch, run_as: Option<u32>) -> Command {
    let mut command = Command::new(program(scratch, run_as, "secgpt"));
    if let Some(user) = run_as {
        command.uid(user).gid(user).current_dir("/");
    }
    let bundled = run_as.map_or_else(|| bundle().dir.clone(), |_| scratch.join("programs"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")))
        .env("HOME", scratch.path())
        .env("XDG_RUNTIME_DIR", scratch.path())
        .env("SECGPT_BUNDLE_DIR", bundled)
        .env("RUST_LOG", std::env::var_os("RUST_LOG").unwrap_or_else(|| OsString::from("info")));
    command
}

/// A command of `secgpt` that says in a JSON line when it is ready, and runs until it is stopped.
struct Running {
    child: Child,
    log: PathBuf,
    said: Value,
}

impl Running {
    fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("the log file");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("secgpt cannot be started: {error}"));
        let stdout = child.stdout.take().expect("a pipe");
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // After the first line nobody listens; the pipe is emptied all the same.
                let _ = tell.send(line);
            }
        });
        let line = said.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let _ = child.kill();
            panic!("secgpt did not become ready ({error}):\n{}", tail(&log, 30))
        });
        let said = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { child, log, said }
    }

    fn stop(mut self) -> Option<i32> {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let child = &mut self.child;
        let log = &self.log;
        let status = eventually(&format!("secgpt stops; its log is {}", log.display()), || {
            child.try_wait().expect("a child can be waited for")
        });
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The scripted model as a process of its own, so that a test can see what it was asked.
pub struct Scripted {
    _running: Running,
    /// With the `/v1`.
    pub base_url: String,
}

impl Scripted {
    fn start(scratch: &Scratch, delay_ms: u64) -> Self {
        let mut command = secgpt(scratch, None);
        command.arg("--set").arg(format!("data.dir={}", workspace().join("data").display()));
        command
            .args(["--json", "model", "serve", "--listen", "127.0.0.1:0", "--delay"])
            .arg(delay_ms.to_string());
        let running = Running::start(&mut command, scratch.join("model.log"));
        let base_url = running.said["base_url"].as_str().expect("an address").to_owned();
        Self { _running: running, base_url }
    }

    /// How often it was called, by kind: `planner`, `spoke`, `derive`, `compose` …
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn calls(&self) -> Value {
        self.http("GET", "/stats", &Value::Null)["calls"].clone()
    }

    /// Forgets what it was asked.
    pub fn reset(&self) {
        self.http("POST", "/stats/reset", &Value::Null);
    }

    /// The requests of a kind, oldest first, as they came.
    #[must_use]
    pub fn requests(&self, kind: &str) -> Vec<Value> {
        match self.http("GET", &format!("/requests?kind={kind}"), &Value::Null) {
            Value::Array(requests) => requests,
            _ => Vec::new(),
        }
    }

    /// Makes it fail: `json!({"kind": "busy", "times": 2, "on": "planner"})`.
    pub fn fault(&self, fault: &Value) {
        self.http("POST", "/faults", fault);
    }

    /// How many requests have met a fault so far.
    #[must_use]
    pub fn faults_met(&self) -> u64 {
        self.http("GET", "/stats", &Value::Null)["faults"].as_u64().unwrap_or_default()
    }

    /// Makes it fail no more.
    pub fn clear_faults(&self) {
        self.http("DELETE", "/faults", &Value::Null);
    }

    fn http(&self, method: &str, path: &str, body: &Value) -> Value {
        let host = self.base_url.trim_start_matches("http://").trim_end_matches("/v1");
        let mut stream = TcpStream::connect(host).expect("the scripted model");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("a socket");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or(json!(null))
    }
}

/// Is it the program of a spoke, waiting in its host's reserve? It is told nothing yet, and has no filter.
pub fn waits_in_reserve(pid: u32) -> bool {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    read("cmdline").contains("spoke\0run\0") && !read("status").contains("Seccomp:\t2")
}

/// The ids of all processes whose ancestor is `pid`.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in the middle may hold anything; behind its last bracket come state and parent.
            let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Does a process with that id run? One that has ended and was not yet waited for does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X') | None))
}
