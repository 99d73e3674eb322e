//! A spoke that sends far more than it may does not take the model from others.
//!
//! A spoke that sends as much as the machine can carry has its test among the faults of whole systems: the broker does not
//! limit how fast somebody speaks, so such a flood costs everybody time until the spoke is stopped.
//! Carries: I-16.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::id::{AppId, SpokeAddr, SpokeId, WorkId};
use bus::launch::LlmConfig;
use bus::message::chat::{Budget, BudgetSet, ChatReply, ChatRequest, Turn};
use bus::subject::{Op, Service, Subject};
use system_tests::core_process::Core;
use system_tests::model_server::ModelServer;
use system_tests::nats::Nats;

/// Bodies of the flood: nonsense, nothing, and a real request without a budget.
fn bodies() -> Vec<Vec<u8>> {
    let real = bus::envelope::pack(&request()).unwrap().to_vec();
    vec![b"\xc1".to_vec(), Vec::new(), real]
}

fn request() -> ChatRequest {
    ChatRequest {
        task: WorkId::parse("t1").unwrap(),
        turns: vec![Turn::User { text: "hi".into() }],
        tools: vec![],
        schema: None,
        stream: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooding_app_does_not_delay_its_neighbour() {
    let nats = Nats::start();
    let model = ModelServer::start().await;
    let config = LlmConfig {
        base_url: model.base_url.clone(),
        model: "m".into(),
        api_key: None,
        embeddings_model: None,
        timeout_ms: 10_000,
    };
    let _gateway = Core::start(&nats, "llm-gateway", &Role::LlmGateway, config);
    let hub = nats.bus(&Role::Hub).await;
    let spoke = |id: &str| SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse(id).unwrap() };
    let good = spoke("good");
    let bus = nats.bus(&Role::Spoke(good.clone())).await;
    let budget = Budget {
        spoke: good.clone(),
        task: request().task,
        calls: 1000,
        tokens: 1_000_000,
        model: None,
        lifetime_ms: 60_000,
    };
    let to = Subject::HubOut { service: Service::Llm, op: Op::BUDGET };
    let _: BudgetSet = hub.request(&to, &budget, None, Duration::from_secs(5)).await.unwrap();

    // Set when the test ends, however it ends.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let mut flood = nats.raw(&Role::Spoke(spoke("flood")));
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let to = Subject::SpokeOut { spoke: good, service: Service::Llm, op: Op::CHAT };
    let (mut calm, mut under_flood) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let ask = || {
            let began = Instant::now();
            let answer = async {
                let mut answers = bus.request_many(&to, &request(), None).await.unwrap();
                answers.next::<ChatReply>(Duration::from_secs(10)).await.unwrap()
            };
            let answer = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(answer));
            assert!(matches!(answer, ChatReply::Done { .. }), "{answer:?}");
            began.elapsed()
        };
        calm.extend((0..20).map(|_| ask()));
        scope.spawn(|| {
            let bodies = bodies();
            while !stop.load(Ordering::Relaxed) {
                let mut lines = Vec::new();
                for body in bodies.iter().cycle().take(300) {
                    let head = format!(
                        "PUB secgpt.spoke.mail.flood.out.llm.chat secgpt.spoke.mail.flood.in.reply.x {}\r\n",
                        body.len()
                    );
                    lines.extend_from_slice(head.as_bytes());
                    lines.extend_from_slice(body);
                    lines.extend_from_slice(b"\r\n");
                }
                flood.send(&lines);
                sent.fetch_add(300, Ordering::Relaxed);
                // Some ten thousand messages a second: ten times what the gateway takes from one spoke.
                std::thread::sleep(Duration::from_millis(25));
            }
        });
        let _stop = Stop(&stop);
        while sent.load(Ordering::Relaxed) < 3000 {
            std::thread::yield_now();
        }
        while sent.load(Ordering::Relaxed) < 20_000 {
            under_flood.push(ask());
            // An honest spoke works between its calls.
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    // Figures are for benchmarks; here it is enough that nobody starves. Control: that many messages were sent.
    let sent = sent.load(Ordering::Relaxed);
    under_flood.sort();
    calm.sort();
    let (median, worst) = (under_flood[under_flood.len() / 2], under_flood[under_flood.len() - 1]);
    assert!(
        worst < Duration::from_secs(5) && median < Duration::from_secs(2),
        "calm {:?}, under a flood of {sent} messages {median:?}, at worst {worst:?}",
        calm[10]
    );
}
