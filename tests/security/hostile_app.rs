//! An app that tries everything, in the whole system.
//!
//! Answers: does a hostile app get anything at all, and does the same program outside get it?
//! Never: takes the app's word for it where the kernel or the file system can be asked.
//! Carries: I-10, I-12, I-15.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use bus::message::user::{Choice, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use system_tests::person::{Person, Tap};
use system_tests::program::eventually;
use system_tests::scratch::Scratch;
use system_tests::stranger::{Strangers, reads};
use system_tests::system::{Options, System, descendants, runs};

fn hostile() -> Strangers {
    Strangers::new().with(
        "hostile",
        "Tries everything.",
        &[reads("attempt", json!({"try": true})), reads("look", json!({"look": true}))],
        "[limits]\nmemory_mb = 256\nprocesses = 24\nopen_files = 96\ndata_mb = 8\nfile_mb = 2\ncpu_s = 5\ntask_s = 30",
    )
}

/// A call of the app in the whole system: what it says, or why it said nothing.
fn inside(person: &mut Person, functionality: &str, args: &Value) -> (Value, String, Outcome) {
    let steps = json!([{"id": "s1", "kind": "call", "functionality": format!("hostile.{functionality}"), "args": args, "after": []}]);
    let query = format!("plan: {}", json!({"answer": null, "steps": steps}));
    let outcome = person.ask(&query, Choice::Once);
    let result = outcome.results.first().cloned().unwrap_or_else(|| panic!("{outcome:#?}"));
    (result.value, result.error.unwrap_or_default(), outcome)
}

/// The same program, run plainly by the same user.
struct Outside {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    _data: Scratch,
}

impl Outside {
    fn start(system: &System, strangers: &Strangers, run_as: Option<u32>) -> Self {
        let data = Scratch::new("outside");
        let mut command = Command::new(system.program("hostile-app"));
        command
            .env_clear()
            .env("APP_DIR", strangers.folder("hostile"))
            .env("APP_DATA", data.path())
            .env("PLANTED", "planted-variable");
        if let Some(user) = run_as {
            std::os::unix::fs::chown(data.path(), Some(user), Some(user)).unwrap();
            command.uid(user).gid(user).current_dir("/");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers, _data: data }
    }

    fn call(&mut self, functionality: &str, args: &Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": functionality, "arguments": args}});
        writeln!(self.child.stdin.as_mut().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        answer["result"]["structuredContent"].clone()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why an act must fail inside.
enum Fails {
    /// With this error of the kernel.
    Errno(i32),
    /// There is nothing to be had.
    Nothing,
    /// The process is killed for this system call.
    Killed(&'static str),
}
use Fails::{Errno, Killed, Nothing};

/// What the same program gets outside, without any right.
#[derive(Clone, Copy, PartialEq)]
enum Control {
    /// It gets it.
    Gets,
    /// It is refused for other reasons, as an ordinary user; but it lives.
    Lives,
}
use Control::{Gets, Lives};

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const EROFS: i32 = 30;
const ECONNREFUSED: i32 = 111;

fn gets_nothing(options: Options) {
    let run_as = options.run_as;
    let strangers = hostile();
    let system = System::start(strangers.install(options));
    let mut person = Person::join(&system, "alice");
    let mut outside = Outside::start(&system, &strangers, run_as);

    // What it aims at: the system's own files, its broker, a socket, a process.
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("hostile-app-{}-{}", std::process::id(), run_as.unwrap_or(0));
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let keys = system.state().join("keys/signing.nk").display().to_string();
    let redis = std::fs::read_dir(system.state()).unwrap().flatten().map(|entry| entry.path());
    let redis = redis.chain(walk(&system.state())).find(|path| is_socket(path));
    let broker = system_tests::person::address(&system).url.replace("nats://", "");
    let target = outside.child.id();
    let scratch = Scratch::new("writable");
    std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();

    let path = |path: &str| format!("path={path}");
    let mut acts: Vec<(Vec<String>, Fails, Control)> = vec![
        // Files.
        (vec!["read".into(), path(&keys)], Errno(ENOENT), Gets),
        (vec!["list".into(), path(&system.state().display().to_string())], Errno(ENOENT), Gets),
        (vec!["list".into(), path("/sys")], Errno(ENOENT), Gets),
        (vec!["climb".into()], Errno(ENOENT), Gets),
        (vec!["write".into(), path(&scratch.join("x").display().to_string())], Errno(ENOENT), Gets),
        (vec!["write".into(), path("/app/x")], Errno(EROFS), Lives),
        (vec!["write".into(), path("/usr/x")], Errno(EROFS), Lives),
        // Processes.
        (vec!["proc-of".into(), format!("pid={}", system.pid())], Errno(ENOENT), Gets),
        (vec!["processes".into(), format!("pid={}", system.pid())], Nothing, Gets),
        (vec!["signal".into(), format!("pid={}", system.pid())], Errno(ESRCH), Lives),
        (vec!["ptrace".into(), "pid=1".into()], Killed("ptrace"), Lives),
        (vec!["memory-of".into(), "pid=1".into()], Killed("process_vm_readv"), Lives),
        (vec!["descriptor-of".into(), "pid=1".into()], Killed("pidfd_getfd"), Lives),
        (vec!["init-memory".into()], Errno(EACCES), Lives),
        // Sockets.
        (vec!["tcp".into(), format!("address={}", tcp.local_addr().unwrap())], Errno(ECONNREFUSED), Gets),
        (vec!["tcp".into(), format!("address={broker}")], Errno(ECONNREFUSED), Gets),
        (vec!["abstract".into(), format!("name={name}")], Errno(ECONNREFUSED), Gets),
        (
            vec!["socket".into(), "family=17".into(), "type=3".into(), "protocol=0".into()],
            Killed("socket"),
            Lives,
        ),
        // The kernel.
        (vec!["namespace".into()], Killed("unshare"), Lives),
        (vec!["mount".into()], Killed("mount"), Lives),
        (vec!["chroot".into()], Killed("chroot"), Lives),
        (vec!["bpf".into()], Killed("bpf"), Lives),
        (vec!["keyctl".into()], Killed("keyctl"), Lives),
        (vec!["userfaultfd".into()], Killed("userfaultfd"), Lives),
        (vec!["perf".into()], Killed("perf_event_open"), Lives),
        (vec!["io-uring".into()], Errno(EPERM), Lives),
        (vec!["personality".into()], Killed("personality"), Lives),
        // The terminal.
        (vec!["tty".into()], Errno(ENOENT), Lives),
        (vec!["terminal".into()], Killed("ioctl"), Lives),
        // What it was given.
        (vec!["descriptors".into()], Nothing, Lives),
        // The machine.
        (vec!["memory".into(), "mb=2048".into()], Nothing, Lives),
        (vec!["open-files".into(), "count=300".into()], Errno(EMFILE), Gets),
        (vec!["forks".into(), "count=200".into()], Nothing, Gets),
    ];
    if let Some(redis) = redis {
        acts.push((vec!["unix".into(), path(&redis.display().to_string())], Errno(ENOENT), Gets));
    }

    let mut wrong = Vec::new();
    for (act, fails, control) in &acts {
        let args = json!({"act": act});
        let (value, error, _) = inside(&mut person, "attempt", &args);
        let got = match fails {
            Errno(errno) => value["ok"] == false && value["errno"] == *errno,
            Nothing => value["ok"] == false && value["errno"].is_null(),
            // The one process that made the call, or the app with it.
            Killed(call) => {
                value["ended"].as_str().is_some_and(|ended| ended.contains("signal: 31"))
                    || error.contains(call)
            }
        };
        if !got {
            wrong.push(format!("inside, {act:?}: {value} {error}"));
        }
        // The same outside; what would harm nobody there either.
        if *control == Gets {
            let value = outside.call("attempt", &args);
            if value["ok"] != true {
                wrong.push(format!("outside, {act:?} does not work either: {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(runs(system.pid()) && runs(target));
    // And the honest apps go on as if nothing had been.
    let outcome = person.ask(
        "call metro_hail.estimate_fare with {\"start_point\": \"a\", \"end_point\": \"b\"}",
        Choice::Deny,
    );
    assert_eq!(outcome.results[0].value["fare"], 17.6, "{outcome:#?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path()),
            _ => vec![entry.path()],
        })
        .collect()
}

fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[test]
fn a_hostile_app_gets_nothing_and_the_same_program_outside_gets_it() {
    gets_nothing(Options::default());
}

#[test]
fn a_hostile_app_gets_nothing_from_an_ordinary_user_either() {
    gets_nothing(Options::default().run_by_an_ordinary_user());
}

const KEY: &str = "planted-key-of-the-model";

#[test]
fn an_app_sees_nothing_of_ours_in_environment_processes_and_descriptors() {
    let strangers = hostile();
    let mut options = Options::default();
    options.env.push(("PLANTED".into(), KEY.into()));
    let system = System::start(strangers.install(options.set("model.api_key_env", "PLANTED")));
    let mut person = Person::join(&system, "alice");
    let (seen, error, _) = inside(&mut person, "look", &json!({}));
    assert!(seen.is_object(), "{error}");
    let names: Vec<&String> = seen["environment"].as_object().unwrap().keys().collect();
    // The last ones are for git, which would not read a repository of another owner.
    let known = ["APP_DATA", "APP_DIR", "HOME", "LANG", "PATH", "TMPDIR"];
    let is_known = |name: &str| known.contains(&name) || name.starts_with("GIT_CONFIG_");
    assert!(names.iter().all(|name| is_known(name)), "{names:?}");
    // Itself, its init, nothing of the machine; and of neither an environment of ours.
    let processes = seen["processes"].as_array().unwrap();
    assert!(processes.len() <= 2, "{processes:#?}");
    for descriptor in seen["descriptors"].as_array().unwrap() {
        let text = descriptor.as_str().unwrap();
        let (number, to) = text.split_once('=').unwrap();
        assert!(
            number.parse::<u32>().unwrap() <= 2 && to.starts_with("pipe:") || to.starts_with("/proc/"),
            "{text}"
        );
    }
    let status = seen["status"].as_str().unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let interfaces: Vec<&str> = seen["interfaces"].as_str().unwrap().lines().skip(2).collect();
    assert!(interfaces.iter().all(|line| line.trim_start().starts_with("lo:")), "{interfaces:?}");
    // Not the key, nothing of the parts around it, and not where its own folders lie.
    let text = seen.to_string();
    for ours in [KEY, "PLANTED", &system.state().display().to_string(), "nats", "redis"] {
        assert!(!text.contains(ours), "{ours}: {text}");
    }
    assert_eq!(seen["mounts"], "");
    // Control: outside it sees processes and variables.
    let plain = Outside::start(&system, &strangers, None).call("look", &json!({}));
    assert!(plain["environment"]["PLANTED"] == "planted-variable");
    assert!(2 < plain["processes"].as_array().unwrap().len());
    assert!(plain["mounts"].as_str().unwrap().contains(" / "));
}

#[test]
fn the_models_key_is_in_no_message_log_or_record() {
    let strangers = hostile();
    let mut options = Options::default();
    options.env.push(("PLANTED".into(), KEY.into()));
    let mut system = System::start(strangers.install(options.set("model.api_key_env", "PLANTED")));
    let tap = Tap::join(&system);
    let mut person = Person::join(&system, "alice");
    person.ask("Could you summarise my newest email?", Choice::Once);
    person.ask("ask hostile to look", Choice::Once);
    // Also when the model's server complains.
    system.model().fault(&json!({"kind": "error", "times": 4, "on": null}));
    person.ask("What is the capital of France?", Choice::Deny);
    let said = format!("{:?}", tap.heard());
    assert!(1000 < said.len() && said.contains("secgpt.audit."), "control: the tap heard something");
    assert!(!said.contains(KEY), "on the bus");
    system.stop();
    for file in walk(&system.state()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(KEY), "{}", file.display());
    }
}

#[test]
fn nothing_is_left_of_a_hostile_app_when_everything_is_killed() {
    let strangers = hostile();
    let system = System::start(strangers.install(Options::default()));
    let mut person = Person::join(&system, "alice");
    // A child in a session of its own, left behind by the app.
    let (_, error, _) = inside(&mut person, "attempt", &json!({"act": ["leave-a-child"]}));
    assert_eq!(error, "");
    let before = descendants(system.pid());
    let sleepers = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let mine = all.filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let app = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            line.starts_with(b"sleep\x001000\0") && String::from_utf8_lossy(&app).contains("APP_DATA=/data")
        });
        mine.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect::<Vec<u32>>()
    };
    let left = sleepers();
    // Control: there is much to be left behind.
    assert!(8 <= before.len(), "{before:?}");
    assert!(!left.is_empty(), "the app's child runs");
    kill(Pid::from_raw(system.pid().cast_signed()), Signal::SIGKILL).unwrap();
    eventually("everything has ended", || (!before.iter().chain(&left).any(|pid| runs(*pid))).then_some(()));
}

#[test]
fn a_second_instance_on_the_same_state_folder_is_refused_with_a_clear_sentence() {
    let system = System::start(Options::default());
    let second = system.secgpt(&["up"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let state = system.state().display().to_string();
    for word in ["another secgpt", &system.pid().to_string(), &state, "--state"] {
        assert!(second.stderr.contains(word), "{word}: {second:?}");
    }
    // Control: the first goes on, and another folder is free.
    assert!(runs(system.pid()));
    system.ask("What is the capital of France?").answer();
    let other = System::start(Options::default());
    other.ask("What is the capital of France?").answer();
}
