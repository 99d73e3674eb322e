//! A call from one app to another and back, decided by the real hub, beside the bare bus.
//!
//! A real broker and a real hub; this program plays the user, the llm-gateway, the host and both spokes, so that
//! what is measured is the way through the hub and nothing else. The permission is a grant of the user.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::{Bus, WhenLost};
use bus::id::{HostId, SessionId, SpokeAddr, UserId, WorkId};
use bus::identity::OwnKey;
use bus::launch::HubConfig;
use bus::message::chat::{BudgetSet, ChatReply, ChatRequest, Usage};
use bus::message::host::{HostReport, REQUIRED_LAYERS, SignRequest, Signed, Spawn, Spawned, Vouched};
use bus::message::isc::{Request, Response};
use bus::message::profile::Limits;
use bus::message::task::{Done, Ready, Task, Work};
use bus::message::user::{Accepted, Choice, Consent, Prompt, Query};
use bus::secret::Secret;
use bus::subject::{Leaf, Op, Service, Subject, inbox, pattern};
use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::core_process::Core;
use system_tests::nats::Nats;
use system_tests::redis::Redis;
use tokio::sync::oneshot;

use crate::in_flight::per_second;
use crate::sample::{Sample, rounded};
use crate::yardstick;

const CALLS: usize = 3000;
const FLIGHT: usize = 256;
const LENGTH: Duration = Duration::from_secs(4);

/// The yardstick and the decided call, each measured twice and in turn, so that a slow minute hits both.
pub async fn measure() -> (Value, Value) {
    let nats = Arc::new(Nats::start());
    let bare = nats.bus(&Role::Spoke(addr("bench"))).await;
    let (mut rtt, mut per_s) = (Sample::default(), Vec::new());
    let mut yardstick = async || {
        // The echo hears under the hub's credential, and only while no hub runs.
        let echo = nats.bus(&Role::Hub).await;
        yardstick::echo(echo.nats().clone()).await;
        rtt.append(yardstick::latency(bare.nats(), CALLS).await);
        per_s.push(yardstick::throughput(bare.nats(), FLIGHT, LENGTH).await);
        echo.nats().drain().await.expect("the connection");
    };
    let (mut calls, mut calls_per_s) = (Sample::default(), Vec::new());
    yardstick().await;
    for _ in 0..2 {
        let (sample, rate) = through_the_hub(Arc::clone(&nats)).await;
        calls.append(sample);
        calls_per_s.push(rate);
        yardstick().await;
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    let (bare_median, median) = (rtt.percentile_us(0.5), calls.percentile_us(0.5));
    (
        json!({
            "rtt_us_p50": rounded(bare_median),
            "rtt_us_p99": rounded(rtt.percentile_us(0.99)),
            "per_s": mean(&per_s).round(),
        }),
        json!({
            "us_p50": rounded(median),
            "us_p99": rounded(calls.percentile_us(0.99)),
            "per_s": mean(&calls_per_s).round(),
            "ratio_to_yardstick": rounded(median / bare_median),
        }),
    )
}

/// One run of a hub: a query whose one step is delegated to `caller`, which asks `callee` again and again.
async fn through_the_hub(nats: Arc<Nats>) -> (Sample, f64) {
    let redis = Redis::start();
    let hub = Core::start(&nats, "hub", &Role::Hub, config(&nats, &redis));
    let (tell, told) = oneshot::channel();
    // Of one name there is one host: this one leaves before the next run's comes.
    let mut played = tokio::task::JoinSet::new();
    played.spawn(play_gateway(nats.bus(&Role::LlmGateway).await));
    played.spawn(play_host(Arc::clone(&nats), tell));

    let user = UserId::parse("bench").expect("a name");
    let client = nats.bus(&Role::User(user.clone())).await;
    let mut prompts = client.subscribe(&pattern::user_in(&user)).await.expect("a subscription");
    let says = client.clone();
    let who = user.clone();
    tokio::spawn(async move {
        while let Some(message) = prompts.next().await {
            if matches!(message.subject, Subject::UserIn { leaf: Leaf::Prompt, .. }) {
                let prompt: Prompt = message.body().expect("a prompt");
                let choice =
                    if prompt.offers.contains(&Choice::Session) { Choice::Session } else { Choice::Once };
                let subject = Subject::UserOut { user: who.clone(), op: Op::CONSENT };
                says.publish(&subject, &Consent::new(prompt.id, choice), None).await.expect("the bus");
            }
        }
    });
    // The hub takes the query only when it knows of a host; the host reports at once.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let query = Query {
        id: WorkId::fresh(),
        session: SessionId::fresh(),
        text: "go".into(),
        attended: true,
        private: true,
        replan_of: None,
    };
    let subject = Subject::UserOut { user, op: Op::QUERY };
    let accepted: Accepted =
        client.request(&subject, &query, None, Duration::from_secs(5)).await.expect("an answer");
    accepted.result.expect("the hub takes the query");
    let result =
        tokio::time::timeout(Duration::from_secs(120), told).await.expect("in time").expect("a result");
    played.shutdown().await;
    drop(hub);
    result
}

fn addr(app: &str) -> SpokeAddr {
    SpokeAddr {
        app: bus::id::AppId::parse(app).expect("a name"),
        id: bus::id::SpokeId::parse("y1").expect("an id"),
    }
}

fn config(nats: &Nats, redis: &Redis) -> HubConfig {
    let apps = nats.scratch().join("apps");
    for (app, function) in [("caller", "go"), ("callee", "echo")] {
        let dir = apps.join(app);
        std::fs::create_dir_all(&dir).expect("a folder");
        let schema =
            json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
        std::fs::write(dir.join("text.json"), schema.to_string()).expect("a schema");
        let manifest = format!(
            "name = \"{app}\"\nkind = \"mcp\"\nurl = \"https://played.example/mcp\"\ndescription = \"For measuring.\"\n[limits]\nrequests = 1000000\n\
             [[functionality]]\nname = \"{function}\"\neffect = \"read\"\nsummary = \"For measuring\"\n\
             request = \"text.json\"\nresponse = \"text.json\"\n"
        );
        std::fs::write(dir.join("app.toml"), manifest).expect("a manifest");
    }
    HubConfig {
        apps: vec![apps],
        // Named, since they are on a web that they may not reach and so wait for it.
        enabled: Some(vec![addr("caller").app, addr("callee").app]),
        authorized: Vec::new(),
        prompts: workspace().join("data/prompts"),
        preset: "balanced".into(),
        presets: None,
        policies: Vec::new(),
        prompt_timeout_ms: 10_000,
        memory_url: Secret::new(redis.url()),
        memory_ttl_s: 600,
        summary_token_limit: 300,
        signing_seed: nats.realm.signing.clone(),
        account: nats.realm.claims(&[]).expect("claims").account.0,
        limits: limits(),
        embeddings: false,
    }
}

/// What an app may use when it says nothing of its own.
pub fn limits() -> Limits {
    Limits {
        memory_mb: 512,
        cpu_s: 60,
        file_mb: 16,
        data_mb: 64,
        processes: 64,
        open_files: 256,
        task_s: 170,
        model_calls: 8,
        tokens: 100_000,
        requests: 32,
    }
}

/// Plans one delegated step, whatever is asked.
async fn play_gateway(gateway: Bus) {
    let mut inbound = gateway.subscribe(&pattern::hub_to(Service::Llm)).await.expect("a subscription");
    while let Some(message) = inbound.next().await {
        match message.subject {
            Subject::HubOut { op: Op::BUDGET, .. } => gateway.respond(&message, &BudgetSet {}).await,
            Subject::HubOut { op: Op::CHAT, .. } => {
                let _: ChatRequest = message.body().expect("a request");
                let plan = json!({"answer": null, "steps": [
                    {"id": "s1", "kind": "delegate", "app": "caller", "request": "go", "after": []}]});
                let reply = ChatReply::Done {
                    text: plan.to_string(),
                    calls: Vec::new(),
                    usage: Usage::default(),
                    model: "bench".into(),
                };
                gateway.respond(&message, &reply).await;
            }
            _ => {}
        }
    }
}

/// Starts a played spoke for each that is asked for.
async fn play_host(nats: Arc<Nats>, tell: oneshot::Sender<(Sample, f64)>) {
    let host = HostId::parse("bench").expect("a name");
    let on_bus = nats.bus(&Role::Host(host.clone())).await;
    let mut inbound = on_bus.subscribe(&pattern::host_in(&host)).await.expect("a subscription");
    let out = |op| Subject::HostOut { host: host.clone(), op };
    let (apps, missing, leases) = (Vec::new(), Vec::new(), Vec::new());
    let mut report = HostReport { live: 0, capacity: 100, apps, looked_ms: 0, missing, leases };
    let mut beat = tokio::time::interval(Duration::from_millis(250));
    let mut tell = Some(tell);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                if on_bus.publish(&out(Op::REPORT), &report, None).await.is_err() { return }
            }
            message = inbound.next() => {
                let Some(message) = message else { return };
                if !matches!(message.subject, Subject::HostIn { leaf: Leaf::Spawn, .. }) { continue }
                let spawn: Spawn = message.body().expect("a spawn request");
                let key = OwnKey::generate();
                let ask = SignRequest { spawn: spawn.id.clone(), public_key: key.public() };
                let signed: Signed =
                    on_bus.request(&out(Op::SIGN), &ask, None, Duration::from_secs(5)).await.expect("an answer");
                let credential = key.with_jwt(signed.jwt.expect("a signature")).expect("a credential");
                let spoke = Bus::connect(&nats.address(), &credential, "bench", &inbox::spoke(&spawn.spoke), None, WhenLost::End)
                    .await.expect("a connection");
                let tell = (spawn.spoke.app.as_str() == "caller").then(|| tell.take()).flatten();
                play_spoke(spoke, spawn.spoke.clone(), tell).await;
                // A host that names fewer spokes than it has told of counts as restarted.
                report.live += 1;
                let word = Vouched {
                    layers: REQUIRED_LAYERS.iter().map(|&layer| layer.to_owned()).collect(),
                    app_layers: None,
                    report: Value::Null,
                    took_us: 0,
                };
                on_bus.publish(&out(Op::SPAWNED), &Spawned { spawn: spawn.id, result: Ok(word) }, None).await.expect("the bus");
            }
        }
    }
}

/// `callee` answers with what it got; `caller` measures.
async fn play_spoke(bus: Bus, own: SpokeAddr, mut tell: Option<oneshot::Sender<(Sample, f64)>>) {
    let mut inbound = bus.subscribe(&pattern::spoke_in(&own)).await.expect("a subscription");
    let out = move |service, op| Subject::SpokeOut { spoke: own.clone(), service, op };
    bus.publish(&out(Service::Result, Op::READY), &Ready {}, None).await.expect("the bus");
    tokio::spawn(async move {
        while let Some(message) = inbound.next().await {
            // Answers to its own requests come this way too.
            if !matches!(message.subject, Subject::SpokeIn { leaf: Leaf::Task, .. }) {
                continue;
            }
            let task: Task = message.body().expect("a task");
            let done = out(Service::Result, Op::DONE);
            match task.work {
                Work::Call { args, .. } => {
                    let answer = Done { task: task.id, result: Ok(args), model_calls: 0 };
                    bus.publish(&done, &answer, None).await.expect("the bus");
                }
                Work::Delegate { .. } => {
                    let Some(tell) = tell.take() else { continue };
                    let (bus, ask) = (bus.clone(), out(Service::Isc, Op::REQUEST));
                    tokio::spawn(async move {
                        let result = call_again_and_again(&bus, &ask, &task.id).await;
                        let answer = Done { task: task.id, result: Ok("done".into()), model_calls: 0 };
                        bus.publish(&done, &answer, None).await.expect("the bus");
                        let _ = tell.send(result);
                    });
                }
                Work::Converse { .. } => {}
            }
        }
    });
}

async fn call_again_and_again(bus: &Bus, ask: &Subject, task: &WorkId) -> (Sample, f64) {
    let request = Request {
        task: task.clone(),
        functionality: "callee.echo".into(),
        args: json!({"text": "x".repeat(400)}),
        why: "measuring".into(),
    };
    let call = async || {
        let response: Response =
            bus.request(ask, &request, None, Duration::from_secs(20)).await.expect("an answer");
        response.result.expect("a result");
    };
    let mut sample = Sample::default();
    for turn in 0..CALLS + CALLS / 10 {
        let begun = Instant::now();
        call().await;
        if CALLS / 10 <= turn {
            sample.add(begun.elapsed());
        }
    }
    let (bus, ask) = (bus.clone(), ask.clone());
    let one = move || {
        let (bus, ask, request) = (bus.clone(), ask.clone(), request.clone());
        async move {
            let response: Response =
                bus.request(&ask, &request, None, Duration::from_secs(20)).await.expect("an answer");
            response.result.expect("a result");
        }
    };
    (sample, per_second(FLIGHT, LENGTH, one).await)
}
