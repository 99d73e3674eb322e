//! What may be reached, at which address, and within which limits. I-12, I-13, I-16.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bus::id::AppId;
use bus::message::egress::{WebError, WebFailure};
use bytes::Bytes;
use egress_gateway::allowed_host::Rules;
use egress_gateway::dial::Resolve;
use egress_gateway::fetch::{self, Answer, Ask, Attached, Hop, Web};
use egress_gateway::limit::{Limits, STANDARD};
use egress_gateway::url_rule;

use crate::server::{Act, Authority, Server, answer, names, ok, redirect, rules};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Short, so that no test waits for minutes.
const SHORT: Limits = Limits {
    total: Duration::from_secs(10),
    head: Duration::from_millis(800),
    connect: Duration::from_millis(800),
    idle: Duration::from_millis(400),
    body_bytes: 1 << 20,
    ..STANDARD
};

fn ask(url: &str) -> Ask {
    Ask {
        app: AppId::parse("mail").unwrap(),
        method: fetch::method("GET").unwrap(),
        url: url_rule::read(url).unwrap(),
        headers: Default::default(),
        body: Bytes::new(),
        limit: Duration::from_secs(10),
    }
}

async fn get(web: &Web, rules: &Rules, ask: Ask) -> Result<Answer, WebFailure> {
    web.fetch(rules, ask, &|_, _| Box::pin(async { Ok(None) })).await
}

async fn text(web: &Web, rules: &Rules, url: &str) -> Result<String, WebError> {
    let answer = get(web, rules, ask(url)).await.map_err(|failure| failure.code)?;
    let body = answer.body.whole(8 << 20).await.map_err(|failure| failure.code)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn plain(resolve: Resolve) -> Web {
    Web::new(resolve, fetch::trust(None).unwrap(), SHORT)
}

#[tokio::test]
async fn a_named_host_answers_over_tls_and_its_certificate_must_be_good_for_it() {
    let authority = Authority::new();
    let good = Server::tls(&authority, &["api.example.org"], |_| ok("hello")).await;
    let wrong = Server::tls(&authority, &["other.example.org"], |_| ok("hello")).await;
    let unknown = Server::tls(&Authority::new(), &["api.example.org"], |_| ok("hello")).await;
    let all = [&good, &wrong, &unknown];
    let hosts = all.map(|server| format!("api.example.org:{}", server.port()));
    let rules = rules(&hosts, &all.map(|server| server.address));
    let web = Web::new(names(&[("api.example.org", HERE)]), authority.trusted(), SHORT);
    let url = |server: &Server| format!("https://api.example.org:{}/", server.port());
    assert_eq!(text(&web, &rules, &url(&good)).await.unwrap(), "hello");
    assert_eq!(text(&web, &rules, &url(&wrong)).await, Err(WebError::Tls));
    assert_eq!(text(&web, &rules, &url(&unknown)).await, Err(WebError::Tls));
    let without = Web::new(names(&[("api.example.org", HERE)]), fetch::trust(None).unwrap(), SHORT);
    assert_eq!(text(&without, &rules, &url(&good)).await, Err(WebError::Tls));
    assert_eq!((wrong.count(), unknown.count()), (0, 0));
}

#[tokio::test]
async fn a_name_that_moves_to_a_private_address_is_refused() {
    let named = Server::plain(|_| ok("the public one")).await;
    // Behind the other address listens what must not be reached.
    let address = format!("127.0.0.2:{}", named.port());
    let private = Server::at(&address, None, Arc::new(|_| ok("the private one"))).await;
    let looked = Arc::new(AtomicUsize::new(0));
    let resolve: Resolve = {
        let looked = Arc::clone(&looked);
        Arc::new(move |_| {
            let first = looked.fetch_add(1, Ordering::SeqCst) == 0;
            Box::pin(async move { Ok(vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, if first { 1 } else { 2 }))]) })
        })
    };
    let web = plain(resolve);
    let rules = rules(&[format!("www.example.com:{}", named.port())], &[named.address]);
    let url = format!("http://www.example.com:{}/", named.port());
    assert_eq!(text(&web, &rules, &url).await.unwrap(), "the public one");
    assert_eq!(looked.load(Ordering::SeqCst), 1, "one look for one connection");
    assert_eq!(text(&web, &rules, &url).await, Err(WebError::Address));
    assert_eq!(*private.connections.lock().unwrap(), 0);
    // The control: the private one is there, and is reached where the manifest names it.
    let control =
        self::rules(&[format!("www.example.com:{}", named.port())], &[named.address, private.address]);
    assert_eq!(text(&web, &control, &url).await.unwrap(), "the private one");
}

#[tokio::test]
async fn a_name_without_rules_is_not_even_looked_up() {
    let looked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looked);
    let web = plain(Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(vec![HERE]) })
    }));
    let rules = rules(&[], &[]);
    assert_eq!(text(&web, &rules, "https://evil.example.org/").await, Err(WebError::Rules));
    assert_eq!(looked.load(Ordering::SeqCst), 0);
    // The control: a named one is looked up, and refused for its address.
    assert_eq!(text(&web, &rules, "https://www.example.com/").await, Err(WebError::Address));
    assert_eq!(looked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_redirect_is_checked_anew() {
    let forbidden = Server::plain(|_| ok("the forbidden one")).await;
    let port = forbidden.port();
    let allowed = Server::plain(move |seen| match seen.path() {
        "/same" => redirect(302, "/end"),
        "/end" => ok("the end"),
        "/loopback" => redirect(302, &format!("http://127.0.0.1:{port}/")),
        "/octal" => redirect(302, &format!("http://0177.0.0.1:{port}/")),
        "/host" => redirect(307, "https://evil.example.org/"),
        "/file" => redirect(301, "file:///etc/passwd"),
        "/userinfo" => redirect(301, "https://www.example.com@evil.example.org/"),
        "/backslash" => redirect(301, "https:\\\\evil.example.org\\"),
        "/loop" => redirect(302, "/loop"),
        "/without" => answer("302 Found", &[], "no location"),
        "/empty" => redirect(302, ""),
        _ => answer("404 Not Found", &[], ""),
    })
    .await;
    let rules = rules(&[], &[allowed.address]);
    let web = plain(names(&[]));
    let url = |path: &str| format!("http://{}{path}", allowed.address);
    assert_eq!(text(&web, &rules, &url("/same")).await.unwrap(), "the end");
    assert_eq!(text(&web, &rules, &url("/without")).await.unwrap(), "no location");
    for path in ["/loopback", "/octal", "/host", "/file", "/userinfo", "/backslash", "/empty"] {
        let before = allowed.count();
        assert_eq!(text(&web, &rules, &url(path)).await, Err(WebError::Redirect), "{path}");
        let asked = allowed.count() - before;
        assert!(asked == 1 || path == "/empty", "{path}: {asked}");
    }
    let before = allowed.count();
    assert_eq!(text(&web, &rules, &url("/loop")).await, Err(WebError::Redirect));
    assert_eq!(allowed.count() - before, 6);
    assert_eq!(forbidden.count(), 0);
    let control = self::rules(&[], &[allowed.address, forbidden.address]);
    assert_eq!(text(&web, &control, &url("/loopback")).await.unwrap(), "the forbidden one");
}

#[tokio::test]
async fn what_is_secret_does_not_follow_a_redirect_to_another_host() {
    let other = Server::plain(|_| ok("the other")).await;
    let address = other.address;
    let own = Server::plain(move |seen| match seen.path() {
        "/away" => redirect(307, &format!("http://{address}/")),
        "/within" => redirect(307, "/end"),
        _ => ok("the end"),
    })
    .await;
    let rules = rules(&[], &[own.address, other.address]);
    let web = plain(names(&[]));
    let fetch = async |path: &str| {
        let mut ask = ask(&format!("http://{}{path}", own.address));
        ask.method = fetch::method("POST").unwrap();
        ask.body = Bytes::from_static(b"body");
        ask.headers = egress_gateway::header::of_request(&[
            ("X-Api-Key".into(), "of-the-app".into()),
            ("Accept".into(), "text/plain".into()),
        ])
        .unwrap();
        let attached = Attached {
            name: "key".into(),
            header: "authorization".parse().unwrap(),
            value: bus::secret::Secret::new("Bearer planted".into()),
            words: Vec::new(),
        };
        let gate = |_, hop| {
            let attached = attached.clone();
            Box::pin(async move { Ok((hop == Hop::Own).then_some(attached)) })
                as futures_util::future::BoxFuture<_>
        };
        web.fetch(&rules, ask, &gate).await.unwrap().body.whole(100).await.unwrap()
    };
    fetch("/within").await;
    let control = own.last();
    assert_eq!(control.header("authorization"), Some("Bearer planted"));
    assert_eq!(control.header("x-api-key"), Some("of-the-app"));
    assert_eq!((control.line.as_str(), control.body.as_slice()), ("POST /end HTTP/1.1", b"body".as_slice()));
    assert_eq!(fetch("/away").await, b"the other");
    let seen = other.last();
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-api-key"), None);
    assert_eq!(seen.header("accept"), Some("text/plain"));
}

#[tokio::test]
async fn https_is_not_left_for_http() {
    let authority = Authority::new();
    let plain = Server::plain(|_| ok("in the clear")).await;
    let address = plain.address;
    let server =
        Server::tls(&authority, &["127.0.0.1"], move |_| redirect(302, &format!("http://{address}/"))).await;
    let web = Web::new(names(&[]), authority.trusted(), SHORT);
    let rules = rules(&[], &[server.address, plain.address]);
    assert_eq!(text(&web, &rules, &format!("https://{}/", server.address)).await, Err(WebError::Redirect));
    assert_eq!(plain.count(), 0);
    assert_eq!(text(&web, &rules, &format!("http://{address}/")).await.unwrap(), "in the clear");
}

fn zipped(size: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b'x'; size]).unwrap();
    encoder.finish().unwrap()
}

fn gzip(body: Vec<u8>) -> Vec<Act> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![Act::Send(head.into_bytes()), Act::Send(body)]
}

#[tokio::test]
async fn a_body_is_bounded_decompressed_or_not() {
    let bomb = zipped(64 << 20);
    assert!(bomb.len() < 100_000);
    let server = Server::plain(move |seen| match seen.path() {
        "/zip" => gzip(zipped(100_000)),
        "/bomb" => gzip(bomb.clone()),
        "/damaged" => gzip(b"not gzip at all".to_vec()),
        "/cut" => gzip(zipped(100_000)[..50].to_vec()),
        "/endless" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            Act::Endless(vec![b'x'; 64 << 10], Duration::ZERO),
        ],
        "/endless-chunks" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
            Act::Endless(
                b"190\r\n".iter().chain(&[b'x'; 400]).chain(b"\r\n").copied().collect::<Vec<u8>>().repeat(50),
                Duration::ZERO,
            ),
        ],
        _ => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Act::Endless(b"X-A: 1234567890123456789012345678901234567890\r\n".repeat(500), Duration::ZERO),
        ],
    })
    .await;
    let web = plain(names(&[]));
    let rules = rules(&[], &[server.address]);
    let get = async |path: &str| text(&web, &rules, &format!("http://{}{path}", server.address)).await;
    assert_eq!(get("/zip").await.unwrap().len(), 100_000);
    assert_eq!(get("/bomb").await, Err(WebError::TooLarge));
    assert_eq!(get("/damaged").await, Err(WebError::Cut));
    assert_eq!(get("/cut").await, Err(WebError::Cut));
    assert_eq!(get("/endless").await, Err(WebError::TooLarge));
    assert_eq!(get("/endless-chunks").await, Err(WebError::TooLarge));
    assert_eq!(get("/endless-headers").await, Err(WebError::Nonsense));
}

#[tokio::test]
async fn large_headers_are_refused() {
    let server = Server::plain(|seen| match seen.path() {
        "/some" => answer("200 OK", &[("X-A", &"x".repeat(60 << 10))], "hello"),
        _ => answer("200 OK", &[("X-A", &"x".repeat(40 << 10)), ("X-B", &"x".repeat(40 << 10))], "hello"),
    })
    .await;
    let web = plain(names(&[]));
    let rules = rules(&[], &[server.address]);
    assert_eq!(text(&web, &rules, &format!("http://{}/some", server.address)).await.unwrap(), "hello");
    let large = text(&web, &rules, &format!("http://{}/many", server.address)).await;
    assert_eq!(large, Err(WebError::TooLarge));
}

#[tokio::test]
async fn a_slow_server_does_not_hold_a_request_for_ever() {
    let drip = |what: &[u8]| Act::Endless(what.to_vec(), Duration::from_millis(50));
    let server = Server::plain(move |seen| match seen.path() {
        "/silent" => vec![Act::Pause(Duration::from_secs(60))],
        "/head" => vec![Act::Send(b"HTTP/1.1 200 OK\r\nX-A: ".to_vec()), drip(b"a")],
        "/pause" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec()),
            Act::Pause(Duration::from_secs(60)),
        ],
        "/drip" => vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec()), drip(b"x")],
        _ => vec![
            Act::Send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_vec(),
            ),
            Act::Pause(Duration::from_millis(900)),
            Act::Send(b"data: late\n\n".to_vec()),
            Act::Close,
        ],
    })
    .await;
    let web =
        Web::new(names(&[]), fetch::trust(None).unwrap(), Limits { total: Duration::from_secs(2), ..SHORT });
    let rules = rules(&[], &[server.address]);
    for path in ["/silent", "/head", "/pause", "/drip"] {
        let began = Instant::now();
        let got = text(&web, &rules, &format!("http://{}{path}", server.address)).await;
        assert_eq!(got, Err(WebError::Timeout), "{path}");
        assert!(began.elapsed() < Duration::from_secs(5), "{path}: {:?}", began.elapsed());
    }
    let events = text(&web, &rules, &format!("http://{}/events", server.address)).await;
    assert_eq!(events.unwrap(), "data: late\n\n", "a stream of events may be silent for longer");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_http_is_said_to() {
    let server = Server::plain(|seen| match seen.path() {
        "/short" => {
            vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello".to_vec()), Act::Close]
        }
        "/chunk" => {
            vec![
                Act::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel".to_vec()),
                Act::Close,
            ]
        }
        "/close" => vec![Act::Close],
        "/two" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_vec()),
            Act::Close,
        ],
        _ => vec![Act::Send(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Act::Close],
    })
    .await;
    let web = plain(names(&[]));
    let rules = rules(&[], &[server.address]);
    let get = async |path: &str| text(&web, &rules, &format!("http://{}{path}", server.address)).await;
    assert_eq!(get("/short").await, Err(WebError::Cut));
    assert_eq!(get("/chunk").await, Err(WebError::Cut));
    assert_eq!(get("/close").await, Err(WebError::Nonsense));
    assert_eq!(get("/two").await, Err(WebError::Nonsense));
    assert_eq!(get("/ssh").await, Err(WebError::Nonsense));
    drop(server);
    let nobody = "127.0.0.1:1".parse().unwrap();
    let closed = text(&web, &self::rules(&[], &[nobody]), "http://127.0.0.1:1/").await;
    assert_eq!(closed, Err(WebError::Connect));
}

#[tokio::test]
async fn what_a_server_sends_beyond_its_length_is_not_the_next_answer() {
    let smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let server = Server::plain(move |seen| match seen.path() {
        "/long" => {
            let mut all = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec();
            all.extend_from_slice(smuggled);
            vec![Act::Send(all)]
        }
        "/no-body" => {
            let mut all = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_vec();
            all.extend_from_slice(smuggled);
            vec![Act::Send(all)]
        }
        _ => ok("the true one"),
    })
    .await;
    let web = plain(names(&[]));
    let rules = rules(&[], &[server.address]);
    let get = async |path: &str| text(&web, &rules, &format!("http://{}{path}", server.address)).await;
    for (path, expected) in [("/long", "hello"), ("/no-body", "")] {
        assert_eq!(get(path).await.unwrap(), expected);
        // What lies in the connection by now was asked for by nobody.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(get("/next").await.unwrap(), "the true one", "after {path}");
    }
}

#[tokio::test]
async fn a_method_that_the_manifest_does_not_name_reaches_no_server_by_a_redirect_either() {
    let server = Server::plain(|seen| match seen.path() {
        "/see-other" => redirect(303, "/end"),
        "/same" => redirect(307, "/end"),
        _ => ok(&seen.line),
    })
    .await;
    let posting = rules(&[], &[server.address]).with_methods(["POST".to_owned()].into());
    let web = plain(names(&[]));
    let post = async |path: &str| {
        let asked = Ask {
            method: fetch::method("POST").unwrap(),
            ..ask(&format!("http://{}{path}", server.address))
        };
        match get(&web, &posting, asked).await {
            Ok(answer) => Ok(String::from_utf8(answer.body.whole(100).await.unwrap()).unwrap()),
            Err(failure) => Err((failure.code, failure.detail)),
        }
    };
    assert_eq!(post("/same").await.unwrap(), "POST /end HTTP/1.1", "the control");
    let (code, detail) = post("/see-other").await.unwrap_err();
    assert_eq!(code, WebError::Redirect);
    assert!(detail.contains("the method GET is not among those"), "{detail}");
    let (code, detail) = {
        let failure = get(&web, &posting, ask(&format!("http://{}/", server.address))).await.err().unwrap();
        (failure.code, failure.detail)
    };
    assert_eq!(code, WebError::Rules);
    assert!(detail.contains("[network], methods"), "the line that would allow it is named: {detail}");
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_connection_is_kept_for_its_app_and_for_no_other() {
    let server = Server::plain(|_| ok("hello")).await;
    let web = plain(names(&[]));
    let rules = rules(&[], &[server.address]);
    let url = format!("http://{}/", server.address);
    for _ in 0..3 {
        assert_eq!(text(&web, &rules, &url).await.unwrap(), "hello");
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
    let other = Ask { app: AppId::parse("drive").unwrap(), ..ask(&url) };
    assert_eq!(get(&web, &rules, other).await.unwrap().status, 200);
    assert_eq!(*server.connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_proxy_of_the_machine_is_not_used() {
    // `no_proxy` holds for the variables too, which a test cannot set without touching its neighbours; so the program
    // test sets them for the process it starts. Here: the server sees a request for a path, not for a whole URL.
    let server = Server::plain(|_| ok("hello")).await;
    let web = plain(names(&[]));
    let rules = rules(&[], &[server.address]);
    text(&web, &rules, &format!("http://{}/path?q=1", server.address)).await.unwrap();
    assert_eq!(server.last().line, "GET /path?q=1 HTTP/1.1");
    assert_eq!(server.last().header("host"), Some(server.address.to_string().as_str()));
}
