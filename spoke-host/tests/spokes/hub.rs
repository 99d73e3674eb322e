//! The hub's part, played by a test.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::acl::Role;
use bus::client::Bus;
use bus::id::{AppId, FunctionName, HostId, LeaseId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::launch::HostConfig;
use bus::limits::SPOKE_CREDENTIAL;
use bus::message::chat::{ChatReply, ChatRequest};
use bus::message::host::{
    Exited, HostReport, Lease, SignRequest, Signed, Spawn, SpawnFailure, Spawned, Stop, Vouched,
};
use bus::message::isc::{Probe, Probed, Request, Response, Wish};
use bus::message::log::Lines;
use bus::message::profile::{Function, Kind, Limits, Profile};
use bus::message::task::{Done, Failure, FailureCode, Task, Token, Work};
use bus::subject::{Leaf, Op, Service, Subject, pattern};
use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::core_process::{Core, programs};
use system_tests::nats::Nats;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Something that the hub would hear.
#[derive(Debug)]
pub enum Heard {
    Spawned(Spawned),
    Exited(Exited),
    Report(HostReport),
    Ready(SpokeAddr),
    Done(Done),
    Token(Token),
    Lines(SpokeAddr, Lines),
    Isc(SpokeAddr, Request),
    Wish(Wish),
}

/// Which spoke was asked for by which request.
type AskedFor = Arc<Mutex<HashMap<WorkId, SpokeAddr>>>;

/// A broker, a host, and this test in the hub's place.
pub struct Hub {
    pub core: Core,
    pub nats: Nats,
    pub bus: Bus,
    pub host: HostId,
    /// Under which spokes are asked for.
    pub lease: Option<LeaseId>,
    pub model_calls: Arc<AtomicUsize>,
    model: JoinHandle<()>,
    asked_for: AskedFor,
    heard: mpsc::UnboundedReceiver<Heard>,
    kept: Vec<Heard>,
}

/// What differs from one test to another.
pub struct Settings {
    pub spoke: PathBuf,
    pub capacity: u32,
    /// Name the broker by a host name?
    pub by_name: bool,
    /// The model: what it answers to a request, by the number of the call.
    pub model: fn(usize, &ChatRequest) -> Vec<ChatReply>,
    /// Other apps.
    pub others: fn(&Request) -> Result<Value, Failure>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spoke: programs().join("spoke"),
            capacity: 100,
            by_name: false,
            model: |_, _| Vec::new(),
            others: |_| Err(Failure::new(FailureCode::Refused, "the user said no")),
        }
    }
}

impl Hub {
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let mut nats = Nats::start();
        if settings.by_name {
            nats.url = nats.url.replace("127.0.0.1", "localhost");
        }
        let host = HostId::parse("here").unwrap();
        let strangers = nats.scratch().join("strangers");
        std::fs::create_dir_all(&strangers).unwrap();
        let config = HostConfig {
            host: host.clone(),
            apps: vec![workspace().join("data/apps"), strangers],
            spoke: settings.spoke,
            data: nats.scratch().join("data"),
            capacity: settings.capacity,
            env: BTreeMap::new(),
        };
        let bus = nats.bus(&Role::Hub).await;
        let (tell, heard) = mpsc::unbounded_channel();
        let asked_for = AskedFor::default();
        listen(&nats, &bus, &host, tell, Arc::clone(&asked_for), settings.others).await;
        let model_calls = Arc::new(AtomicUsize::new(0));
        let model = play_model(&nats, settings.model, Arc::clone(&model_calls)).await;
        let role = Role::Host(host.clone());
        let core = Core::try_start(&nats, "spoke-host", &role, config, "info");
        let core = core.unwrap_or_else(|failed| panic!("{failed:?}"));
        let (lease, kept) = (Some(LeaseId::fresh()), Vec::new());
        let mut hub = Self { core, nats, bus, host, lease, model_calls, model, asked_for, heard, kept };
        // Said after the host's subscriptions on the same connection: from here on it hears us.
        hub.hear("the first report", |heard| matches!(heard, Heard::Report(_)).then_some(())).await;
        hub
    }

    /// Waits for what `wanted` takes; everything else is kept for later.
    pub async fn hear<T>(&mut self, what: &str, wanted: impl Fn(&Heard) -> Option<T>) -> T {
        if let Some(at) = self.kept.iter().position(|heard| wanted(heard).is_some()) {
            return wanted(&self.kept.remove(at)).unwrap();
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let heard = tokio::time::timeout_at(deadline, self.heard.recv()).await;
            let heard = heard.unwrap_or_else(|_| panic!("not heard: {what}; but {:?}", self.kept)).unwrap();
            match wanted(&heard) {
                Some(found) => return found,
                None => self.kept.push(heard),
            }
        }
    }

    /// Asks for a spoke, and returns what its host says.
    pub async fn try_spawn(
        &mut self,
        profile: Profile,
        pinned: String,
    ) -> (SpokeAddr, Result<Vouched, SpawnFailure>) {
        let spoke = SpokeAddr { app: profile.app.clone(), id: SpokeId::fresh() };
        let user = UserId::parse("ann").unwrap();
        let id = WorkId::fresh();
        self.asked_for.lock().unwrap().insert(id.clone(), spoke.clone());
        let lease = self.lease.clone();
        let request = Spawn { id: id.clone(), spoke: spoke.clone(), user, profile, pinned, lease };
        let subject = Subject::HostIn { host: self.host.clone(), leaf: Leaf::Spawn };
        self.bus.publish(&subject, &request, None).await.unwrap();
        let result = self
            .hear("spawned", |heard| match heard {
                Heard::Spawned(spawned) if spawned.spawn == id => Some(spawned.result.clone()),
                _ => None,
            })
            .await;
        (spoke, result)
    }

    /// A spoke that is ready in its own and in its host's word.
    pub async fn spawn(&mut self, profile: Profile, pinned: String) -> (SpokeAddr, Vouched) {
        let (spoke, result) = self.try_spawn(profile, pinned).await;
        let vouched = result.unwrap_or_else(|failure| panic!("{failure:?}"));
        let ready = spoke.clone();
        self.hear("ready", |heard| match heard {
            Heard::Ready(spoke) if *spoke == ready => Some(()),
            _ => None,
        })
        .await;
        (spoke, vouched)
    }

    pub async fn spawn_empty(&mut self) -> (SpokeAddr, Vouched) {
        self.spawn(profile("empty", Kind::Empty, &[]), String::new()).await
    }

    /// A spoke of an app of the catalogue.
    pub async fn spawn_catalogued(&mut self, app: &str) -> (SpokeAddr, Vouched) {
        let dir = workspace().join("data/apps").join(app);
        let manifest = manifest::Manifest::load(&dir, &limits()).unwrap();
        self.spawn(manifest.profile(), manifest.hash.clone()).await
    }

    /// Gives a task.
    pub async fn give(&self, spoke: &SpokeAddr, limit: Duration, work: Work) -> WorkId {
        let id = WorkId::fresh();
        let task = Task { id: id.clone(), limit_ms: u64::try_from(limit.as_millis()).unwrap(), work };
        let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Task };
        self.bus.publish(&subject, &task, Some(&id)).await.unwrap();
        id
    }

    /// Waits for a task's end.
    pub async fn done(&mut self, id: &WorkId) -> Done {
        self.hear("done", |heard| match heard {
            Heard::Done(done) if done.task == *id => Some(done.clone()),
            _ => None,
        })
        .await
    }

    /// A task and its end.
    pub async fn work(&mut self, spoke: &SpokeAddr, work: Work) -> Result<Value, Failure> {
        let id = self.give(spoke, PATIENCE, work).await;
        self.done(&id).await.result
    }

    pub async fn call(&mut self, spoke: &SpokeAddr, function: &str, args: Value) -> Result<Value, Failure> {
        self.work(spoke, call(function, args)).await
    }

    pub async fn stop(&self, spoke: &SpokeAddr) {
        let subject = Subject::HostIn { host: self.host.clone(), leaf: Leaf::Stop };
        self.bus.publish(&subject, &Stop { spoke: spoke.clone(), why: "test".into() }, None).await.unwrap();
    }

    /// From now on this lease alone counts.
    pub async fn tells(&self, id: LeaseId) {
        let subject = Subject::HostIn { host: self.host.clone(), leaf: Leaf::Lease };
        self.bus.publish(&subject, &Lease { id }, None).await.unwrap();
    }

    pub async fn exited(&mut self, spoke: &SpokeAddr) -> Exited {
        self.hear("exited", |heard| match heard {
            Heard::Exited(exited) if exited.spoke == *spoke => Some(exited.clone()),
            _ => None,
        })
        .await
    }

    /// Takes the model gateway away.
    pub async fn silence_model(&mut self) {
        self.model.abort();
        let _ = (&mut self.model).await;
        // The broker learns of the closed connection a moment later.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    /// How many messages of that kind were heard and not taken.
    pub fn left_over(&mut self, wanted: impl Fn(&Heard) -> bool) -> usize {
        while let Ok(heard) = self.heard.try_recv() {
            self.kept.push(heard);
        }
        self.kept.iter().filter(|heard| wanted(heard)).count()
    }

    /// Writes a stranger's app, and returns its profile and pin.
    pub fn stranger(&self, name: &str, script: &str, functions: &[&str]) -> (Profile, String) {
        let dir = self.nats.scratch().join("strangers").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("app.toml"), format!("name = {name:?}\n")).unwrap();
        std::fs::write(dir.join("server.sh"), script).unwrap();
        let command = vec!["sh".to_owned(), "server.sh".to_owned()];
        let kind = Kind::Stdio { command, env: BTreeMap::new() };
        (profile(name, kind, functions), manifest::hash_of(&dir).unwrap())
    }

    /// A spoke of a stranger's app.
    pub async fn spawn_stranger(&mut self, name: &str, script: &str) -> SpokeAddr {
        let (profile, pinned) = self.stranger(name, script, &["go"]);
        self.spawn(profile, pinned).await.0
    }

    /// The process of the only spoke.
    pub fn pid(&self) -> u32 {
        let pids = self.pids();
        assert_eq!(pids.len(), 1, "{pids:?}");
        pids[0]
    }

    /// The processes of all spokes; those that wait in reserve are none, and have no filter yet.
    pub fn pids(&self) -> Vec<u32> {
        children(self.core.pid()).into_iter().filter(|&pid| is_filtered(pid)).collect()
    }
}

/// Processes that another one started.
pub fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn is_filtered(pid: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    status.is_ok_and(|status| status.contains("Seccomp:\t2"))
}

/// Is there such a process, dead ones aside?
pub fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

pub fn call(function: &str, args: Value) -> Work {
    Work::Call { function: FunctionName::parse(function).unwrap(), args }
}

pub fn profile(app: &str, kind: Kind, functions: &[&str]) -> Profile {
    let function = |name: &&str| Function {
        name: FunctionName::parse(name).unwrap(),
        description: String::new(),
        request: json!({"type": "object"}),
        response: None,
        pinned: None,
        method: bus::message::profile::Method::Tool,
    };
    Profile {
        app: AppId::parse(app).unwrap(),
        kind,
        description: format!("You are {app}."),
        functions: functions.iter().map(function).collect(),
        limits: limits(),
        read: Vec::new(),
        network: false,
        wishes: bus::message::profile::Wishes::default(),
    }
}

pub fn limits() -> Limits {
    Limits {
        memory_mb: 256,
        cpu_s: 30,
        file_mb: 16,
        data_mb: 64,
        processes: 32,
        open_files: 128,
        task_s: 60,
        model_calls: 8,
        tokens: 100_000,
        requests: 3,
    }
}

async fn listen(
    nats: &Nats,
    bus: &Bus,
    host: &HostId,
    tell: mpsc::UnboundedSender<Heard>,
    asked_for: AskedFor,
    others: fn(&Request) -> Result<Value, Failure>,
) {
    let signer = nats.signer();
    let mut of_host = bus.subscribe(&pattern::host_out(host)).await.unwrap();
    let mut results = bus.subscribe(&pattern::every_spoke_to(Service::Result)).await.unwrap();
    let mut logs = bus.subscribe(&pattern::every_spoke_to(Service::Log)).await.unwrap();
    let mut isc = bus.subscribe(&pattern::every_spoke_to(Service::Isc)).await.unwrap();
    let bus = bus.clone();
    tokio::spawn(async move {
        let mut of_own = HashMap::new();
        loop {
            let message = tokio::select! {
                Some(message) = of_host.next() => message,
                Some(message) = results.next() => message,
                Some(message) = logs.next() => message,
                Some(message) = isc.next() => message,
                else => return,
            };
            let heard = match message.subject.clone() {
                Subject::HostOut { op: Op::SIGN, .. } => {
                    let asked: SignRequest = message.body().unwrap();
                    let spoke = asked_for.lock().unwrap().remove(&asked.spawn).expect("a spawn of this test");
                    let jwt = signer.sign(&Role::Spoke(spoke), &asked.public_key, Some(SPOKE_CREDENTIAL));
                    bus.respond(&message, &Signed { jwt: jwt.map_err(|error| error.to_string()) }).await;
                    continue;
                }
                Subject::HostOut { op: Op::SPAWNED, .. } => Heard::Spawned(message.body().unwrap()),
                Subject::HostOut { op: Op::EXITED, .. } => Heard::Exited(message.body().unwrap()),
                Subject::HostOut { op: Op::REPORT, .. } => Heard::Report(message.body().unwrap()),
                Subject::SpokeOut { spoke, op: Op::READY, .. } => Heard::Ready(spoke),
                Subject::SpokeOut { op: Op::DONE, .. } => {
                    let done: Done = message.body().unwrap();
                    if let Some(asked) = of_own.remove(&done.task) {
                        bus.respond(&asked, &Response { result: done.result }).await;
                        continue;
                    }
                    Heard::Done(done)
                }
                Subject::SpokeOut { op: Op::TOKEN, .. } => Heard::Token(message.body().unwrap()),
                Subject::SpokeOut { spoke, op: Op::LINE, .. } => Heard::Lines(spoke, message.body().unwrap()),
                Subject::SpokeOut { op: Op::PROBE, .. } => {
                    let _: Probe = message.body().unwrap();
                    let request = json!({"type": "object", "required": ["place"]});
                    bus.respond(&message, &Probed::Found { request, response: None }).await;
                    continue;
                }
                Subject::SpokeOut { spoke, op: Op::REQUEST, .. } => {
                    let request: Request = message.body().unwrap();
                    // What a model wants of its own app is allowed here, and carried out by the same spoke.
                    if let Some(function) = request.functionality.strip_prefix(&format!("{}.", spoke.app)) {
                        let task = Task {
                            id: WorkId::fresh(),
                            limit_ms: 10_000,
                            work: call(function, request.args),
                        };
                        let subject = Subject::SpokeIn { spoke, leaf: Leaf::Task };
                        bus.publish(&subject, &task, None).await.unwrap();
                        of_own.insert(task.id, message);
                        continue;
                    }
                    bus.respond(&message, &Response { result: others(&request) }).await;
                    Heard::Isc(spoke, request)
                }
                Subject::SpokeOut { op: Op::WISH, .. } => {
                    let wish: Wish = message.body().unwrap();
                    // A person who says yes to whoever says please.
                    let refused = Failure::new(FailureCode::Refused, "the user said no");
                    let result = if wish.words.contains("please") { Ok(Value::Null) } else { Err(refused) };
                    bus.respond(&message, &Response { result }).await;
                    Heard::Wish(wish)
                }
                _ => continue,
            };
            if tell.send(heard).is_err() {
                return;
            }
        }
    });
}

async fn play_model(
    nats: &Nats,
    model: fn(usize, &ChatRequest) -> Vec<ChatReply>,
    calls: Arc<AtomicUsize>,
) -> JoinHandle<()> {
    let bus = nats.bus(&Role::LlmGateway).await;
    let mut asked = bus.subscribe(&pattern::every_spoke_to(Service::Llm)).await.unwrap();
    bus.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let request: ChatRequest = message.body().unwrap();
            let number = calls.fetch_add(1, Ordering::SeqCst);
            for reply in model(number, &request) {
                bus.respond(&message, &reply).await;
            }
        }
    })
}
