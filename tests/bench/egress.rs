//! Requests to an HTTPS server on loopback through the egress gateway, beside the same client without it.
//!
//! The client without it is the library that the gateway itself uses, with the same settings. What is measured is what
//! stands between: two ways over the bus, the rules, the record in the audit, and the copying of the body.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::Bus;
use bus::id::{AppId, SpokeAddr, SpokeId, WorkId};
use bus::launch::EgressConfig;
use bus::message::egress::{FetchControl, FetchReply, FetchRequest, Untold};
use bus::subject::{Op, Service, Subject};
use serde_json::{Value, json};
use system_tests::core_process::Core;
use system_tests::nats::Nats;
use system_tests::scratch::Scratch;
use system_tests::web_server::{Act, Authority, Server, ok};

use crate::bus_alone;
use crate::in_flight::per_second;
use crate::sample::{Sample, rounded};

const REQUESTS: usize = 2000;
const WARM: usize = 100;

/// Bytes of the large body; below the largest that the gateway takes.
const LARGE: usize = 48 << 20;

/// How often it is fetched. The best counts: what else the machine does only ever slows it.
const TURNS: usize = 5;

/// At once, for the number of small requests a second.
const FLIGHT: usize = 8;
const LENGTH: Duration = Duration::from_secs(3);

const PATIENCE: Duration = Duration::from_secs(30);

pub async fn measure() -> Value {
    let authority = Authority::new();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    let body = Arc::new(vec![b'x'; LARGE]);
    let server = Server::tls(&authority, &["127.0.0.1"], move |seen| match seen.path() {
        "/large" => vec![Act::Send(head.clone().into_bytes()), Act::Share(Arc::clone(&body))],
        _ => ok(&"x".repeat(512)),
    })
    .await;
    let base = format!("https://{}", server.address);
    let scratch = Scratch::new("bench-egress");
    let nats = Nats::start();
    let _gateway = gateway(&nats, &scratch, "bench", &authority, &server);
    let through = Arc::new(Through::new(&nats, base.clone()).await);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(authority.trusted())
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .build()
        .expect("a client");
    let direct = Arc::new(Direct { client, base });
    // In turns, so that both meet the same weather.
    let (mut ours, mut its) = (Sample::default(), Sample::default());
    for turn in 0..REQUESTS + WARM {
        let (begun, size) = (Instant::now(), direct.get("/small").await);
        let direct_took = begun.elapsed();
        let (begun, same) = (Instant::now(), through.get("/small").await);
        assert_eq!(size, same);
        if WARM <= turn {
            its.add(direct_took);
            ours.add(begun.elapsed());
        }
    }
    let other = Nats::start();
    let played = bus_alone::serve(&other, LARGE).await;
    let alone = Through::new(&other, through.base.clone()).await;
    let (mut fast, mut fast_direct, mut fast_alone) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..TURNS {
        let begun = Instant::now();
        assert_eq!(direct.get("/large").await, LARGE);
        fast_direct = fast_direct.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        assert_eq!(through.get("/large").await, LARGE);
        fast = fast.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        assert_eq!(alone.get("/large").await, LARGE);
        fast_alone = fast_alone.min(begun.elapsed().as_secs_f64());
    }
    played.abort();
    let mib = |seconds: f64| (LARGE >> 20) as f64 / seconds;
    let many_direct = per_second(FLIGHT, LENGTH, move || {
        let direct = Arc::clone(&direct);
        async move { direct.get("/small").await }
    })
    .await;
    let many_ours = per_second(FLIGHT, LENGTH, move || {
        let through = Arc::clone(&through);
        async move { through.get("/small").await }
    })
    .await;
    json!({
        "us_p50": rounded(ours.percentile_us(0.5)),
        "us_p99": rounded(ours.percentile_us(0.99)),
        "direct_us_p50": rounded(its.percentile_us(0.5)),
        "beyond_us_p50": rounded(ours.percentile_us(0.5) - its.percentile_us(0.5)),
        "mib_per_s": rounded(mib(fast)),
        "direct_mib_per_s": rounded(mib(fast_direct)),
        "share_of_throughput": rounded(fast_direct / fast),
        "bus_alone_mib_per_s": rounded(mib(fast_alone)),
        "per_s": rounded(many_ours),
        "direct_per_s": rounded(many_direct),
    })
}

/// A gateway for one app, which may go to one server. The app's folder lies in `apps` of the scratch folder.
pub fn gateway(nats: &Nats, scratch: &Scratch, app: &str, authority: &Authority, server: &Server) -> Core {
    let (apps, ca) = (scratch.join("apps"), scratch.join("ca.pem"));
    std::fs::create_dir_all(apps.join(app)).expect("a folder");
    std::fs::write(&ca, authority.pem()).expect("a file");
    let manifest = format!(
        "name = \"{app}\"\nkind = \"mcp\"\ndescription = \"\"\ncommand = [\"x\"]\n[network]\nlocal = [\"{}\"]\n",
        server.address
    );
    std::fs::write(apps.join(app).join("app.toml"), manifest).expect("a file");
    let config = EgressConfig {
        apps: vec![apps],
        credentials: scratch.join("credentials"),
        credentials_key: None,
        suffix_list: None,
        tls_ca: Some(ca),
    };
    Core::start(nats, "egress-gateway", &Role::EgressGateway, config)
}

/// The client without the gateway.
struct Direct {
    client: reqwest::Client,
    base: String,
}

impl Direct {
    async fn get(&self, path: &str) -> usize {
        let mut answer = self.client.get(format!("{}{path}", self.base)).send().await.expect("an answer");
        let mut size = 0;
        while let Some(chunk) = answer.chunk().await.expect("the rest") {
            size += chunk.len();
        }
        size
    }
}

/// A spoke's way.
struct Through {
    bus: Bus,
    spoke: SpokeAddr,
    base: String,
}

impl Through {
    async fn new(nats: &Nats, base: String) -> Self {
        let spoke = SpokeAddr {
            app: AppId::parse("bench").expect("a name"),
            id: SpokeId::parse("b1").expect("an id"),
        };
        Self { bus: nats.bus(&Role::Spoke(spoke.clone())).await, spoke, base }
    }

    fn subject(&self, op: Op) -> Subject {
        Subject::SpokeOut { spoke: self.spoke.clone(), service: Service::Egress, op }
    }

    fn request(&self, path: &str) -> FetchRequest {
        FetchRequest {
            id: WorkId::fresh(),
            task: None,
            method: "GET".into(),
            url: format!("{}{path}", self.base),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            limit_ms: 30_000,
        }
    }

    async fn get(&self, path: &str) -> usize {
        let request = self.request(path);
        let mut answers =
            self.bus.request_many(&self.subject(Op::FETCH), &request, None).await.expect("the bus");
        let (mut size, mut untold) = (0, Untold::default());
        loop {
            match answers.next::<FetchReply>(PATIENCE).await.expect("an answer") {
                FetchReply::Head { status, .. } => assert_eq!(status, 200),
                FetchReply::Chunk { seq, bytes } => {
                    size += bytes.len();
                    if untold.took(bytes.len()) {
                        let taken = FetchControl::Taken { id: request.id.clone(), chunks: seq + 1 };
                        self.bus.publish(&self.subject(Op::CHUNK), &taken, None).await.expect("the bus");
                    }
                }
                FetchReply::End { .. } => return size,
                FetchReply::Failed(failure) => panic!("{failure:?}"),
            }
        }
    }
}
