//! What a spoke says to the gateway and hears from it, on a real broker. I-02, I-08, I-12, I-16.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bus::acl::Role;
use bus::client::{Answers, Bus, Inbound};
use bus::id::{AppId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::message::audit::{Record, WebOutcome, What};
use bus::message::egress::{
    BODY_CHUNK, FetchControl, FetchReply, FetchRequest, SpokeUser, SpokeUserSet, TunnelReply, TunnelSay,
    WINDOW, WINDOW_BYTES, WebError, WebFailure,
};
use bus::subject::{Op, Service, Subject};
use bytes::Bytes;
use egress_gateway::allowed_host::{Rules, Suffixes};
use egress_gateway::app_rules::{AppRules, Book, Shelf};
use egress_gateway::credential::Credentials;
use egress_gateway::dial::Resolve;
use egress_gateway::fetch::Web;
use egress_gateway::limit::{Limits, STANDARD};
use egress_gateway::serve::Gateway;
use system_tests::nats::Nats;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Act, Authority, Server, answer, names, ok, rules};

pub const WAIT: Duration = Duration::from_secs(10);

const SHORT: Limits = Limits {
    idle: Duration::from_millis(700),
    hello: Duration::from_millis(500),
    tunnel_idle: Duration::from_secs(2),
    ..STANDARD
};

pub fn spoke(app: &str, id: &str) -> SpokeAddr {
    SpokeAddr { app: AppId::parse(app).unwrap(), id: SpokeId::parse(id).unwrap() }
}

/// A broker with the gateway on it.
pub struct Stage {
    pub nats: Nats,
    pub tap: Inbound,
}

impl Stage {
    pub async fn new(rules: Rules, resolve: Resolve, tls: rustls::ClientConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(folder.path(), None).unwrap();
        Self::with(
            AppRules { rules, credentials: Default::default() },
            Web::new(resolve, tls, SHORT),
            credentials,
        )
        .await
    }

    pub async fn with(of_mail: AppRules, web: Web, credentials: Credentials) -> Self {
        let nats = Nats::start();
        let mut book = Book::empty(&Suffixes::none());
        book.insert(AppId::parse("mail").unwrap(), of_mail);
        let tap = nats.bus(&Role::Tap).await.subscribe("secgpt.>").await.unwrap();
        let bus = nats.bus(&Role::EgressGateway).await;
        let (gateway, ears) =
            Gateway::start(bus.clone(), Shelf::holding(book), web, credentials).await.unwrap();
        // The broker has the subscriptions once it answers what was sent after them.
        bus.nats().flush().await.unwrap();
        settled(&nats, &bus).await;
        tokio::spawn(gateway.serve(ears));
        Self { nats, tap }
    }

    pub async fn spoke(&self, app: &str, id: &str) -> Spoke {
        let spoke = spoke(app, id);
        Spoke { bus: self.nats.bus(&Role::Spoke(spoke.clone())).await, spoke }
    }

    /// The next records of the audit about the web.
    pub async fn records(&mut self, count: usize) -> Vec<bus::message::audit::Web> {
        let mut records = Vec::new();
        while records.len() < count {
            let heard = tokio::time::timeout(WAIT, self.tap.next()).await.expect("a record in time").unwrap();
            if matches!(heard.subject, Subject::Audit { op: Op::DECISION, .. })
                && let What::Web(web) = heard.body::<Record>().unwrap().what
            {
                records.push(*web);
            }
        }
        records
    }
}

/// A subscription is in force when a message sent after it on the same connection is heard by another.
async fn settled(nats: &Nats, gateway: &Bus) {
    let mut tap = nats.bus(&Role::Tap).await.subscribe("secgpt.audit.>").await.unwrap();
    let note =
        Record { work: None, user: None, what: What::Started { who: "test".into(), detail: String::new() } };
    loop {
        gateway.audit(Op::LIFECYCLE, note.clone()).await;
        if tokio::time::timeout(Duration::from_millis(100), tap.next()).await.is_ok() {
            return;
        }
    }
}

/// What a spoke's program would do.
pub struct Spoke {
    pub bus: Bus,
    pub spoke: SpokeAddr,
}

pub fn request(method: &str, url: &str) -> FetchRequest {
    FetchRequest {
        id: WorkId::fresh(),
        task: Some(WorkId::fresh()),
        method: method.into(),
        url: url.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        limit_ms: 10_000,
    }
}

pub struct Fetched {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Spoke {
    fn subject(&self, op: Op) -> Subject {
        Subject::SpokeOut { spoke: self.spoke.clone(), service: Service::Egress, op }
    }

    pub async fn ask(&self, request: &FetchRequest) -> Answers {
        self.bus.request_many(&self.subject(Op::FETCH), request, request.task.as_ref()).await.unwrap()
    }

    pub async fn control(&self, control: FetchControl) {
        self.bus.publish(&self.subject(Op::CHUNK), &control, None).await.unwrap();
    }

    pub async fn fetch(&self, request: FetchRequest) -> Result<Fetched, WebFailure> {
        let mut answers = self.ask(&request).await;
        let mut fetched = None;
        loop {
            match answers.next::<FetchReply>(WAIT).await.unwrap() {
                FetchReply::Head { status, headers, .. } => {
                    assert!(fetched.is_none());
                    fetched = Some((Fetched { status, headers, body: Vec::new() }, 0));
                }
                FetchReply::Chunk { seq, bytes } => {
                    let (fetched, next) = fetched.as_mut().expect("the head comes first");
                    assert_eq!(seq, *next);
                    assert!(!bytes.is_empty() && bytes.len() <= BODY_CHUNK);
                    *next += 1;
                    fetched.body.extend_from_slice(&bytes);
                    self.control(FetchControl::Taken { id: request.id.clone(), chunks: seq + 1 }).await;
                }
                FetchReply::End { bytes } => {
                    let (fetched, _) = fetched.unwrap();
                    assert_eq!(fetched.body.len() as u64, bytes);
                    return Ok(fetched);
                }
                FetchReply::Failed(failure) => return Err(failure),
            }
        }
    }

    async fn open(&self, id: &WorkId, host: &str, port: u16) -> Answers {
        let open = TunnelSay::Open { id: id.clone(), task: None, host: host.into(), port };
        self.bus.request_many(&self.subject(Op::TUNNEL), &open, None).await.unwrap()
    }

    async fn say(&self, said: TunnelSay) {
        self.bus.publish(&self.subject(Op::TUNNEL), &said, None).await.unwrap();
    }
}

fn no_names() -> Resolve {
    names(&[])
}

fn trust() -> rustls::ClientConfig {
    egress_gateway::fetch::trust(None).unwrap()
}

#[tokio::test]
async fn a_fetch_is_answered_and_recorded_without_path_and_body() {
    let server = Server::plain(|seen| {
        answer(
            "201 Created",
            &[("X-A", "b"), ("Set-Cookie", "session=1")],
            &format!("{} {}", seen.line, String::from_utf8_lossy(&seen.body)),
        )
    })
    .await;
    let mut stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    let mut asked = request("POST", &format!("http://{}/path?secret=1", server.address));
    asked.body = Bytes::from_static(b"the body");
    let fetched = spoke.fetch(asked).await.unwrap();
    assert_eq!(fetched.status, 201);
    assert_eq!(fetched.body, b"POST /path?secret=1 HTTP/1.1 the body");
    assert!(fetched.headers.contains(&("x-a".into(), "b".into())));
    assert!(!fetched.headers.iter().any(|(name, _)| name == "set-cookie"));
    let records = stage.records(2).await;
    assert!(
        matches!(&records[0].outcome, WebOutcome::Allowed { by } if *by == format!("local: {}", server.address))
    );
    assert_eq!(records[1].outcome, WebOutcome::Answered { status: 201, sent: 8, received: 37 });
    for record in &records {
        assert_eq!(
            (record.method.as_str(), record.host.as_str(), record.port),
            ("POST", "127.0.0.1", server.port())
        );
        assert_eq!(record.spoke, spoke.spoke);
        assert!(!format!("{record:?}").contains("secret"));
    }
}

#[tokio::test]
async fn each_app_has_its_own_rules_by_the_subject_it_speaks_on() {
    let server = Server::plain(|_| ok("hello")).await;
    let mut stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let url = format!("http://{}/", server.address);
    let (mail, drive) = (stage.spoke("mail", "a1").await, stage.spoke("drive", "b1").await);
    assert_eq!(mail.fetch(request("GET", &url)).await.unwrap().body, b"hello");
    assert_eq!(drive.fetch(request("GET", &url)).await.err().unwrap().code, WebError::Address);
    assert_eq!(server.count(), 1);
    let records = stage.records(3).await;
    assert!(
        matches!(&records[2].outcome, WebOutcome::Failed { code: WebError::Address, .. }),
        "{:?}",
        records[2]
    );
    assert_eq!(records[2].spoke.app.as_str(), "drive");
}

#[tokio::test]
async fn what_is_no_request_is_refused_by_name() {
    let server = Server::plain(|_| ok("hello")).await;
    let stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    let url = format!("http://{}/", server.address);
    let header =
        |name: &str| FetchRequest { headers: vec![(name.into(), "x".into())], ..request("GET", &url) };
    let refused = [
        request("CONNECT", &url),
        request("TRACE", &url),
        request("get", &url),
        request("GET", "file:///etc/passwd"),
        request("GET", &format!("http://user@{}/", server.address)),
        header("Host"),
        header("Cookie"),
        header("Proxy-Authorization"),
        FetchRequest { body: Bytes::from_static(b"x"), ..request("GET", &url) },
    ];
    for request in refused {
        let shown = format!("{request:?}");
        assert_eq!(spoke.fetch(request).await.err().unwrap().code, WebError::Request, "{shown}");
    }
    assert_eq!(server.count(), 0);
    assert!(spoke.fetch(header("Accept")).await.is_ok(), "the control");
}

#[tokio::test]
async fn a_large_body_flows_at_the_pace_of_the_spoke() {
    const SIZE: usize = 8 << 20;
    let server = Server::plain(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        vec![Act::Send(head.into_bytes()), Act::Send(vec![b'x'; SIZE])]
    })
    .await;
    let stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    let url = format!("http://{}/", server.address);
    assert_eq!(spoke.fetch(request("GET", &url)).await.unwrap().body.len(), SIZE);
    // One that takes nothing gets a window's worth, and then the word that it took too long.
    let lazy = request("GET", &url);
    let mut answers = spoke.ask(&lazy).await;
    let (mut chunks, mut size) = (0, 0);
    let failure = loop {
        match answers.next::<FetchReply>(WAIT).await.unwrap() {
            FetchReply::Chunk { bytes, .. } => {
                chunks += 1;
                size += bytes.len();
            }
            FetchReply::Failed(failure) => break failure,
            FetchReply::Head { .. } => {}
            FetchReply::End { .. } => panic!("all of it came"),
        }
    };
    assert_eq!(failure.code, WebError::Flow);
    assert!(chunks <= WINDOW && size <= WINDOW_BYTES, "{chunks} chunks, {size} bytes");
    // One more of the largest would not have fit.
    assert!(chunks == WINDOW || WINDOW_BYTES - BODY_CHUNK < size, "{chunks} chunks, {size} bytes");
    // One that stops hears that it is stopped, and no more.
    let stopped = request("GET", &url);
    let mut answers = spoke.ask(&stopped).await;
    spoke.control(FetchControl::Stop { id: stopped.id.clone() }).await;
    loop {
        match answers.next::<FetchReply>(WAIT).await.unwrap() {
            FetchReply::Failed(failure) => break assert_eq!(failure.code, WebError::Stopped),
            FetchReply::End { .. } => panic!("all of it came"),
            FetchReply::Head { .. } | FetchReply::Chunk { .. } => {}
        }
    }
}

#[tokio::test]
async fn one_spoke_cannot_stop_or_speed_anothers_fetch() {
    let server = Server::plain(|_| {
        vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec()),
            Act::Pause(Duration::from_millis(300)),
            Act::Send(b"world".to_vec()),
        ]
    })
    .await;
    let stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let (own, other) = (stage.spoke("mail", "a1").await, stage.spoke("mail", "a2").await);
    let asked = request("GET", &format!("http://{}/", server.address));
    let id = asked.id.clone();
    let (fetched, ()) = tokio::join!(own.fetch(asked), async {
        for _ in 0..5 {
            other.control(FetchControl::Stop { id: id.clone() }).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    assert_eq!(fetched.unwrap().body, b"helloworld");
}

#[tokio::test]
async fn a_spoke_has_so_many_fetches_at_once_and_its_neighbour_has_its_own() {
    let server = Server::plain(|seen| match seen.path() {
        "/slow" => vec![Act::Pause(Duration::from_secs(3))],
        _ => ok("hello"),
    })
    .await;
    let stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let (greedy, neighbour) = (stage.spoke("mail", "a1").await, stage.spoke("mail", "a2").await);
    let slow = format!("http://{}/slow", server.address);
    let mut held = Vec::new();
    for _ in 0..egress_gateway::limit::FETCHES_OF_A_SPOKE {
        held.push(greedy.ask(&request("GET", &slow)).await);
    }
    assert_eq!(greedy.fetch(request("GET", &slow)).await.err().unwrap().code, WebError::Busy);
    let fast = format!("http://{}/", server.address);
    assert_eq!(neighbour.fetch(request("GET", &fast)).await.unwrap().body, b"hello");
}

#[tokio::test]
async fn malformed_words_are_dropped_and_the_gateway_goes_on() {
    let server = Server::plain(|_| ok("hello")).await;
    let stage = Stage::new(rules(&[], &[server.address]), no_names(), trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    for op in [Op::FETCH, Op::CHUNK, Op::TUNNEL, Op::RULES] {
        for body in [&b""[..], b"\xff\xff", b"\xdf\xff\xff\xff\xff", b"{}"] {
            let nats = spoke.bus.nats();
            nats.publish(spoke.subject(op).to_string(), Bytes::copy_from_slice(body)).await.unwrap();
        }
    }
    // A reply subject that is not its own: the gateway must not be made to speak there.
    let packed = bus::envelope::pack(&request("GET", &format!("http://{}/", server.address))).unwrap();
    let foreign = "secgpt.spoke.drive.b1.in.task";
    spoke.bus.nats().publish_with_reply(spoke.subject(Op::FETCH).to_string(), foreign, packed).await.unwrap();
    let url = format!("http://{}/", server.address);
    assert_eq!(spoke.fetch(request("GET", &url)).await.unwrap().body, b"hello");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn the_hub_says_for_whom_a_spoke_works() {
    let stage = Stage::new(rules(&[], &[]), no_names(), trust()).await;
    let hub = stage.nats.bus(&Role::Hub).await;
    let subject = Subject::HubOut { service: Service::Egress, op: Op::RULES };
    let said = SpokeUser { spoke: spoke("mail", "a1"), user: Some(UserId::parse("ann").unwrap()) };
    let _: SpokeUserSet = hub.request(&subject, &said, None, WAIT).await.unwrap();
}

// ---- tunnels ----

/// A TLS client whose bytes cross the bus.
async fn https_through(
    spoke: &Spoke,
    authority: &Authority,
    host: &str,
    port: u16,
    name_in_hello: &str,
) -> Result<String, WebFailure> {
    let id = WorkId::fresh();
    let mut answers = spoke.open(&id, host, port).await;
    match answers.next::<TunnelReply>(WAIT).await.unwrap() {
        TunnelReply::Opened => {}
        TunnelReply::Closed(Some(failure)) => return Err(failure),
        other => panic!("{other:?}"),
    }
    let (client, bridge) = tokio::io::duplex(64 << 10);
    let (mut from, mut to) = tokio::io::split(bridge);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(authority.trusted()));
    let name = rustls::pki_types::ServerName::try_from(name_in_hello.to_owned()).unwrap();
    let talk = async {
        let mut stream = connector.connect(name, client).await.ok()?;
        stream.write_all(b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut text = String::new();
        // A server that closes without a TLS goodbye is told apart by the content alone.
        let _ = stream.read_to_string(&mut text).await;
        Some(text)
    };
    let up = async {
        let (mut seq, mut buffer) = (0, vec![0; 16 << 10]);
        while let Ok(count) = from.read(&mut buffer).await
            && 0 < count
        {
            let bytes = Bytes::copy_from_slice(&buffer[..count]);
            spoke.say(TunnelSay::Data { id: id.clone(), seq, bytes }).await;
            seq += 1;
        }
        spoke.say(TunnelSay::Finish { id: id.clone() }).await;
        std::future::pending::<()>().await;
    };
    let down = async {
        loop {
            match answers.next::<TunnelReply>(WAIT).await.unwrap() {
                TunnelReply::Data { seq, bytes } => {
                    to.write_all(&bytes).await.unwrap();
                    spoke.say(TunnelSay::Taken { id: id.clone(), chunks: seq + 1 }).await;
                }
                TunnelReply::Finished => _ = to.shutdown().await,
                TunnelReply::Closed(why) => {
                    let _ = to.shutdown().await;
                    break why;
                }
                TunnelReply::Taken { .. } => {}
                TunnelReply::Opened => panic!("opened twice"),
            }
        }
    };
    tokio::select! {
        (text, why) = async { tokio::join!(talk, down) } => match why {
            Some(failure) => Err(failure),
            None => Ok(text.unwrap_or_default()),
        },
        () = up => unreachable!(),
    }
}

#[tokio::test]
async fn a_tunnel_carries_tls_for_its_own_host_only() {
    let authority = Authority::new();
    let server = Server::tls(&authority, &["www.example.com", "other.example.org"], |seen| {
        let mut acts = ok(&seen.line);
        acts.push(Act::Close);
        acts
    })
    .await;
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let known =
        names(&[("www.example.com", here), ("moved.example.org", Ipv4Addr::new(127, 0, 0, 2).into())]);
    let port = server.port();
    let hosts = [format!("www.example.com:{port}"), format!("moved.example.org:{port}")];
    let mut stage = Stage::new(rules(&hosts, &[server.address]), known, trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    let through = async |host: &str, name: &str| https_through(&spoke, &authority, host, port, name).await;
    assert!(through("www.example.com", "www.example.com").await.unwrap().ends_with("GET /tunnel HTTP/1.1"));
    let records = stage.records(2).await;
    assert_eq!(records[0].method, "CONNECT");
    assert!(
        matches!(records[1].outcome, WebOutcome::Answered { status: 200, sent, received } if 0 < sent && 0 < received)
    );
    let before = server.count();
    let fronted = through("www.example.com", "other.example.org").await.unwrap_err();
    assert_eq!(fronted.code, WebError::Hello);
    assert!(fronted.detail.contains("other.example.org"), "{fronted}");
    assert_eq!(through("other.example.org", "other.example.org").await.unwrap_err().code, WebError::Rules);
    assert_eq!(through("moved.example.org", "moved.example.org").await.unwrap_err().code, WebError::Address);
    assert_eq!(through("localhost", "localhost").await.unwrap_err().code, WebError::Rules);
    assert_eq!(server.count(), before);
}

#[tokio::test]
async fn a_tunnels_window_holds_what_the_server_sends_and_not_crumbs_of_it() {
    const SIZE: usize = 2 << 20;
    let server = Server::plain(|_| ok(&"x".repeat(SIZE))).await;
    let stage = Stage::new(rules(&[], &[server.address]), names(&[]), trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    let id = WorkId::fresh();
    let mut answers = spoke.open(&id, "127.0.0.1", server.port()).await;
    assert_eq!(answers.next::<TunnelReply>(WAIT).await.unwrap(), TunnelReply::Opened);
    let bytes = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    spoke.say(TunnelSay::Data { id, seq: 0, bytes }).await;
    let mut sizes = Vec::new();
    // Nothing is said to be taken, so that what comes until it is silent is the window.
    while let Ok(reply) = answers.next(Duration::from_millis(500)).await {
        if let TunnelReply::Data { bytes, .. } = reply {
            sizes.push(bytes.len());
        }
    }
    let heard: usize = sizes.iter().sum();
    assert!(
        (WINDOW_BYTES / 4..=WINDOW_BYTES).contains(&heard) && sizes.len() <= WINDOW as usize,
        "{sizes:?}"
    );
}

#[tokio::test]
async fn a_tunnel_takes_nothing_but_tls_and_not_for_ever() {
    let server = Server::plain(|_| ok("in the clear")).await;
    let known = names(&[("www.example.com", IpAddr::V4(Ipv4Addr::LOCALHOST))]);
    let port = server.port();
    let stage =
        Stage::new(rules(&[format!("www.example.com:{port}")], &[server.address]), known, trust()).await;
    let spoke = stage.spoke("mail", "a1").await;
    let said = async |host: &str, pieces: &[(u32, &[u8])]| {
        let id = WorkId::fresh();
        let mut answers = spoke.open(&id, host, port).await;
        assert_eq!(answers.next::<TunnelReply>(WAIT).await.unwrap(), TunnelReply::Opened);
        for (seq, bytes) in pieces {
            spoke
                .say(TunnelSay::Data { id: id.clone(), seq: *seq, bytes: Bytes::copy_from_slice(bytes) })
                .await;
        }
        let mut heard = Vec::new();
        loop {
            match answers.next::<TunnelReply>(WAIT).await.unwrap() {
                TunnelReply::Data { bytes, .. } => {
                    heard.extend_from_slice(&bytes);
                    spoke.say(TunnelSay::Close { id: id.clone() }).await;
                }
                TunnelReply::Closed(why) => return (heard, why.map(|failure| failure.code)),
                TunnelReply::Opened | TunnelReply::Taken { .. } | TunnelReply::Finished => {}
            }
        }
    };
    let http = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    assert_eq!(said("www.example.com", &[(0, http)]).await, (Vec::new(), Some(WebError::Hello)));
    assert_eq!(
        said("www.example.com", &[(0, b"\x16\x03\x01")]).await,
        (Vec::new(), Some(WebError::Hello)),
        "slow"
    );
    assert_eq!(said("www.example.com", &[(1, http)]).await, (Vec::new(), Some(WebError::Flow)), "a gap");
    let flood: Vec<(u32, &[u8])> = (0..WINDOW + 8).map(|seq| (seq, &b"\x16"[..])).collect();
    let (_, why) = said("www.example.com", &flood).await;
    assert!(matches!(why, Some(WebError::Flow | WebError::Hello)), "{why:?}");
    assert_eq!(server.count(), 0);
    // To an address that the manifest names, anything goes.
    let (heard, why) = said("127.0.0.1", &[(0, http)]).await;
    assert!(String::from_utf8(heard).unwrap().ends_with("in the clear"));
    assert_eq!(why, None);
}
