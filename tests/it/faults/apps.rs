//! Apps that misbehave. What their spokes and their jail make of it is tested there; here is what a person sees.

use std::time::Duration;

use system_tests::program::eventually;
use system_tests::stranger::Strangers;
use system_tests::system::{Options, System, descendants};

use super::{ask, call, failure, metro, planned, works};

/// An MCP server in the words of a shell that offers `go` and does this when it is called.
fn called_it(does: &str) -> String {
    format!(
        r#"say() {{ printf '%s\n' "$1"; }}
read -r initialize
say '{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}'
read -r initialized
read -r list
say '{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"go","inputSchema":{{"type":"object"}}}}]}}}}'
read -r call
{does}
"#
    )
}

fn install(strangers: &Strangers, name: &str, script: &str) {
    let folder = strangers.folder(name);
    let manifest = format!(
        "name = {name:?}\nkind = \"mcp\"\ndescription = \"\"\ncommand = [\"sh\", \"server.sh\"]\n\
         [limits]\ntask_s = 3\nprocesses = 16\n\
         [[functionality]]\nname = \"go\"\neffect = \"read\"\nrequest = \"go.json\"\n"
    );
    std::fs::write(folder.join("app.toml"), manifest).unwrap();
    std::fs::write(folder.join("go.json"), "{\"type\": \"object\"}").unwrap();
    std::fs::write(folder.join("server.sh"), script).unwrap();
}

/// Name, script, and words of which one must be said to the person.
fn misbehaving() -> Vec<(&'static str, String, &'static [&'static str])> {
    vec![
        ("babbling", called_it("while :; do echo garbage; done"), &["not its protocol", "babbling"]),
        ("binary", called_it("while :; do head -c 300 /dev/urandom; echo; done"), &["not its protocol"]),
        ("flooding", called_it("head -c 100000000 /dev/zero; sleep 1000"), &["a line of more than"]),
        ("stillborn", "exit 7".to_owned(), &["exit code 7"]),
        ("leaving", called_it("echo 'no luck today' >&2; exit 3"), &["exit code 3"]),
        ("hanging", called_it("sleep 1000"), &["within 3.0 s"]),
        ("mute", "sleep 1000".to_owned(), &["ready", "start", "within 3.0 s", "initialize"]),
        (
            "forking",
            called_it("f() { f | f & f; }; f; sleep 1000"),
            &["within 3.0 s", "exit code", "SIGKILL", "killed for using"],
        ),
        ("dying", called_it("kill -9 $$"), &["SIGKILL"]),
        ("prying", called_it("exec unshare --uts true"), &["unshare"]),
        ("absent", String::new(), &["exit code", "ended"]),
        ("twice", called_it("say '{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}'; exit 0"), &["exit code 0"]),
    ]
}

#[test]
fn whatever_an_app_does_ends_in_a_sentence_within_seconds_and_its_neighbour_answers() {
    let strangers = Strangers::new();
    let all = misbehaving();
    for (name, script, _) in &all {
        install(&strangers, name, script);
    }
    let system = System::start(strangers.install(Options::default()));
    for (name, _, words) in &all {
        let functionality = format!("{name}.go");
        let (asked, took) = ask(&system, &planned(&[call("a", &functionality), metro("b")]));
        let said = failure(&asked, &functionality);
        assert!(words.iter().any(|words| said.contains(words)), "{name}: {said}");
        assert!(said.contains(name) || asked.answer().contains(name), "{name} is not named: {said}");
        assert!(said.len() < 1500, "{name}: {} bytes are no sentence", said.len());
        assert!(took < Duration::from_secs(if *name == "mute" { 25 } else { 9 }), "{name}: {took:?}");
        assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8, "{name}");
    }
    works(&system);
    // Of none of them anything is left.
    eventually("no app runs on", || {
        let left = descendants(system.pid()).into_iter().any(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("server.sh")
        });
        (!left).then_some(())
    });
}

#[test]
fn an_app_that_is_killed_from_outside_costs_one_query_and_the_next_starts_another() {
    let strangers = Strangers::new();
    install(&strangers, "sleeper", &called_it("sleep 1000"));
    let system = System::start(strangers.install(Options::default()));
    let query = planned(&[call("a", "sleeper.go"), metro("b")]);
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&system, &query).0);
        let pid = eventually("the app runs", || {
            descendants(system.pid()).into_iter().find(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.starts_with(b"sleep\x001000")
            })
        });
        super::send(pid, nix::sys::signal::Signal::SIGKILL);
        asking.join().unwrap()
    });
    let said = failure(&asked, "sleeper.go");
    assert!(said.contains("sleeper") && !said.is_empty(), "{said}");
    assert_eq!(asked.value("metro_hail.estimate_fare")["fare"], 51.8);
    works(&system);
}
