//! A part of the core that says it is ready hears what is said next, on each of its connections.
//!
//! What is asked too early comes back from the broker at once: nobody answers there.

use std::time::Duration;

use bus::acl::Role;
use bus::client::{Bus, BusError};
use bus::envelope::Message;
use bus::id::{AppId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::launch::{EgressConfig, HubConfig, LlmConfig};
use bus::message::chat::{Budget, BudgetSet, ChatReply, ChatRequest};
use bus::message::egress::{FetchReply, SpokeUser, SpokeUserSet};
use bus::message::isc::{Probe, Probed};
use bus::message::profile::Limits;
use bus::message::user::{Admin, AdminReply};
use bus::secret::Secret;
use bus::subject::{Op, Service, Subject};
use system_tests::bundle::workspace;
use system_tests::core_process::Core;
use system_tests::nats::Nats;
use system_tests::redis::Redis;

use crate::faults::floods::nowhere;

/// Starts of each part. The gap was some hundred microseconds wide.
const STARTS: usize = 20;

/// Longer than the broker needs to say that nobody is there.
const MOMENT: Duration = Duration::from_millis(250);

fn spoke() -> SpokeAddr {
    SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse("s1").unwrap() }
}

fn task() -> WorkId {
    WorkId::parse("t1").unwrap()
}

fn said(service: Service, op: Op) -> Subject {
    Subject::SpokeOut { spoke: spoke(), service, op }
}

/// Is anybody there? Whether there is an answer as well is a matter of what was asked.
async fn heard<M: Message, R: Message>(bus: &Bus, subject: Subject, message: M) {
    let answer = bus.request::<M, R>(&subject, &message, None, MOMENT).await;
    assert!(!matches!(answer, Err(BusError::NoResponder(_))), "nobody hears {subject}");
}

/// No app is started here.
fn limits() -> Limits {
    Limits {
        memory_mb: 64,
        cpu_s: 1,
        file_mb: 1,
        data_mb: 1,
        processes: 1,
        open_files: 8,
        task_s: 1,
        model_calls: 0,
        tokens: 0,
        requests: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_model_gateway_right_after_it_is_ready_is_heard() {
    let nats = Nats::start();
    let (hub, app) = (nats.bus(&Role::Hub).await, nats.bus(&Role::Spoke(spoke())).await);
    for _ in 0..STARTS {
        let config = LlmConfig {
            base_url: "http://127.0.0.1:1/v1".into(),
            model: "none".into(),
            api_key: None,
            embeddings_model: None,
            timeout_ms: 1000,
        };
        let chat = ChatRequest { task: task(), turns: vec![], tools: vec![], schema: None, stream: false };
        let budget =
            Budget { spoke: spoke(), task: task(), calls: 0, tokens: 0, model: None, lifetime_ms: 1000 };
        let to_hub = Subject::HubOut { service: Service::Llm, op: Op::BUDGET };
        let _gateway = Core::start(&nats, "llm-gateway", &Role::LlmGateway, config);
        tokio::join!(
            heard::<_, ChatReply>(&app, said(Service::Llm, Op::CHAT), chat),
            heard::<_, BudgetSet>(&hub, to_hub, budget),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_an_egress_gateway_right_after_it_is_ready_is_heard() {
    let nats = Nats::start();
    let (hub, app) = (nats.bus(&Role::Hub).await, nats.bus(&Role::Spoke(spoke())).await);
    for _ in 0..STARTS {
        let config = EgressConfig {
            apps: vec![],
            credentials: nats.scratch().join("credentials"),
            credentials_key: None,
            suffix_list: None,
            tls_ca: None,
        };
        let rules = Subject::HubOut { service: Service::Egress, op: Op::RULES };
        let _gateway = Core::start(&nats, "egress-gateway", &Role::EgressGateway, config);
        tokio::join!(
            heard::<_, FetchReply>(&app, said(Service::Egress, Op::FETCH), nowhere(WorkId::fresh())),
            heard::<_, SpokeUserSet>(&hub, rules, SpokeUser { spoke: spoke(), user: None }),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_hub_right_after_it_is_ready_is_heard() {
    let (nats, redis) = (Nats::start(), Redis::start());
    let user = UserId::parse("ann").unwrap();
    let (ann, app) = (nats.bus(&Role::User(user.clone())).await, nats.bus(&Role::Spoke(spoke())).await);
    let asks = Subject::UserOut { user, op: Op::ADMIN };
    for _ in 0..STARTS {
        let config = HubConfig {
            apps: vec![],
            enabled: None,
            authorized: Vec::new(),
            prompts: workspace().join("data/prompts"),
            preset: "balanced".into(),
            presets: None,
            policies: vec![],
            prompt_timeout_ms: 1000,
            memory_url: Secret::new(redis.url()),
            memory_ttl_s: 60,
            summary_token_limit: 300,
            signing_seed: nats.realm.signing.clone(),
            account: nats.realm.claims(&[]).unwrap().account.0,
            limits: limits(),
            embeddings: false,
        };
        let _hub = Core::start(&nats, "hub", &Role::Hub, config);
        tokio::join!(
            heard::<_, Probed>(&app, said(Service::Isc, Op::PROBE), Probe { functionality: "a.b".into() }),
            heard::<_, AdminReply>(&ann, asks.clone(), Admin::Grants),
        );
    }
}
