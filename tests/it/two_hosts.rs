//! A second machine that runs spokes for the same hub.
//!
//! Answers: is a URL and a credentials file all that a host needs?
//! Carries: I-11.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use bus::message::user::{Admin, Choice, Ending};
use serde_json::{Value, json};
use system_tests::person::{Person, Tap, address};
use system_tests::program::eventually;
use system_tests::system::{Options, System, descendants, waits_in_reserve};

/// A host behind nothing but a forwarded port.
struct Machine {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Machine {
    /// Enrolls a host of that name and runs it on a machine of its own.
    fn start(system: &System, name: &str, run_as: Option<u32>) -> Self {
        let folder = system.state().parent().unwrap().to_owned();
        let creds = folder.join(format!("{name}.creds"));
        let enrolled = system.secgpt(&["host", "enroll", name, "--out", creds.to_str().unwrap(), "--json"]);
        assert_eq!(enrolled.code, Some(0), "{enrolled:?}");
        // The only way in: a socket out here that leads to the broker.
        let socket = folder.join(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let broker = address(system).url.trim_start_matches("nats://").to_owned();
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let Ok(there) = TcpStream::connect(&broker) else { continue };
                let (mut a, mut b) = (here.try_clone().unwrap(), there.try_clone().unwrap());
                let (mut c, mut d) = (there, here);
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut a, &mut b);
                    let _ = b.shutdown(std::net::Shutdown::Both);
                });
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut c, &mut d);
                    let _ = d.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        // The command of that machine: its own state folder, the same apps, one URL, one file.
        let host = system.command(&[
            "--json",
            "host",
            "run",
            "--url",
            "nats://127.0.0.1:4222",
            "--creds",
            creds.to_str().unwrap(),
        ]);
        let own_state = folder.join(format!("{name}-state"));
        let arguments: Vec<_> = host
            .get_args()
            .map(|argument| {
                if argument == system.state().as_os_str() { own_state.as_os_str() } else { argument }
                    .to_owned()
            })
            .collect();
        let mut machine = Command::new(beside(host.get_program(), "other-machine"));
        machine.arg("4222").arg(&socket).arg(host.get_program()).args(arguments).env_clear();
        machine.envs(host.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
        if let Some(user) = run_as {
            machine.uid(user).gid(user).current_dir("/");
        }
        let mut child = machine.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!((&said["ready"], &said["host"]), (&json!(true), &json!(name)), "{said}");
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.wait();
    }
}

fn beside(program: &std::ffi::OsStr, other: &str) -> std::path::PathBuf {
    std::path::Path::new(program).parent().unwrap().join(other)
}

fn joins(options: Options) {
    let run_as = options.run_as;
    let system = System::start(options);
    let tap = Tap::join(&system);
    let mut person = Person::join(&system, "alice");
    let machine = Machine::start(&system, "left-rack-2", run_as);
    eventually("both hosts report", || {
        let status = person.admin(&Admin::Status).unwrap();
        status.to_string().contains("left-rack-2").then_some(())
    });
    // It is another network: nothing of ours is reachable there but the one port.
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(std::fs::read_link(format!("/proc/{}/ns/net", machine.pid())).unwrap(), own);

    let hosts = |kind: &str| -> Vec<String> {
        let spawned = tap.of_kind(kind).into_iter();
        spawned.filter_map(|heard| heard.subject.split('.').nth(2).map(str::to_owned)).collect()
    };
    for _ in 0..3 {
        person.new_session();
        let outcome = person.ask(super::reference::FARES, Choice::Deny);
        assert_eq!(outcome.outcome, Ending::Answered, "{outcome:#?}");
        assert_eq!(super::reference::value(&outcome, "metro_hail.estimate_fare")["fare"], 51.8);
        assert_eq!(super::reference::value(&outcome, "quick_ride.estimate_fare")["fare"], 57.0);
    }
    let spread = hosts("spawned");
    let there = spread.iter().filter(|host| *host == "left-rack-2").count();
    assert!(0 < there && there < spread.len(), "spawn requests go to both: {spread:?}");
    // Spokes run there, as processes of that machine.
    let spokes = descendants(machine.pid()).into_iter().filter(|&pid| !waits_in_reserve(pid)).filter(|pid| {
        std::fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| exe.file_name().is_some_and(|name| name == "spoke"))
    });
    assert!(0 < spokes.count());

    // When the machine goes away, the next query is answered by the other.
    drop(machine);
    person.new_session();
    let outcome = person.ask(super::reference::FARES, Choice::Deny);
    assert_eq!(outcome.outcome, Ending::Answered, "{outcome:#?}");
}

#[test]
fn a_second_host_in_another_network_namespace_joins_and_shares_the_spokes() {
    joins(Options::default());
}

#[test]
fn a_second_host_joins_for_an_ordinary_user_too() {
    joins(Options::default().run_by_an_ordinary_user());
}

/// The hosts that the hub knows.
fn hosts(person: &Person) -> Vec<String> {
    let status = person.admin(&Admin::Status).unwrap();
    let hosts = status["hosts"].as_array().unwrap();
    hosts.iter().map(|host| host["host"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_revoked_host_is_put_out_at_once_and_stays_out_when_the_broker_is_started_again() {
    let mut system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let machines = ["rack", "shelf"].map(|name| Machine::start(&system, name, None));
    let all = |wanted: &[&str]| {
        let wanted = wanted.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        move |person: &Person| (hosts(person) == wanted).then_some(())
    };
    eventually("all three report", || all(&["local", "rack", "shelf"])(&person));
    let revoked = system.secgpt(&["host", "revoke", "rack", "--json"]);
    assert_eq!((revoked.code, &revoked.outcome["in_force"]), (Some(0), &json!(true)), "{revoked:?}");
    eventually("it is out", || all(&["local", "shelf"])(&person));
    assert_eq!(person.ask(super::reference::FARES, Choice::Deny).outcome, Ending::Answered);
    // A broker that has just started knows it, too; the other host, the control, comes back.
    let broker = descendants(system.pid()).into_iter().find(|pid| {
        std::fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| exe.to_string_lossy().contains("nats-server"))
    });
    let broker = nix::unistd::Pid::from_raw(broker.unwrap().cast_signed());
    nix::sys::signal::kill(broker, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("a query is answered again", || {
        let asked = system.ask(super::reference::FARES);
        (asked.code == Some(0)).then_some(())
    });
    drop(person);
    let person = Person::join(&system, "alice");
    eventually("the others are back", || all(&["local", "shelf"])(&person));
    // Long enough for the one that was put out to have tried many times.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(hosts(&person), ["local", "shelf"]);
    let again = system.secgpt(&["host", "revoke", "rack"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("let in are shelf"), "{again:?}");
    drop((machines, person));
    system.stop();
}
