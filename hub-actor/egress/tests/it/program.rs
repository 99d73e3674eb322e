//! The process as `secgpt` starts it: its manifests, its credentials, its log. I-12, I-15.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bus::acl::Role;
use bus::launch::{EgressConfig, Identity, Said, Start};
use bus::message::egress::WebError;
use futures_util::StreamExt;
use system_tests::nats::Nats;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::bus::{Spoke, WAIT, request, spoke};
use crate::server::{Authority, Server, answer, ok};

const PROGRAM: &str = env!("CARGO_BIN_EXE_egress-gateway");

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it on a broker; what it says last of the start is returned.
    async fn start(nats: &Nats, config: &EgressConfig, log: &Path, env: &[(&str, String)]) -> (Self, Said) {
        let mut child = Command::new(PROGRAM)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (*name, value.as_str())))
            .env("RUST_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said: Said = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let Said::PublicKey(key) = said else { panic!("{said:?}") };
        let jwt = nats.signer().sign(&Role::EgressGateway, &key, None).unwrap();
        let start = Start {
            url: nats.url.clone(),
            tls_ca: None,
            identity: Identity::Signed(jwt),
            config: config.clone(),
        };
        let mut line = serde_json::to_vec(&start).unwrap();
        line.push(b'\n');
        stdin.write_all(&line).await.unwrap();
        let said = tokio::time::timeout(WAIT, lines.next_line()).await.unwrap().unwrap().unwrap();
        (Self { child, stdin: Some(stdin), lines }, serde_json::from_str(&said).unwrap())
    }

    async fn stop(mut self) {
        drop(self.stdin.take());
        let status = tokio::time::timeout(WAIT, self.child.wait()).await.expect("it stops").unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(self.lines.next_line().await.unwrap(), None);
    }
}

fn app(folder: &Path, name: &str, rest: &str) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!("name = \"{name}\"\nkind = \"mcp\"\ndescription = \"d\"\ncommand = [\"x\"]\n{rest}\n");
    std::fs::write(folder.join("app.toml"), text).unwrap();
}

async fn command(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn no_output_contains_the_planted_secret() {
    const PLANTED: &str = "planted-secret-0815";
    let authority = Authority::new();
    let server = Server::tls(&authority, &["127.0.0.1"], |seen| {
        let shown = seen.header("authorization").unwrap_or("none").to_owned();
        answer("200 OK", &[("X-Echo", &shown)], &format!("{} {shown}", seen.line))
    })
    .await;
    // Were the machine's proxy settings followed, the request would go here.
    let proxy = Server::plain(|_| ok("the proxy")).await;
    let scratch = system_tests::scratch::Scratch::new("egress");
    let (apps, credentials, ca, log) =
        (scratch.join("apps"), scratch.join("credentials"), scratch.join("ca.pem"), scratch.join("log"));
    std::fs::write(&ca, authority.pem()).unwrap();
    let address = server.address;
    app(
        &apps,
        "mail",
        &format!(
            "[network]\nlocal = [\"{address}\"]\n\
             [credentials]\nkey = {{ kind = \"api_key\", header = \"Authorization\", for = [\"{address}\"] }}"
        ),
    );
    app(&apps, "drive", "");
    app(&apps, "broken", "[network]\ndomains = [\"co.uk\"]");
    let folder = credentials.to_str().unwrap();
    let place = ["--folder", folder, "--app", "mail", "--name", "key"];
    let set = [&["credential", "set"], &place[..]].concat();
    let (done, said) =
        command(&set, &format!(r#"{{"api_key":{{"value":"Token {PLANTED}","more":1}}}}"#)).await;
    assert!(!done && !said.contains(PLANTED), "{said}");
    let (done, said) = command(&set, &format!(r#"{{"api_key":{{"value":"Token {PLANTED}"}}}}"#)).await;
    assert!(done, "{said}");

    let nats = Nats::start();
    let tap = nats.bus(&Role::Tap).await;
    let mut everything = tap.nats().subscribe("secgpt.>").await.unwrap();
    tap.flush().await.unwrap();
    let config = EgressConfig {
        apps: vec![apps],
        credentials: credentials.clone(),
        credentials_key: None,
        suffix_list: None,
        tls_ca: Some(ca),
    };
    let through = format!("http://{}", proxy.address);
    let env = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .map(|name| (name, through.clone()));
    let (process, said) = Process::start(&nats, &config, &log, &env).await;
    assert_eq!(said, Said::Ready);
    let own = Spoke { bus: nats.bus(&Role::Spoke(spoke("mail", "a1"))).await, spoke: spoke("mail", "a1") };
    let url = format!("https://{address}/");
    let fetched = own.fetch(request("GET", &url)).await.unwrap();
    let expected = format!("Token {PLANTED}");
    assert_eq!(
        server.last().header("authorization"),
        Some(expected.as_str()),
        "the control: the server got it"
    );
    assert!(!format!("{:?}", fetched.headers).contains(PLANTED));
    assert!(memchr::memmem::find(&fetched.body, PLANTED.as_bytes()).is_none());
    for (name, code) in [("drive", WebError::Address), ("broken", WebError::Address)] {
        let addr = spoke(name, "x1");
        let other = Spoke { bus: nats.bus(&Role::Spoke(addr.clone())).await, spoke: addr };
        assert_eq!(other.fetch(request("GET", &url)).await.err().unwrap().code, code, "{name}");
    }
    process.stop().await;
    assert_eq!(*proxy.connections.lock().unwrap(), 0);

    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the control: it logs in detail");
    assert!(!log.contains(PLANTED));
    let mut heard = 0;
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(300), everything.next()).await {
        heard += 1;
        let found = memchr::memmem::find(&message.payload, PLANTED.as_bytes()).is_some();
        assert!(!found && !format!("{:?}", message.headers).contains(PLANTED), "{}", message.subject);
    }
    assert!(8 <= heard, "the control: the tap hears requests, answers and records: {heard}");
    let (done, listed) = command(&["credential", "list", "--folder", folder], "").await;
    assert!(done && listed.contains("\"app\":\"mail\"") && !listed.contains(PLANTED), "{listed}");
    let (done, _) = command(&[&["credential", "remove"], &place[..]].concat(), "").await;
    assert!(done);
    assert_eq!(command(&["credential", "list", "--folder", folder], "").await, (true, String::new()));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named_at_the_start() {
    let nats = Nats::start();
    let scratch = system_tests::scratch::Scratch::new("egress");
    let config = EgressConfig {
        apps: Vec::new(),
        credentials: scratch.join("credentials"),
        credentials_key: None,
        suffix_list: None,
        tls_ca: None,
    };
    let bad = scratch.join("bad");
    std::fs::File::create(&bad).unwrap().write_all(b"com\nnet\n").unwrap();
    let wrong_list = EgressConfig { suffix_list: Some(bad.clone()), ..config.clone() };
    let wrong_ca = EgressConfig { tls_ca: Some(bad), ..config.clone() };
    let wrong_key =
        EgressConfig { credentials_key: Some(bus::secret::Secret::new("short".into())), ..config.clone() };
    for (wrong, part) in [
        (wrong_list, "not a Public Suffix List"),
        (wrong_ca, "no certificate"),
        (wrong_key, "64 hexadecimal"),
    ] {
        let (_process, said) = Process::start(&nats, &wrong, &scratch.join("log"), &[]).await;
        let Said::Failed { detail, hint } = said else { panic!("{said:?}") };
        assert!(detail.contains(part) && hint.is_some(), "{detail}");
    }
    let (process, said) = Process::start(&nats, &config, &scratch.join("log"), &[]).await;
    assert_eq!(said, Said::Ready, "the control");
    process.stop().await;
}
