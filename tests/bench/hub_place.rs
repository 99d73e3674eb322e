//! The hub's place beside one host, for a part of the bench that wants an app of its own and no hub.
//!
//! Answers: how is an app started in its jail, asked, and stopped, as the hub does it?
//! Never: decides anything; what the hub adds has a figure of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bus::acl::Role;
use bus::client::{Bus, Inbound};
use bus::envelope::Incoming;
use bus::id::{AppId, FunctionName, HostId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::launch::HostConfig;
use bus::limits::SPOKE_CREDENTIAL;
use bus::message::host::{HostReport, SignRequest, Signed, Spawn, Spawned, Stop};
use bus::message::profile::{Function, Kind, Method, Profile, Wishes};
use bus::message::task::{Done, Task, Work};
use bus::subject::{Leaf, Op, Service, Subject, pattern};
use serde_json::Value;
use system_tests::core_process::{Core, programs};
use system_tests::nats::Nats;

use crate::decided::limits;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker, a host, and what they say to the hub.
pub struct HubPlace {
    /// The broker.
    pub nats: Nats,
    hub: Bus,
    host: HostId,
    app: AppId,
    heard: Inbound,
    said: Inbound,
    pinned: String,
    _core: Core,
}

impl HubPlace {
    /// For the app of that name in a folder of apps.
    pub async fn new(nats: Nats, apps: PathBuf, app: &str) -> Self {
        let app = AppId::parse(app).expect("a name");
        let hub = nats.bus(&Role::Hub).await;
        let host = HostId::parse("bench").expect("a name");
        let mut heard = hub.subscribe(&pattern::host_out(&host)).await.expect("a subscription");
        let said = hub.subscribe(&pattern::every_spoke_to(Service::Result)).await.expect("a subscription");
        let config = HostConfig {
            host: host.clone(),
            apps: vec![apps],
            spoke: programs().join("spoke"),
            data: nats.scratch().join("data"),
            capacity: 10,
            env: BTreeMap::new(),
        };
        let core = Core::start(&nats, "spoke-host", &Role::Host(host.clone()), config);
        let pinned = pinned(&mut heard, &app).await;
        Self { nats, hub, host, app, heard, said, pinned, _core: core }
    }

    /// An address for a spoke of the app.
    pub fn fresh(&self) -> SpokeAddr {
        SpokeAddr { app: self.app.clone(), id: SpokeId::fresh() }
    }

    /// Returns when the host vouches for it.
    pub async fn spawn(&mut self, spoke: &SpokeAddr, profile: Profile) {
        let user = UserId::parse("bench").expect("a name");
        let request = Spawn {
            id: WorkId::fresh(),
            spoke: spoke.clone(),
            user,
            profile,
            pinned: self.pinned.clone(),
            lease: None,
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

    /// A call, and its answer.
    pub async fn call(&mut self, spoke: &SpokeAddr, tool: &str, args: Value) -> Value {
        let id = WorkId::fresh();
        let work = Work::Call { function: FunctionName::parse(tool).expect("a name"), args };
        let limit_ms = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
        let task = Task { id: id.clone(), limit_ms, work };
        let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Task };
        self.hub.publish(&subject, &task, Some(&id)).await.expect("given");
        loop {
            let message = next(&mut self.said).await;
            if matches!(message.subject, Subject::SpokeOut { op: Op::DONE, .. }) {
                let done: Done = message.body().expect("an end");
                if done.task == id {
                    return done.result.unwrap_or_else(|failure| panic!("{failure:?}"));
                }
            }
        }
    }

    /// Returns when the host says that it is gone.
    pub async fn stop(&mut self, spoke: SpokeAddr) {
        let stop = Stop { spoke, why: "measured".into() };
        self.hub.publish(&self.to_host(Leaf::Stop), &stop, None).await.expect("asked");
        while !matches!(next(&mut self.heard).await.subject, Subject::HostOut { op: Op::EXITED, .. }) {}
    }

    fn to_host(&self, leaf: Leaf) -> Subject {
        Subject::HostIn { host: self.host.clone(), leaf }
    }
}

/// A program with one tool, as its manifest would have it.
pub fn one_tool(
    app: &AppId,
    tool: &str,
    request: Value,
    response: Option<Value>,
    command: &[&str],
) -> Profile {
    let function = Function {
        name: FunctionName::parse(tool).expect("a name"),
        description: String::new(),
        request,
        response,
        pinned: None,
        method: Method::Tool,
    };
    let command = command.iter().map(|&word| word.to_owned()).collect();
    Profile {
        app: app.clone(),
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
async fn pinned(heard: &mut Inbound, app: &AppId) -> String {
    loop {
        let message = next(heard).await;
        if matches!(message.subject, Subject::HostOut { op: Op::REPORT, .. }) {
            let report: HostReport = message.body().expect("a report");
            let found = report.apps.into_iter().find(|(known, _)| known == app);
            return found.expect("the app").1;
        }
    }
}

async fn next(inbound: &mut Inbound) -> Incoming {
    tokio::time::timeout(PATIENCE, inbound.next()).await.expect("in time").expect("a message")
}
