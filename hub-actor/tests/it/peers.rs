//! Hosts, spokes and the llm-gateway, as a test scripts them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bus::acl::Role;
use bus::client::{Address, Bus, WhenLost};
use bus::id::{AppId, HostId, SpokeAddr, WorkId};
use bus::identity::OwnKey;
use bus::message::chat::{BudgetSet, ChatReply, ChatRequest, Usage};
use bus::message::host::{
    Exited, HostReport, REQUIRED_LAYERS, SignRequest, Signed, Spawn, SpawnFailure, Spawned, Stop, Vouched,
};
use bus::message::isc::{Recall, Request, Response};
use bus::message::task::{Done, Failure, Ready, Task, Token};
use bus::subject::{Leaf, Op, Service, Subject, inbox, pattern};
use serde_json::Value;

use crate::broker::Broker;

pub const PATIENCE: Duration = Duration::from_secs(10);

type Ends = Pin<Box<dyn Future<Output = ()>>>;

/// What a spoke does with a task.
pub type Script = Rc<dyn Fn(Spoke, Task) -> Ends>;

/// Makes a script of an async closure.
pub fn script<F: Future<Output = ()> + 'static>(act: impl Fn(Spoke, Task) -> F + 'static) -> Script {
    Rc::new(move |spoke, task| Box::pin(act(spoke, task)))
}

/// A played spoke.
#[derive(Clone)]
pub struct Spoke {
    pub bus: Bus,
    pub addr: SpokeAddr,
    pub host: Bus,
    pub host_id: HostId,
}

impl Spoke {
    pub fn app(&self) -> &str {
        self.addr.app.as_str()
    }

    pub fn out(&self, service: Service, op: Op) -> Subject {
        Subject::SpokeOut { spoke: self.addr.clone(), service, op }
    }

    pub async fn done(&self, task: &WorkId, result: Result<Value, Failure>) {
        let done = Done { task: task.clone(), result, model_calls: 0 };
        self.bus.publish(&self.out(Service::Result, Op::DONE), &done, None).await.unwrap();
    }

    pub async fn said(&self, task: &WorkId, text: &str) {
        let done = Done { task: task.clone(), result: Ok(text.into()), model_calls: 1 };
        self.bus.publish(&self.out(Service::Result, Op::DONE), &done, None).await.unwrap();
    }

    pub async fn token(&self, task: &WorkId, text: &str) {
        let token = Token { task: task.clone(), text: text.into() };
        self.bus.publish(&self.out(Service::Result, Op::TOKEN), &token, None).await.unwrap();
    }

    pub async fn ask(&self, task: &WorkId, functionality: &str, args: Value) -> Result<Value, Failure> {
        let request =
            Request { task: task.clone(), functionality: functionality.into(), args, why: "because".into() };
        let subject = self.out(Service::Isc, Op::REQUEST);
        let response: Response = self.bus.request(&subject, &request, None, PATIENCE).await.unwrap();
        response.result
    }

    pub async fn recall(&self, task: &WorkId, about: &str) -> Result<Value, Failure> {
        let recall = Recall { task: task.clone(), about: about.into(), why: "because".into() };
        let subject = self.out(Service::Memory, Op::RECALL);
        let response: Response = self.bus.request(&subject, &recall, None, PATIENCE).await.unwrap();
        response.result
    }

    /// The host says that it has ended.
    pub async fn ends(&self, how: &str, violation: bool) {
        let exited = Exited { spoke: self.addr.clone(), how: how.into(), violation };
        let subject = Subject::HostOut { host: self.host_id.clone(), op: Op::EXITED };
        self.host.publish(&subject, &exited, None).await.unwrap();
    }
}

/// What a host does with a spawn request.
#[derive(Clone)]
pub enum Starts {
    /// Starts the spoke as it should.
    Well,
    /// Says that it cannot.
    Fails(SpawnFailure),
    /// Vouches for everything but this layer.
    Without(&'static str),
}

/// A played host.
pub struct Host {
    pub bus: Bus,
    pub spawned: Rc<RefCell<Vec<Spawn>>>,
    pub stopped: Rc<RefCell<Vec<Stop>>>,
    beat: tokio::task::JoinHandle<()>,
}

impl Host {
    /// Comes on the bus and reports itself with these apps.
    pub async fn join(
        broker: &Broker,
        name: &str,
        apps: Vec<(AppId, String)>,
        starts: Starts,
        script: Script,
    ) -> Self {
        let id = HostId::parse(name).unwrap();
        let bus = broker.bus(&Role::Host(id.clone())).await;
        let mut inbound = bus.subscribe(&pattern::host_in(&id)).await.unwrap();
        let (spawned, stopped) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
        let out = Subject::HostOut { host: id.clone(), op: Op::REPORT };
        let says = bus.clone();
        let live = Rc::clone(&spawned);
        let beat = actix::spawn(async move {
            loop {
                let live = u32::try_from(live.borrow().len()).unwrap();
                let report = HostReport {
                    live,
                    capacity: 100,
                    apps: apps.clone(),
                    looked_ms: 0,
                    missing: Vec::new(),
                    leases: Vec::new(),
                };
                if says.publish(&out, &report, None).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        let (hears, address) = (bus.clone(), broker.address());
        let (to_spawned, to_stopped, host_id) = (Rc::clone(&spawned), Rc::clone(&stopped), id.clone());
        actix::spawn(async move {
            while let Some(message) = inbound.next().await {
                match &message.subject {
                    Subject::HostIn { leaf: Leaf::Spawn, .. } => {
                        let spawn: Spawn = message.body().unwrap();
                        to_spawned.borrow_mut().push(spawn.clone());
                        let (bus, id, address) = (hears.clone(), host_id.clone(), address.clone());
                        actix::spawn(start(bus, id, address, spawn, starts.clone(), Rc::clone(&script)));
                    }
                    Subject::HostIn { leaf: Leaf::Stop, .. } => {
                        to_stopped.borrow_mut().push(message.body().unwrap());
                    }
                    _ => {}
                }
            }
        });
        Self { bus, spawned, stopped, beat }
    }

    /// Says nothing any more.
    pub fn falls_silent(&self) {
        self.beat.abort();
    }
}

async fn start(host: Bus, id: HostId, address: Address, spawn: Spawn, starts: Starts, script: Script) {
    let out = |op| Subject::HostOut { host: id.clone(), op };
    let mut layers: Vec<String> = REQUIRED_LAYERS.iter().map(|&layer| layer.to_owned()).collect();
    match starts {
        Starts::Fails(failure) => {
            let spawned = Spawned { spawn: spawn.id, result: Err(failure) };
            host.publish(&out(Op::SPAWNED), &spawned, None).await.unwrap();
            return;
        }
        Starts::Without(layer) => layers.retain(|have| have != layer),
        Starts::Well => {}
    }
    let key = OwnKey::generate();
    let request = SignRequest { spawn: spawn.id.clone(), public_key: key.public() };
    let signed: Signed = host.request(&out(Op::SIGN), &request, None, PATIENCE).await.unwrap();
    let credential = key.with_jwt(signed.jwt.unwrap()).unwrap();
    let addr = spawn.spoke.clone();
    let bus = Bus::connect(&address, &credential, "spoke", &inbox::spoke(&addr), None, WhenLost::End)
        .await
        .unwrap();
    let mut inbound = bus.subscribe(&pattern::spoke_in(&addr)).await.unwrap();
    let spoke = Spoke { bus, addr, host: host.clone(), host_id: id.clone() };
    spoke.bus.publish(&spoke.out(Service::Result, Op::READY), &Ready {}, None).await.unwrap();
    let vouched = Vouched { layers, app_layers: None, report: Value::Null, took_us: 1 };
    let spawned = Spawned { spawn: spawn.id, result: Ok(vouched) };
    host.publish(&out(Op::SPAWNED), &spawned, None).await.unwrap();
    while let Some(message) = inbound.next().await {
        if let Subject::SpokeIn { leaf: Leaf::Task, .. } = message.subject {
            actix::spawn(script(spoke.clone(), message.body().unwrap()));
        }
    }
}

/// What the gateway says to the planner's requests, one after another; the last is said again and again.
pub struct Gateway {
    pub asked: Rc<RefCell<Vec<ChatRequest>>>,
    bus: Bus,
}

impl Gateway {
    pub async fn join(broker: &Broker, says: Vec<String>) -> Self {
        let bus = broker.bus(&Role::LlmGateway).await;
        let mut inbound = bus.subscribe(&pattern::hub_to(Service::Llm)).await.unwrap();
        let (asked, own): (Rc<RefCell<Vec<ChatRequest>>>, _) = (Rc::default(), bus.clone());
        let list = Rc::clone(&asked);
        actix::spawn(async move {
            while let Some(message) = inbound.next().await {
                match message.subject {
                    Subject::HubOut { op: Op::BUDGET, .. } => bus.respond(&message, &BudgetSet {}).await,
                    Subject::HubOut { op: Op::CHAT, .. } => {
                        let number = list.borrow().len();
                        list.borrow_mut().push(message.body().unwrap());
                        let text = says.get(number).or(says.last()).unwrap().clone();
                        let usage = Usage::default();
                        let reply =
                            ChatReply::Done { text, calls: Vec::new(), usage, model: "scripted-1".into() };
                        bus.respond(&message, &reply).await;
                    }
                    _ => {}
                }
            }
        });
        Self { asked, bus: own }
    }

    /// Nobody hears any more.
    pub async fn leave(&self) {
        self.bus.nats().drain().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
