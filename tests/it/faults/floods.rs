//! A spoke that sends as fast as the machine carries is stopped with a sentence, and its neighbour's query ends.
//!
//! Our own spoke speaks politely, so the flood comes over a connection with the credential of a spoke that is at work. It
//! ends when that spoke's process does, as the spoke's own connection would.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::envelope::{Message, pack};
use bus::id::{AppId, SpokeAddr, SpokeId, WorkId};
use bus::message::chat::{ChatRequest, Turn};
use bus::message::egress::FetchRequest;
use bus::message::isc::Request;
use bus::message::task::Token;
use bus::message::user::{Choice, Outcome};
use bus::subject::{Subject, inbox};
use serde_json::json;
use system_tests::person::{Person, Tap, address, signer};
use system_tests::raw::Raw;
use system_tests::stranger::{Strangers, reads};
use system_tests::system::{Asked, Options, System, runs};

use super::{ask, call, failure, metro, planned, works, works_again};

/// How long a flood may go on. It takes about half a second on an idle machine.
const SECONDS: Duration = Duration::from_secs(10);

/// A flood: the app whose spoke sends it, to whom, with which reply subject, and what.
pub(super) type Kind = (&'static str, &'static str, Reply, fn(&WorkId) -> Vec<u8>);

#[derive(Clone, Copy)]
pub(super) enum Reply {
    None,
    Own,
    Foreign,
}

/// To each service what it understands; and what nobody understands, would be answered elsewhere, or is large.
pub(super) const KINDS: [Kind; 7] = [
    ("chats", "llm.chat", Reply::Own, chat),
    ("fetches", "egress.fetch", Reply::Own, fetch),
    ("asks", "isc.request", Reply::Own, request),
    ("talks", "result.token", Reply::None, token),
    ("babbles", "llm.surprise", Reply::None, |_| Vec::new()),
    ("diverts", "llm.chat", Reply::Foreign, chat),
    ("pours", "llm.chat", Reply::Own, |_| vec![0xc1; 1 << 20]),
];

fn bytes(message: &impl Message) -> Vec<u8> {
    pack(message).unwrap().to_vec()
}

fn chat(task: &WorkId) -> Vec<u8> {
    let turns = vec![Turn::User { text: "hi".into() }];
    bytes(&ChatRequest { task: task.clone(), turns, tools: vec![], schema: None, stream: false })
}

fn fetch(task: &WorkId) -> Vec<u8> {
    bytes(&nowhere(task.clone()))
}

/// A request to a server that is not there.
pub(crate) fn nowhere(id: WorkId) -> FetchRequest {
    FetchRequest {
        id,
        task: None,
        method: "GET".into(),
        url: "https://nowhere.example/".into(),
        headers: vec![],
        body: bytes::Bytes::new(),
        limit_ms: 1000,
    }
}

fn request(task: &WorkId) -> Vec<u8> {
    let (functionality, why) = ("mail.delete".into(), "because".into());
    bytes(&Request { task: task.clone(), functionality, args: json!({"id": "m1"}), why })
}

fn token(task: &WorkId) -> Vec<u8> {
    bytes(&Token { task: task.clone(), text: "x".into() })
}

/// The spoke of an app that was given a task, the task, and the process.
pub(super) fn at_work(tap: &Tap, app: &str) -> (SpokeAddr, WorkId, u32) {
    let prefix = format!("secgpt.spoke.{app}.");
    let task = tap.until("a task", |heard| heard.kind == "task" && heard.subject.starts_with(&prefix));
    let Some(Subject::SpokeIn { spoke, .. }) = Subject::parse(&task.subject) else { panic!("{task:?}") };
    let name = json!({"app": spoke.app, "id": spoke.id});
    let spawn = tap.until("its start", |heard| heard.kind == "spawn" && heard.body["spoke"] == name);
    let spawned = tap
        .until("the host's word", |heard| heard.kind == "spawned" && heard.body["spawn"] == spawn.body["id"]);
    let pid = spawned.body["result"]["Ok"]["report"]["spoke"]["pid"].as_u64().expect("a process");
    let task = WorkId::parse(task.body["id"].as_str().expect("an id")).expect("an id");
    (spoke, task, u32::try_from(pid).unwrap())
}

/// A connection in the name of a spoke, and so many lines of it that a write is worth its system call.
pub(super) struct Flood {
    raw: Raw,
    lines: Vec<u8>,
    messages: u64,
}

impl Flood {
    pub(super) fn new(system: &System, spoke: &SpokeAddr, task: &WorkId, kind: &Kind) -> Self {
        let (_, to, reply, body) = kind;
        let body = body(task);
        let reply = match reply {
            Reply::None => String::new(),
            Reply::Own => format!("{}.x ", inbox::spoke(spoke)),
            Reply::Foreign => format!("{}.x ", inbox::HUB),
        };
        let (mut lines, mut messages) = (Vec::new(), 0);
        while lines.len() < 128 << 10 {
            let head = format!("PUB secgpt.spoke.{spoke}.out.{to} {reply}{}\r\n", body.len());
            lines.extend([head.as_bytes(), &body, b"\r\n"].concat());
            messages += 1;
        }
        let credential = signer(system).issue(&Role::Spoke(spoke.clone()), None).expect("a credential");
        let raw = Raw::connect(&address(system).url, Some(&credential)).expect("a connection");
        Self { raw, lines, messages }
    }

    /// Sends for so long as this holds, counting.
    pub(super) fn send(&mut self, sent: &AtomicU64, goes_on: impl Fn() -> bool) {
        while goes_on() && self.raw.try_send(&self.lines).is_ok() {
            sent.fetch_add(self.messages, Ordering::Relaxed);
        }
    }
}

/// What came of it.
struct Flooded {
    /// The query for which the spoke worked.
    asked: Asked,
    sent: u64,
    /// Until its process was gone.
    ended: Duration,
    /// What its neighbour got meanwhile.
    neighbours: Vec<(Outcome, Duration)>,
}

fn flooded(system: &System, kind: &Kind) -> Flooded {
    let app = kind.0;
    let (over, sent) = (&AtomicBool::new(false), &AtomicU64::new(0));
    std::thread::scope(|scope| {
        let tap = Tap::join(system);
        let asking = scope.spawn(move || {
            let asked = ask(system, &planned(&[call("a", &format!("{app}.hang"))])).0;
            over.store(true, Ordering::Relaxed);
            asked
        });
        let (spoke, task, pid) = at_work(&tap, app);
        // A tap hears everything, and would be flooded itself.
        drop(tap);
        let mut flood = Flood::new(system, &spoke, &task, kind);
        let mut bob = Person::join(system, "bob");
        bob.private = true;
        let began = Instant::now();
        let flooding = scope.spawn(move || {
            flood.send(sent, || runs(pid) && began.elapsed() < SECONDS * 2);
            began.elapsed()
        });
        let mut neighbours = Vec::new();
        while neighbours.is_empty() || !over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let outcome = bob.ask(&planned(&[metro("b")]), Choice::Once);
            neighbours.push((outcome, begun.elapsed()));
        }
        let (ended, asked) = (flooding.join().unwrap(), asking.join().unwrap());
        Flooded { asked, sent: sent.load(Ordering::Relaxed), ended, neighbours }
    })
}

#[test]
fn a_flood_as_fast_as_the_machine_ends_its_spoke_and_not_its_neighbours_query() {
    let hang = [reads("hang", json!({"hang": 120_000}))];
    let strangers = KINDS.iter().fold(Strangers::new(), |all, kind| all.with(kind.0, "", &hang, ""));
    let system = System::start(strangers.install(Options::default()));
    works(&system);
    for kind in &KINDS {
        let Flooded { asked, sent, ended, neighbours } = flooded(&system, kind);
        let app = kind.0;
        let took: Vec<Duration> = neighbours.iter().map(|(_, took)| *took).collect();
        eprintln!("{app}: {sent} messages, ended after {ended:?}, neighbours {took:?}");
        assert!(ended < SECONDS, "{app}: {sent} messages in {ended:?}");
        let why = failure(&asked, &format!("{app}.hang"));
        assert!(why.contains(&format!("the app {app} was stopped: it sent more than")), "{why}");
        for (outcome, took) in &neighbours {
            let said = outcome.error.as_deref().unwrap_or_default();
            assert!(outcome.answer.is_some() || 20 < said.len(), "{app}: after {took:?} {outcome:#?}");
        }
        // Control: more than it may send at once, of messages that are not large.
        assert!(app == "pours" || 10_000 < sent, "{app}: {sent} messages are no flood");
        works_again(&system);
    }
    // Control: in the name of a spoke that has no process nothing ends it. The broker carries it on; what ends a flood is
    // the hub's word to the host.
    let nobody = SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse("nobody").unwrap() };
    let mut flood = Flood::new(&system, &nobody, &WorkId::parse("t1").unwrap(), &KINDS[0]);
    let (sent, began) = (AtomicU64::new(0), Instant::now());
    flood.send(&sent, || began.elapsed() < Duration::from_secs(3));
    assert!(Duration::from_secs(3) <= began.elapsed(), "the broker ended it after {:?}", began.elapsed());
    assert!(50_000 < sent.load(Ordering::Relaxed), "{sent:?}");
    drop(flood);
    works_again(&system);
}
