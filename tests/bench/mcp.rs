//! A call of an MCP app that is kept alive, beside the same call over the server's own pipes.
//!
//! The server is the smallest one there is, so that what is measured is what stands between: the bus, the spoke, the
//! checks of arguments and result. The hub's part, with its decision, has a figure of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::{Bus, Inbound};
use bus::id::{AppId, FunctionName, HostId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::launch::HostConfig;
use bus::limits::SPOKE_CREDENTIAL;
use bus::message::host::{HostReport, SignRequest, Signed, Spawn, Spawned};
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

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn measure() -> Value {
    let through = through_a_spoke().await;
    let direct = tokio::task::spawn_blocking(directly).await.expect("a thread");
    let (ours, its) = (through.percentile_us(0.5), direct.percentile_us(0.5));
    json!({
        "us_p50": rounded(ours),
        "us_p99": rounded(through.percentile_us(0.99)),
        "direct_us_p50": rounded(its),
        "beyond_us_p50": rounded(ours - its),
        "calls": through.len(),
    })
}

fn args() -> Value {
    json!({"start_point": "Main Street", "end_point": "Elm Avenue"})
}

/// The yardstick: the same server, its pipes, and nothing in between.
fn directly() -> Sample {
    let command = [programs().join("example-app").display().to_string(), APP.to_owned()];
    let folder = workspace().join("data/apps").join(APP);
    let mut server = Pipes::start(&command, Path::new(&folder), &json!({}));
    let mut sample = Sample::default();
    for turn in 0..CALLS + WARM {
        let begun = Instant::now();
        let result = server.call(TOOL, &args());
        if WARM <= turn {
            sample.add(begun.elapsed());
        }
        assert_eq!(result["structuredContent"]["fare"], 51.8, "{result}");
    }
    sample
}

async fn through_a_spoke() -> Sample {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let host = HostId::parse("bench").expect("a name");
    let mut heard = hub.subscribe(&pattern::host_out(&host)).await.expect("a subscription");
    let mut said = hub.subscribe(&pattern::every_spoke_to(Service::Result)).await.expect("a subscription");
    let config = HostConfig {
        host: host.clone(),
        apps: vec![workspace().join("data/apps")],
        spoke: programs().join("spoke"),
        data: nats.scratch().join("data"),
        capacity: 10,
        env: BTreeMap::new(),
    };
    let _core = Core::start(&nats, "spoke-host", &Role::Host(host.clone()), config);
    let spoke = SpokeAddr { app: AppId::parse(APP).expect("a name"), id: SpokeId::fresh() };
    let pinned = pinned(&mut heard).await;
    spawn(&hub, &host, &nats, &mut heard, &spoke, pinned).await;
    let mut sample = Sample::default();
    for turn in 0..CALLS + WARM {
        let begun = Instant::now();
        let done = call(&hub, &mut said, &spoke).await;
        if WARM <= turn {
            sample.add(begun.elapsed());
        }
        assert_eq!(done.result.expect("a fare")["fare"], 51.8);
    }
    sample
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

async fn spawn(
    hub: &Bus,
    host: &HostId,
    nats: &Nats,
    heard: &mut Inbound,
    spoke: &SpokeAddr,
    pinned: String,
) {
    let function = Function {
        name: FunctionName::parse(TOOL).expect("a name"),
        description: String::new(),
        request: json!({"type": "object", "required": ["start_point", "end_point"]}),
        response: Some(json!({"type": "object", "required": ["fare"]})),
        pinned: None,
        method: Method::Tool,
    };
    let command = vec!["example-app".to_owned(), APP.to_owned()];
    let profile = Profile {
        app: spoke.app.clone(),
        kind: Kind::Stdio { command, env: BTreeMap::new() },
        description: String::new(),
        functions: vec![function],
        limits: limits(),
        read: Vec::new(),
        network: false,
        wishes: Wishes::default(),
    };
    let user = UserId::parse("bench").expect("a name");
    let request = Spawn { id: WorkId::fresh(), spoke: spoke.clone(), user, profile, pinned };
    let subject = Subject::HostIn { host: host.clone(), leaf: Leaf::Spawn };
    hub.publish(&subject, &request, None).await.expect("asked");
    loop {
        let message = next(heard).await;
        match message.subject {
            Subject::HostOut { op: Op::SIGN, .. } => {
                let asked: SignRequest = message.body().expect("a sign request");
                let role = Role::Spoke(spoke.clone());
                let jwt = nats.signer().sign(&role, &asked.public_key, Some(SPOKE_CREDENTIAL));
                hub.respond(&message, &Signed { jwt: jwt.map_err(|error| error.to_string()) }).await;
            }
            Subject::HostOut { op: Op::SPAWNED, .. } => {
                let spawned: Spawned = message.body().expect("a report");
                spawned.result.unwrap_or_else(|failure| panic!("{failure:?}"));
                return;
            }
            _ => {}
        }
    }
}

async fn call(hub: &Bus, said: &mut Inbound, spoke: &SpokeAddr) -> Done {
    let id = WorkId::fresh();
    let work = Work::Call { function: FunctionName::parse(TOOL).expect("a name"), args: args() };
    let limit_ms = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
    let task = Task { id: id.clone(), limit_ms, work };
    let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Task };
    hub.publish(&subject, &task, Some(&id)).await.expect("given");
    loop {
        let message = next(said).await;
        if matches!(message.subject, Subject::SpokeOut { op: Op::DONE, .. }) {
            let done: Done = message.body().expect("an end");
            if done.task == id {
                return done;
            }
        }
    }
}
