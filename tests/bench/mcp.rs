//! A call of an MCP app that is kept alive, and the start of one, beside the same over the server's own pipes.
//!
//! The server is the smallest one there is, so that what is measured is what stands between: the bus, the spoke, the
//! jail, the checks of arguments and result. The hub's part, with its decision, has a figure of its own.
//!
//! A start is measured to the answer to a first call, the same for both: from there on the app is of use. Ours has in it
//! a spoke of the app's own, with its place on the bus and the host's word on every layer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::{Bus, Inbound};
use bus::id::{AppId, FunctionName, HostId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::launch::HostConfig;
use bus::limits::SPOKE_CREDENTIAL;
use bus::message::host::{HostReport, SignRequest, Signed, Spawn, Spawned, Stop};
use bus::message::profile::{Function, Kind, Method, Profile, Wishes};
use bus::message::task::{Done, Task, Work};
use bus::subject::{Leaf, Op, Service, Subject, pattern};
use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::core_process::{Core, programs};
use system_tests::mcp_pipes::Pipes;
use system_tests::nats::Nats;

use crate::decided::limits;
use crate::sample::{Sample, rounded};

const CALLS: usize = 3000;
const WARM: usize = 200;
const APP: &str = "metro_hail";
const TOOL: &str = "estimate_fare";
const FARE: f64 = 51.8;

const STARTS: usize = 200;
const WARM_STARTS: usize = 10;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn measure() -> Value {
    let mut through = Through::new().await;
    let kept = through.fresh();
    through.spawn(&kept).await;
    let mut calls = Sample::default();
    for turn in 0..CALLS + WARM {
        let begun = Instant::now();
        through.call(&kept).await;
        if WARM <= turn {
            calls.add(begun.elapsed());
        }
    }
    let direct = tokio::task::spawn_blocking(directly).await.expect("a thread");
    // In turns, so that both meet the same weather.
    let (mut starts, mut bare) = (Sample::default(), Sample::default());
    for turn in 0..STARTS + WARM_STARTS {
        let without = tokio::task::spawn_blocking(bare_start).await.expect("a thread");
        let with = through.start().await;
        if WARM_STARTS <= turn {
            bare.add(without);
            starts.add(with);
        }
    }
    let beyond = |ours: &Sample, its: &Sample| ours.percentile_us(0.5) - its.percentile_us(0.5);
    json!({
        "us_p50": rounded(calls.percentile_us(0.5)),
        "us_p99": rounded(calls.percentile_us(0.99)),
        "direct_us_p50": rounded(direct.percentile_us(0.5)),
        "beyond_us_p50": rounded(beyond(&calls, &direct)),
        "calls": calls.len(),
        "start_ms_p50": rounded(starts.percentile_us(0.5) / 1e3),
        "start_ms_p99": rounded(starts.percentile_us(0.99) / 1e3),
        "bare_start_ms_p50": rounded(bare.percentile_us(0.5) / 1e3),
        "start_beyond_ms_p50": rounded(beyond(&starts, &bare) / 1e3),
        "starts": starts.len(),
    })
}

fn args() -> Value {
    json!({"start_point": "Main Street", "end_point": "Elm Avenue"})
}

/// The same server, its pipes, and nothing in between.
fn pipes() -> Pipes {
    let command = [programs().join("example-app").display().to_string(), APP.to_owned()];
    Pipes::start(&command, &workspace().join("data/apps").join(APP), &json!({}))
}

/// The yardstick of a call.
fn directly() -> Sample {
    let mut server = pipes();
    let mut sample = Sample::default();
    for turn in 0..CALLS + WARM {
        let begun = Instant::now();
        let result = server.call(TOOL, &args());
        if WARM <= turn {
            sample.add(begun.elapsed());
        }
        assert_eq!(result["structuredContent"]["fare"], FARE, "{result}");
    }
    sample
}

/// The yardstick of a start.
fn bare_start() -> Duration {
    let begun = Instant::now();
    let mut server = pipes();
    let result = server.call(TOOL, &args());
    let took = begun.elapsed();
    assert_eq!(result["structuredContent"]["fare"], FARE, "{result}");
    took
}

/// The hub's place: a broker, a host, and what they say.
struct Through {
    nats: Nats,
    hub: Bus,
    host: HostId,
    heard: Inbound,
    said: Inbound,
    pinned: String,
    _core: Core,
}

impl Through {
    async fn new() -> Self {
        let nats = Nats::start();
        let hub = nats.bus(&Role::Hub).await;
        let host = HostId::parse("bench").expect("a name");
        let mut heard = hub.subscribe(&pattern::host_out(&host)).await.expect("a subscription");
        let said = hub.subscribe(&pattern::every_spoke_to(Service::Result)).await.expect("a subscription");
        let config = HostConfig {
            host: host.clone(),
            apps: vec![workspace().join("data/apps")],
            spoke: programs().join("spoke"),
            data: nats.scratch().join("data"),
            capacity: 10,
            env: BTreeMap::new(),
        };
        let core = Core::start(&nats, "spoke-host", &Role::Host(host.clone()), config);
        let pinned = pinned(&mut heard).await;
        Self { nats, hub, host, heard, said, pinned, _core: core }
    }

    fn fresh(&self) -> SpokeAddr {
        SpokeAddr { app: AppId::parse(APP).expect("a name"), id: SpokeId::fresh() }
    }

    /// From the wish for a spoke to the app's first answer; ends when the spoke is gone.
    async fn start(&mut self) -> Duration {
        let spoke = self.fresh();
        let begun = Instant::now();
        self.spawn(&spoke).await;
        self.call(&spoke).await;
        let took = begun.elapsed();
        let stop = Stop { spoke, why: "measured".into() };
        self.hub.publish(&self.to_host(Leaf::Stop), &stop, None).await.expect("asked");
        while !matches!(next(&mut self.heard).await.subject, Subject::HostOut { op: Op::EXITED, .. }) {}
        took
    }

    fn to_host(&self, leaf: Leaf) -> Subject {
        Subject::HostIn { host: self.host.clone(), leaf }
    }

    async fn spawn(&mut self, spoke: &SpokeAddr) {
        let user = UserId::parse("bench").expect("a name");
        let request = Spawn {
            id: WorkId::fresh(),
            spoke: spoke.clone(),
            user,
            profile: profile(spoke),
            pinned: self.pinned.clone(),
        };
        self.hub.publish(&self.to_host(Leaf::Spawn), &request, None).await.expect("asked");
        loop {
            let message = next(&mut self.heard).await;
            match message.subject {
                Subject::HostOut { op: Op::SIGN, .. } => {
                    let asked: SignRequest = message.body().expect("a sign request");
                    let role = Role::Spoke(spoke.clone());
                    let jwt = self.nats.signer().sign(&role, &asked.public_key, Some(SPOKE_CREDENTIAL));
                    self.hub.respond(&message, &Signed { jwt: jwt.map_err(|error| error.to_string()) }).await;
                }
                Subject::HostOut { op: Op::SPAWNED, .. } => {
                    let spawned: Spawned = message.body().expect("a report");
                    let word = spawned.result.unwrap_or_else(|failure| panic!("{failure:?}"));
                    assert!(word.missing().is_empty(), "{:?}", word.missing());
                    return;
                }
                _ => {}
            }
        }
    }

    /// A call, and the answer that is expected.
    async fn call(&mut self, spoke: &SpokeAddr) {
        let id = WorkId::fresh();
        let work = Work::Call { function: FunctionName::parse(TOOL).expect("a name"), args: args() };
        let limit_ms = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
        let task = Task { id: id.clone(), limit_ms, work };
        let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Task };
        self.hub.publish(&subject, &task, Some(&id)).await.expect("given");
        loop {
            let message = next(&mut self.said).await;
            if matches!(message.subject, Subject::SpokeOut { op: Op::DONE, .. }) {
                let done: Done = message.body().expect("an end");
                if done.task == id {
                    assert_eq!(done.result.expect("a fare")["fare"], FARE);
                    return;
                }
            }
        }
    }
}

fn profile(spoke: &SpokeAddr) -> Profile {
    let function = Function {
        name: FunctionName::parse(TOOL).expect("a name"),
        description: String::new(),
        request: json!({"type": "object", "required": ["start_point", "end_point"]}),
        response: Some(json!({"type": "object", "required": ["fare"]})),
        pinned: None,
        method: Method::Tool,
    };
    let command = vec!["example-app".to_owned(), APP.to_owned()];
    Profile {
        app: spoke.app.clone(),
        kind: Kind::Stdio { command, env: BTreeMap::new() },
        description: String::new(),
        functions: vec![function],
        limits: limits(),
        read: Vec::new(),
        network: false,
        wishes: Wishes::default(),
    }
}

/// What the host says of the app's folder.
async fn pinned(heard: &mut Inbound) -> String {
    loop {
        let message = next(heard).await;
        if matches!(message.subject, Subject::HostOut { op: Op::REPORT, .. }) {
            let report: HostReport = message.body().expect("a report");
            let found = report.apps.into_iter().find(|(app, _)| app.as_str() == APP);
            return found.expect("the app").1;
        }
    }
}

async fn next(inbound: &mut Inbound) -> bus::envelope::Incoming {
    tokio::time::timeout(PATIENCE, inbound.next()).await.expect("in time").expect("a message")
}
