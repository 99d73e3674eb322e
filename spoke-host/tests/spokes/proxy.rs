//! An app's way out: from its program through the proxy on its loopback, its spoke, the bus and the real gateway to a real
//! server over TLS. I-12, I-16.
//!
//! The names of the servers lead to this machine, by a name service of the test's own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::id::{AppId, SpokeAddr};
use bus::message::profile::Kind;
use bus::message::task::Failure;
use egress_gateway::allowed_host::Suffixes;
use egress_gateway::app_rules::{AppRules, Book, Shelf};
use egress_gateway::credential::Credentials;
use egress_gateway::fetch::Web;
use egress_gateway::limit::STANDARD;
use egress_gateway::serve::Gateway;
use serde_json::{Value, json};

use crate::hub::{Hub, profile};
use crate::server::{Act, Authority, Server, answer, names, ok, rules};

/// An MCP server in Python that does what it is told, with what every Python has.
const PROGRAM: &str = include_str!("surfer.py");

/// The largest body here: larger than all that may be under way at once.
const LARGE: usize = 3 << 20;

struct Stage {
    hub: Hub,
    authority: Authority,
    tls: Server,
    plain: Server,
}

impl Stage {
    /// A host, the gateway, and a server that speaks TLS as `api.example.com`; `mail` may go there.
    async fn new() -> Self {
        let authority = Authority::new();
        let tls =
            Server::tls(&authority, &["api.example.com", "other.example.net"], |seen| match seen.path() {
                "/large" => answer("200 OK", &[], &"x".repeat(LARGE)),
                "/endless" => vec![Act::Endless(b"x".to_vec(), Duration::from_millis(5))],
                _ => ok(&format!("{} {}", seen.line, seen.body.len())),
            })
            .await;
        let plain = Server::plain(|seen| match seen.path() {
            "/cut" => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_vec();
                vec![Act::Send(head), Act::Close]
            }
            _ => ok(&format!("plain {} {} {:?}", seen.line, seen.body.len(), seen.header("host"))),
        })
        .await;
        let hub = Hub::start().await;
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let known = ["api.example.com", "other.example.net", "plain.example.com"].map(|name| (name, here));
        let hosts = [
            format!("api.example.com:{}", tls.port()),
            format!("plain.example.com:{}", plain.port()),
            format!("gone.example.com:{}", tls.port()),
        ];
        let rules = rules(&hosts, &[tls.address, plain.address]);
        let mut book = Book::empty(&Suffixes::none());
        book.insert(AppId::parse("surfer").unwrap(), AppRules { rules, credentials: BTreeMap::new() });
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(folder.path(), None).unwrap();
        let web = Web::new(names(&known), authority.trusted(), STANDARD);
        let bus = hub.nats.bus(&Role::EgressGateway).await;
        let (gateway, ears) = Gateway::start(bus, Shelf::holding(book), web, credentials).await.unwrap();
        tokio::spawn(gateway.serve(ears));
        Self { hub, authority, tls, plain }
    }

    async fn app(&mut self, network: bool) -> SpokeAddr {
        let (_, _) = self.hub.stranger("surfer", "", &["go"]);
        let dir = self.hub.nats.scratch().join("strangers/surfer");
        std::fs::write(dir.join("server.py"), PROGRAM).unwrap();
        std::fs::write(dir.join("ca.pem"), self.authority.pem()).unwrap();
        let command = ["python3", "server.py"].map(str::to_owned).to_vec();
        let mut profile = profile("surfer", Kind::Stdio { command, env: BTreeMap::new() }, &["go"]);
        profile.network = network;
        self.hub.spawn(profile, manifest::hash_of(&dir).unwrap()).await.0
    }

    async fn go(&mut self, app: &SpokeAddr, args: Value) -> Result<Value, Failure> {
        self.hub.call(app, "go", args).await
    }

    /// What the program got, of which it says `[true, value]` or `[false, words]`.
    async fn got(&mut self, app: &SpokeAddr, args: Value) -> Result<Value, String> {
        let said = self.go(app, args).await.unwrap();
        match (said[0].as_bool().unwrap(), &said[1]) {
            (true, value) => Ok(value.clone()),
            (false, words) => Err(words.as_str().unwrap().to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_reaches_what_its_manifest_names_through_its_proxy_and_nothing_else() {
    let mut stage = Stage::new().await;
    let app = stage.app(true).await;
    let port = stage.tls.port();
    let url = |host: &str, path: &str| json!({"act": "get", "url": format!("https://{host}:{port}{path}")});

    let named = stage.got(&app, url("api.example.com", "/a?b=c")).await.unwrap();
    assert_eq!(named, json!([200, 21, "GET /a?b=c HTTP/1.1 0"]));
    let large = stage.got(&app, url("api.example.com", "/large")).await.unwrap();
    assert_eq!(large[1], LARGE, "a body beyond the window comes whole");
    let posted = json!({"act": "post", "url": format!("https://api.example.com:{port}/p"), "size": LARGE});
    assert_eq!(stage.got(&app, posted).await.unwrap()[2], format!("POST /p HTTP/1.1 {LARGE}"));

    // Refused by the rules: in words that name the line, in the one place that programs show.
    let refused = stage.got(&app, url("other.example.net", "/")).await.unwrap_err();
    let line = format!("hosts = [\"other.example.net:{port}\"]");
    assert!(refused.contains("403") && refused.contains(&line), "{refused}");
    // Named, but there is no such machine.
    let failed = stage.got(&app, url("gone.example.com", "/")).await.unwrap_err();
    assert!(failed.contains("502") && failed.contains("has no address"), "{failed}");
    // Another name in the TLS hello than the one that was asked for.
    let other = json!({"act": "hello", "host": "api.example.com", "port": port, "name": "other.example.net"});
    let cut = stage.got(&app, other).await.unwrap_err();
    assert!(cut.contains("EOF") || cut.contains("reset"), "{cut}");
    let same = json!({"act": "hello", "host": "api.example.com", "port": port, "name": "api.example.com"});
    assert_eq!(stage.got(&app, same).await.unwrap(), "HTTP/1.1 200 OK", "the control");
    // What is no TLS at all.
    let raw = json!({"act": "raw", "host": "api.example.com", "port": port});
    assert_eq!(stage.got(&app, raw).await.unwrap(), "", "nothing comes back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_passes_its_proxy_by_reaches_nothing() {
    let mut stage = Stage::new().await;
    let app = stage.app(true).await;
    let SocketAddr::V4(address) = stage.tls.address else { panic!("IPv4") };
    // The control: from outside of the jail the server is there.
    TcpStream::connect(address).unwrap();
    let connect = json!({"act": "connect", "host": address.ip().to_string(), "port": address.port()});
    let refused = stage.got(&app, connect).await.unwrap_err();
    assert!(refused.contains("refused"), "on its loopback there is no such server: {refused}");
    for host in ["192.0.2.1", "8.8.8.8", "10.0.0.1", "169.254.169.254"] {
        let direct = stage.got(&app, json!({"act": "connect", "host": host, "port": 443})).await.unwrap_err();
        assert!(direct.contains("unreachable"), "{host}: {direct}");
    }
    let name = stage.got(&app, json!({"act": "lookup", "host": "api.example.com"})).await.unwrap_err();
    assert!(name.contains("Name or service not known") || name.contains("name resolution"), "{name}");
    let datagram = json!({"act": "datagram", "host": "8.8.8.8", "port": 53});
    assert!(stage.got(&app, datagram).await.unwrap_err().contains("unreachable"));
    // And by way of the proxy only where the rules say so.
    for target in
        ["127.0.0.1:22", "localhost:443", "169.254.169.254:80", "[::1]:4222", "a b:443", ":443", "x"]
    {
        let said = stage
            .got(&app, json!({"act": "ask", "text": format!("CONNECT {target} HTTP/1.1\r\n\r\n")}))
            .await;
        let said = said.unwrap();
        let status = said.as_str().unwrap().split(' ').nth(1).unwrap().to_owned();
        assert!(["400", "403"].contains(&status.as_str()), "{target}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_the_clear_is_fetched_and_not_tunnelled() {
    let mut stage = Stage::new().await;
    let app = stage.app(true).await;
    let port = stage.plain.port();
    let get = |path: &str| json!({"act": "get", "url": format!("http://plain.example.com:{port}{path}")});
    let got = stage.got(&app, get("/a")).await.unwrap();
    let host = format!("Some(\"plain.example.com:{port}\")");
    assert_eq!(got[2], format!("plain GET /a HTTP/1.1 0 {host}"));
    let post = json!({"act": "post", "url": format!("http://plain.example.com:{port}/p"), "size": 100_000});
    assert_eq!(stage.got(&app, post).await.unwrap()[2], format!("plain POST /p HTTP/1.1 100000 {host}"));
    let cut = stage.got(&app, get("/cut")).await.unwrap_err();
    assert!(cut.contains("IncompleteRead") || cut.contains("502"), "it is not taken for whole: {cut}");
    let refused =
        stage.got(&app, json!({"act": "get", "url": "http://other.example.net/"})).await.unwrap_err();
    assert!(refused.contains("403") && refused.contains("hosts = [\"other.example.net\"]"), "{refused}");
}

#[tokio::test]
async fn an_app_without_a_way_out_has_no_proxy() {
    let mut stage = Stage::new().await;
    let app = stage.app(false).await;
    assert_eq!(stage.got(&app, json!({"act": "variables"})).await.unwrap(), json!([]));
    let connect = json!({"act": "connect", "host": "127.0.0.1", "port": 3128});
    assert!(stage.got(&app, connect.clone()).await.unwrap_err().contains("refused"));
    // The control: the same with one.
    let mut stage = Stage::new().await;
    let app = stage.app(true).await;
    let names = stage.got(&app, json!({"act": "variables"})).await.unwrap();
    assert!(names.as_array().unwrap().contains(&json!("HTTPS_PROXY")), "{names}");
    stage.got(&app, connect).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_opens_many_connections_slowly_harms_only_itself() {
    let mut stage = Stage::new().await;
    let app = stage.app(true).await;
    let url = format!("https://api.example.com:{}/", stage.tls.port());
    // Thirty-two say half a head and wait; one more is told so at once.
    let begun = Instant::now();
    let told = stage.got(&app, json!({"act": "hold", "count": 32})).await.unwrap();
    assert_eq!(told, json!("HTTP/1.1 503 32 connections of this app are open already"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Each of them is ended with a reason, and when they are closed there is room again.
    let ends = stage.got(&app, json!({"act": "held"})).await.unwrap();
    assert_eq!(ends, json!({"HTTP/1.1 408 no complete request came within 10s": 32}));
    stage.got(&app, json!({"act": "get", "url": url})).await.unwrap();
    let long =
        json!({"act": "ask", "text": format!("GET http://a.example/ HTTP/1.1\r\nA: {}", "a".repeat(40_000))});
    assert!(stage.got(&app, long).await.unwrap().as_str().unwrap().contains(" 431 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_end_with_their_app() {
    let mut stage = Stage::new().await;
    let app = stage.app(true).await;
    let open = json!({"act": "hello", "host": "api.example.com", "port": stage.tls.port(), "name": "api.example.com",
                      "path": "/endless"});
    assert_eq!(stage.got(&app, open).await.unwrap(), "xxxxx");
    let gone = || stage.tls.gone.lock().unwrap().to_owned();
    assert_eq!(gone(), 0, "it stays open: the program keeps it");
    let _ = stage.hub.call(&app, "go", json!({"act": "exit"})).await;
    stage.hub.exited(&app).await;
    let begun = Instant::now();
    while *stage.tls.gone.lock().unwrap() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "the server still has the connection");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
