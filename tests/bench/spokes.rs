//! Spokes: how long until one is ready, and what does an idle one cost?
//!
//! A real broker, a real spoke-host, real spokes under all layers; this program plays the hub.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::{Bus, Inbound};
use bus::id::{AppId, HostId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::launch::HostConfig;
use bus::limits::SPOKE_CREDENTIAL;
use bus::message::host::{SignRequest, Signed, Spawn, Spawned, Stop};
use bus::message::profile::{Kind, Profile};
use bus::subject::{Leaf, Op, Service, Subject, pattern};
use serde_json::{Value, json};
use system_tests::core_process::{Core, programs};
use system_tests::nats::Nats;

use crate::decided::limits;
use crate::sample::{Sample, rounded};

const STARTS: usize = 300;
/// Alive at once in an ordinary run, and in one that is asked for.
pub const LIVE: usize = 1000;
pub const MANY: usize = 10_000;

/// The longest that all of them may take to start.
const TOGETHER: Duration = Duration::from_secs(300);

pub async fn measure(wanted: usize) -> Value {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let host = HostId::parse("bench").expect("a name");
    let mut heard = hub.subscribe(&pattern::host_out(&host)).await.expect("a subscription");
    let mut ready = hub.subscribe(&pattern::every_spoke_to(Service::Result)).await.expect("a subscription");
    let core = Core::start(&nats, "spoke-host", &Role::Host(host.clone()), config(&nats, &host));
    // Said after the host's subscriptions, on the same connection: from here on it hears us.
    while let Some(message) = heard.next().await {
        if matches!(message.subject, Subject::HostOut { op: Op::REPORT, .. }) {
            break;
        }
    }
    let signer = nats.signer();
    let mut start = async |addr: &SpokeAddr| -> Option<Duration> {
        spawn(&hub, &host, &signer, &mut heard, &mut ready, addr).await
    };

    let mut sample = Sample::default();
    for turn in 0..STARTS + 20 {
        let addr = fresh();
        let took = start(&addr).await.expect("a spoke");
        // The first ones warm the page cache.
        if 20 <= turn {
            sample.add(took);
        }
        stop(&hub, &host, &addr).await;
    }

    let before = private_kib(core.pid());
    let mut live = 0;
    let begun = Instant::now();
    while live < wanted && begun.elapsed() < TOGETHER {
        if start(&fresh()).await.is_none() {
            break;
        }
        live += 1;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (spokes, kib) = spokes_of(core.pid());
    let host_grew = private_kib(core.pid()).saturating_sub(before);
    json!({
        "ready_ms_p50": rounded(sample.percentile_us(0.5) / 1e3),
        "ready_ms_p99": rounded(sample.percentile_us(0.99) / 1e3),
        "starts": sample.len(),
        "idle_private_kib": rounded(kib as f64 / spokes.max(1) as f64),
        "host_kib_per_spoke": rounded(host_grew as f64 / spokes.max(1) as f64),
        "live": live,
    })
}

fn config(nats: &Nats, host: &HostId) -> HostConfig {
    HostConfig {
        host: host.clone(),
        apps: Vec::new(),
        spoke: programs().join("spoke"),
        data: nats.scratch().join("data"),
        capacity: 20_000,
        env: BTreeMap::new(),
    }
}

fn fresh() -> SpokeAddr {
    SpokeAddr { app: AppId::parse("empty").expect("a name"), id: SpokeId::fresh() }
}

async fn stop(hub: &Bus, host: &HostId, addr: &SpokeAddr) {
    let subject = Subject::HostIn { host: host.clone(), leaf: Leaf::Stop };
    let _ = hub.publish(&subject, &Stop { spoke: addr.clone(), why: "measured".into() }, None).await;
}

/// Asks for a spoke as the hub would; from the request until both its own word and the host's are here.
async fn spawn(
    hub: &Bus,
    host: &HostId,
    signer: &bus::identity::Signer,
    heard: &mut Inbound,
    ready: &mut Inbound,
    addr: &SpokeAddr,
) -> Option<Duration> {
    let profile = Profile {
        app: addr.app.clone(),
        kind: Kind::Empty,
        description: String::new(),
        functions: Vec::new(),
        limits: limits(),
        read: Vec::new(),
        network: false,
        wishes: bus::message::profile::Wishes::default(),
    };
    let request = Spawn {
        id: WorkId::fresh(),
        spoke: addr.clone(),
        user: UserId::parse("bench").expect("a name"),
        profile,
        pinned: String::new(),
        lease: None,
    };
    let begun = Instant::now();
    hub.publish(&Subject::HostIn { host: host.clone(), leaf: Leaf::Spawn }, &request, None).await.ok()?;
    let deadline = tokio::time::sleep(Duration::from_secs(20));
    tokio::pin!(deadline);
    let (mut vouched, mut is_ready) = (false, false);
    while !(vouched && is_ready) {
        tokio::select! {
            () = &mut deadline => return None,
            Some(message) = heard.next() => match message.subject {
                Subject::HostOut { op: Op::SIGN, .. } => {
                    let asked: SignRequest = message.body().expect("a sign request");
                    let role = Role::Spoke(addr.clone());
                    let jwt = signer.sign(&role, &asked.public_key, Some(SPOKE_CREDENTIAL)).map_err(|e| e.to_string());
                    hub.respond(&message, &Signed { jwt }).await;
                }
                Subject::HostOut { op: Op::SPAWNED, .. } => {
                    let spawned: Spawned = message.body().expect("a report");
                    let word = spawned.result.unwrap_or_else(|failure| panic!("{failure:?}"));
                    assert!(word.missing().is_empty(), "{:?}", word.missing());
                    vouched = true;
                }
                _ => {}
            },
            Some(message) = ready.next() => {
                if matches!(&message.subject, Subject::SpokeOut { spoke, op: Op::READY, .. } if spoke == addr) {
                    is_ready = true;
                }
            }
        }
    }
    Some(begun.elapsed())
}

/// Memory that nobody shares, KiB, as the kernel counts it.
fn private_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

/// How many children the host has, and their private memory together.
fn spokes_of(host: u32) -> (usize, u64) {
    let children = std::fs::read_to_string(format!("/proc/{host}/task/{host}/children")).unwrap_or_default();
    let pids: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    (pids.len(), pids.iter().map(|&pid| private_kib(pid)).sum())
}
