//! Folders, targets and processes that the tests are made of.

use jail::app::{AppEnd, AppEvent, AppSpec};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Who runs the processes under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Root, with whatever capabilities the tests have.
    Root,
    /// Somebody without any.
    Ordinary,
}

/// An id that owns nothing. It needs no name.
const ORDINARY_ID: u32 = 47_011;

/// Everybody the tests can run as: an ordinary user cannot become root, and says so.
pub fn users() -> Vec<User> {
    if nix::unistd::Uid::effective().is_root() {
        vec![User::Root, User::Ordinary]
    } else {
        eprintln!("not root: what differs for root is not tried in this run");
        vec![User::Ordinary]
    }
}

/// Folders of one test for one user, removed at its end.
pub struct Scene {
    pub user: User,
    folder: tempfile::TempDir,
}

impl Scene {
    pub fn new(user: User) -> Scene {
        let folder = tempfile::Builder::new().prefix("jail-it-").tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        let scene = Scene { user, folder };
        for name in ["app", "data", "outside"] {
            std::fs::create_dir(scene.path(name)).unwrap();
            set_mode(&scene.path(name), 0o755);
        }
        jail::app::own_data_dir(&scene.path("data")).unwrap();
        if user == User::Ordinary && nix::unistd::Uid::effective().is_root() {
            for name in ["data", "outside"] {
                chown(scene.path(name), Some(ORDINARY_ID), Some(ORDINARY_ID)).unwrap();
            }
        }
        std::fs::write(scene.path("outside/secret"), "planted").unwrap();
        set_mode(&scene.path("outside/secret"), 0o644);
        // A link, so that the program is in the app's folder without a copy for each test.
        std::fs::hard_link(probe(), scene.path("app/probe"))
            .or_else(|_| std::fs::copy(probe(), scene.path("app/probe")).map(drop))
            .unwrap();
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A command that runs as this scene's user, with nothing inherited.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(probe());
        command
            .args(arguments)
            .env_clear()
            // Not where the test happens to be: an ordinary user may have no way up from there.
            .current_dir(self.path("outside"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        become_user(&mut command, self.user);
        command
    }

    /// The act without any confinement.
    pub fn outside(&self, act: &[&str]) -> Ended {
        finish(self.command(act))
    }

    /// The act in a process confined as a spoke.
    pub fn spoke(&self, act: &[&str]) -> Ended {
        let arguments: Vec<&str> = std::iter::once("spoke").chain(act.iter().copied()).collect();
        finish(self.command(&arguments))
    }

    /// The act as an app in its jail.
    pub fn app(&self, act: &[&str]) -> Ended {
        let command: Vec<&str> = std::iter::once("/app/probe").chain(act.iter().copied()).collect();
        self.jailed(&self.spec(&command))
    }

    pub fn jailed(&self, spec: &AppSpec) -> Ended {
        finish(self.jailed_command(spec))
    }

    pub fn jailed_command(&self, spec: &AppSpec) -> Command {
        self.command(&["jailed", &serde_json::to_string(spec).unwrap()])
    }

    pub fn spec(&self, command: &[&str]) -> AppSpec {
        AppSpec::bare(command, self.path("app"), self.path("data"))
    }
}

/// Has a command run as a user.
pub fn become_user(command: &mut Command, user: User) {
    if user == User::Ordinary && nix::unistd::Uid::effective().is_root() {
        command.uid(ORDINARY_ID).gid(ORDINARY_ID);
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The probe at a place that everybody can reach: a build folder may lie in a closed home.
pub fn probe() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_hostile-probe"));
        let mut list = Command::new(built);
        list.arg("list").stdout(Stdio::null());
        become_user(&mut list, User::Ordinary);
        if list.status().is_ok_and(|status| status.success()) {
            return built.to_owned();
        }
        // Always at the same place, so that runs leave one behind and not many.
        let name = format!("jail-it-probe-{}", nix::unistd::getuid());
        let place = std::env::temp_dir().join(name);
        let new = place.with_extension(std::process::id().to_string());
        std::fs::copy(built, &new).unwrap();
        set_mode(&new, 0o755);
        std::fs::rename(new, &place).unwrap();
        place
    })
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
    pub errors: String,
}

/// Longer than anything here takes; a hang is a failure that keeps its output.
const DEADLINE: Duration = Duration::from_secs(60);

pub fn finish(mut command: Command) -> Ended {
    let mut child = command.spawn().unwrap();
    let output = drain(child.stdout.take());
    let errors = drain(child.stderr.take());
    let status = wait(&mut child);
    Ended { status, output: output.join().unwrap(), errors: errors.join().unwrap() }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).unwrap();
        }
        text
    })
}

#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("a process did not end in {DEADLINE:?}");
}

/// Waits until something holds, and fails if it never does.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Ended {
    /// What the probe says of the act, if it lived to say it.
    pub fn line(&self) -> Option<serde_json::Value> {
        self.output
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line.get("act").is_some())
    }

    /// What the jail says.
    pub fn events(&self) -> Vec<AppEvent> {
        self.output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn end(&self) -> Option<AppEnd> {
        self.events().into_iter().find_map(|event| match event {
            AppEvent::Ended(end) => Some(end),
            AppEvent::Started | AppEvent::Failed { .. } => None,
        })
    }

    #[track_caller]
    pub fn worked(&self) {
        assert_eq!(self.line().map(|line| line["ok"] == true), Some(true), "{self:#?}");
    }

    #[track_caller]
    pub fn failed_with(&self, errno: i32) {
        let line = self.line().unwrap_or_else(|| panic!("no line: {self:#?}"));
        assert_eq!((&line["ok"], &line["errno"]), (&false.into(), &errno.into()), "{self:#?}");
    }

    /// The probe found that there is nothing to be had.
    #[track_caller]
    pub fn got_nothing(&self) {
        let line = self.line().unwrap_or_else(|| panic!("no line: {self:#?}"));
        assert_eq!((&line["ok"], &line["errno"]), (&false.into(), &serde_json::Value::Null), "{self:#?}");
    }

    /// The act reached the kernel and the probe lived to tell.
    #[track_caller]
    pub fn came_back(&self) {
        assert!(self.line().is_some(), "{self:#?}");
    }

    /// A spoke died of one of these calls, and said so.
    #[track_caller]
    pub fn spoke_died_of(&self, calls: &[&str]) {
        assert_eq!(self.status.signal(), Some(31), "{self:#?}");
        assert_eq!(self.line(), None, "{self:#?}");
        let told = self.errors.lines().last().unwrap_or_default();
        assert!(told.starts_with(jail::confine::REFUSED_EVENT), "{self:#?}");
        let told: serde_json::Value = serde_json::from_str(told).unwrap();
        assert!(calls.iter().any(|call| told["name"] == *call), "not one of {calls:?}: {self:#?}");
    }

    /// An app was ended for one of these calls.
    #[track_caller]
    pub fn app_ended_for(&self, calls: &[&str]) {
        assert_eq!(self.line(), None, "{self:#?}");
        match self.end() {
            Some(AppEnd::Refused { name: Some(name), .. }) => {
                assert!(calls.contains(&name.as_str()), "not one of {calls:?}: {self:#?}");
            }
            _ => panic!("not refused: {self:#?}"),
        }
    }
}

/// Something outside to aim at, owned by the scene's user.
pub struct Target {
    pub child: Child,
}

impl Target {
    /// A process that waits, and holds a descriptor.
    pub fn new(scene: &Scene) -> Target {
        let mut command = scene.command(&["sleep", "ms=30000"]);
        command.env("PLANTED", "secret");
        Target { child: command.spawn().unwrap() }
    }

    pub fn pid(&self) -> String {
        format!("pid={}", self.child.id())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that goes on while the test looks at it, line by line.
pub struct Running {
    pub child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    pub fn new(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the app runs; what it says itself may come before.
    #[track_caller]
    pub fn started(&mut self) {
        self.lines_until(|line| line == r#"{"event":"started"}"#);
    }

    /// Lines up to the one that is looked for.
    #[track_caller]
    pub fn lines_until(&mut self, found: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.next_line();
            assert!(!line.is_empty(), "it ended after {lines:#?}");
            lines.push(line);
            if lines.last().is_some_and(|line| found(line)) {
                return lines;
            }
        }
    }

    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
