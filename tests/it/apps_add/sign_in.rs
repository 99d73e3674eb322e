//! A server on the web says itself how one signs in, and a hostile one gets nobody to go where it points. I-12, I-13, I-17.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::package::LIBRARY;
use system_tests::program::Program;
use system_tests::scratch::Scratch;
use system_tests::system::{Asked, Options, System};
use system_tests::web_server::authorization::{ACCESS, AuthorizationServer, Manner, browse, metadata};
use system_tests::web_server::{Act, Authority, Seen, Server, answer, ok, redirect};
use tokio::runtime::Runtime;

use super::remote::honest;
use super::{names, object, state_of};

/// Where a server's metadata stands.
const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
const LOGIN: &str = "/.well-known/oauth-authorization-server";

/// What the MCP server shows to whom it does not know.
#[derive(Default)]
struct Face {
    demand: String,
    says: BTreeMap<&'static str, Reply>,
}

enum Reply {
    Text(String),
    Redirect(String),
    Endless,
}

impl Face {
    fn of(says: impl IntoIterator<Item = (&'static str, Reply)>) -> Self {
        Self { demand: "Bearer".to_owned(), says: says.into_iter().collect() }
    }

    fn answer(&self, seen: &Seen) -> Vec<Act> {
        let asked: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        if !asked["method"].is_null() {
            let known = seen
                .header("authorization")
                .is_some_and(|word| word.starts_with(&format!("Bearer {ACCESS}")));
            let demand = [("WWW-Authenticate", self.demand.as_str())];
            return if known {
                honest("The time.", &asked)
            } else {
                answer("401 Unauthorized", &demand, "who?")
            };
        }
        match self.says.get(seen.path()) {
            Some(Reply::Text(text)) => ok(text),
            Some(Reply::Redirect(to)) => redirect(307, to),
            Some(Reply::Endless) => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":\"".to_vec();
                vec![Act::Send(head), Act::Endless(vec![b'x'; 4096], Duration::from_millis(1))]
            }
            None => answer("404 Not Found", &[], ""),
        }
    }
}

/// An MCP server that wants a sign-in, an authorization server, one that is nobody's business, and a system that would
/// trust all three.
struct Scene {
    runtime: Runtime,
    authority: Authority,
    face: Arc<Mutex<Face>>,
    mcp: Server,
    auth: AuthorizationServer,
    inner: Server,
    system: System,
    _ca: Scratch,
}

impl Scene {
    fn new() -> Self {
        let (runtime, authority) = (Runtime::new().unwrap(), Authority::new());
        let face = Arc::new(Mutex::new(Face::default()));
        let own = Arc::clone(&face);
        let (mcp, auth, inner) = runtime.block_on(async {
            let here = ["127.0.0.1"];
            let mcp = Server::tls(&authority, &here, move |seen| own.lock().unwrap().answer(seen)).await;
            let auth = AuthorizationServer::new(&authority, Manner::default()).await;
            let inner = |seen: &Seen| ok(&metadata(seen.header("host").unwrap_or_default()).to_string());
            (mcp, auth, Server::tls(&authority, &here, inner).await)
        });
        let ca = Scratch::new("authority");
        std::fs::write(ca.join("ca.pem"), authority.pem()).unwrap();
        let file = ca.join("ca.pem").display().to_string();
        let system = System::at_rest(Options::default().set("egress.tls_ca", &file));
        Self { runtime, authority, face, mcp, auth, inner, system, _ca: ca }
    }

    fn show(&self, face: Face) {
        *self.face.lock().unwrap() = face;
    }

    fn url(&self) -> String {
        at(&self.mcp, "/mcp")
    }

    /// What the MCP server says of itself, with this authorization server.
    fn resource(&self, issuer: &str, scopes: &[&str]) -> Value {
        json!({"resource": self.url(), "authorization_servers": [issuer], "scopes_supported": scopes})
    }

    /// `apps add`, with the addresses of these servers named besides its own.
    fn add(&self, app: &str, first: &[&str], more: &[&Server]) -> Asked {
        let url = self.url();
        let named: Vec<String> = [&self.mcp].iter().chain(more).map(|one| one.address.to_string()).collect();
        let mut words = [first, &["apps", "add", app, "--url", &url, "--yes"]].concat();
        words.extend(named.iter().flat_map(|address| ["--local", address.as_str()]));
        self.system.secgpt(&words)
    }

    /// The lines of its manifest that are no comments.
    fn in_force(&self, app: &str) -> String {
        let file = self.system.state().join("apps").join(app).join("app.toml");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }

    /// It may go to these and nowhere else.
    #[track_caller]
    fn reaches(&self, servers: &[&Server]) {
        let shown = object(&self.system.secgpt(&["--json", "apps", "show", "far"]));
        let local: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
        assert_eq!(
            (&shown["local"], &shown["hosts"], &shown["domains"]),
            (&json!(local), &json!([]), &json!([]))
        );
    }
}

fn at(server: &Server, path: &str) -> String {
    format!("https://{}{path}", server.address)
}

/// A person gives leave in a browser, which is sent to the address that comes back.
fn signs_in(system: &System, runtime: &Runtime, authority: &Authority) -> String {
    let mut command = system.command(&["--json", "apps", "authorize", "far", "--no-browser"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let open: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let url = open["open"]["url"].as_str().unwrap().to_owned();
    let page = runtime.block_on(browse(authority, &url));
    assert!(page.contains("Leave was given"), "{page}");
    assert!(lines.next().unwrap().unwrap().contains("stored"));
    assert!(child.wait().unwrap().success());
    url
}

#[test]
fn a_server_that_wants_a_sign_in_says_where_and_a_person_signs_in() {
    let scene = Scene::new();
    let issuer = at(&scene.auth.server, "");
    let mut face = Face::of([(RESOURCE, Reply::Text(scene.resource(&issuer, &["read", "all"]).to_string()))]);
    face.demand = format!("Bearer resource_metadata=\"{}\", scope=\"read\"", at(&scene.mcp, RESOURCE));
    scene.show(face);
    // It gives tokens for this server alone.
    scene.auth.manner.lock().unwrap().resource = Some(scene.url());

    let added = scene.add("far", &[], &[&scene.auth.server]);
    assert_eq!(added.code, Some(0), "{added:?}");
    let host = scene.auth.server.address;
    let told = format!(
        "its sign-in, as {issuer} says: leave at {host}, tokens from {host}, and a client is registered at {host}; for read"
    );
    assert!(added.stderr.contains(&told), "{told}\n{added:?}");
    assert!(added.stderr.contains("the app's own server gets the token"), "{added:?}");
    let lines = scene.in_force("far");
    for (key, path) in
        [("authorize_url", "/authorize"), ("token_url", "/token"), ("registration_url", "/register")]
    {
        assert!(lines.contains(&format!("{key} = \"{issuer}{path}\"\n")), "{lines}");
    }
    assert!(
        lines.contains("scopes = [\"read\"]") && lines.contains(&format!("resource = \"{}\"", scene.url())),
        "{lines}"
    );
    assert!(lines.contains(&format!("for = [\"{}\"]", scene.mcp.address)), "{lines}");
    scene.reaches(&[&scene.mcp, &scene.auth.server]);
    assert_eq!((scene.auth.asked(LOGIN), scene.auth.server.count()), (1, 1), "nothing else was asked there");
    assert_eq!(names(&scene.system, "adding"), ["lock"], "its rules for that are gone");
    assert_eq!(state_of(&scene.system, "far").as_deref(), Some("waiting"));

    let url = signs_in(&scene.system, &scene.runtime, &scene.authority);
    assert!(
        url.contains("client_id=registered-1&") && url.contains("&scope=read&resource=https%3A%2F%2F"),
        "{url}"
    );
    assert_eq!(scene.auth.manner.lock().unwrap().registered.len(), 1);

    object(&scene.system.secgpt(&["--json", "apps", "pin", "far", "--yes"]));
    let told = scene.system.ask("Use far.now with zone = Oslo");
    assert!(told.answer().contains("noon in Oslo"), "{told:?}");
    assert_eq!(scene.mcp.last().header("authorization"), Some(format!("Bearer {ACCESS}-1").as_str()));
}

#[test]
fn a_server_whose_manifest_knows_of_no_sign_in_is_asked_where_when_it_is_pinned() {
    let scene = Scene::new();
    let issuer = at(&scene.auth.server, "");
    scene.show(Face::of([(RESOURCE, Reply::Text(scene.resource(&issuer, &["read"]).to_string()))]));
    assert_eq!(scene.add("far", &[], &[&scene.auth.server]).code, Some(0));
    let file = scene.system.state().join("apps/far/app.toml");
    let proposed = std::fs::read_to_string(&file).unwrap();
    let (before, entry) = proposed.split_once("\n# It wants a sign-in").unwrap();
    std::fs::write(&file, before).unwrap();
    let pinned = scene.system.secgpt(&["apps", "pin", "far", "--yes"]);
    assert!(pinned.stderr.contains(&format!("its sign-in, as {issuer} says")), "{pinned:?}");
    let (entry, _) = entry.split_once("\n# effect:").unwrap();
    assert!(pinned.stderr.contains(entry), "the lines that `add` proposes: {entry}\n{pinned:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "they are the person's to write");
    scene.reaches(&[&scene.mcp, &scene.auth.server]);
}

#[test]
fn a_server_by_the_protocols_own_library_is_signed_in_to_and_its_token_renewed() {
    let (runtime, system, scratch) =
        (Runtime::new().unwrap(), System::at_rest(Options::default()), Scratch::new("library"));
    let words = LIBRARY.command(&["-c", include_str!("protected.py")]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(LIBRARY.installed());
    let mut server = Program::start(&mut command, &scratch.join("log"));
    let log = scratch.join("log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let port = server
        .until("the server says its port", || Some(said().strip_prefix("at ")?.lines().next()?.to_owned()));
    let address = format!("127.0.0.1:{port}");
    let url = format!("http://{address}/mcp");
    let added = object(
        &system.secgpt(&["--json", "apps", "add", "far", "--url", &url, "--local", &address, "--yes"]),
    );
    assert_eq!((&added["sign_in"]["resource"], &added["sign_in"]["scopes"]), (&json!(url), &json!(["time"])));
    signs_in(&system, &runtime, &Authority::new());
    object(&system.secgpt(&["--json", "apps", "pin", "far", "--yes"]));
    assert!(system.ask("Use far.now with zone = Oslo").answer().contains("noon in Oslo"), "{}", said());
    let said = said();
    assert_eq!(said.matches("registered secgpt none\n").count(), 1, "{said}");
    assert_eq!(said.matches(&format!("gave by code for {url} time\n")).count(), 1, "{said}");
    assert!(said.contains(&format!("gave by refresh for {url} time\n")), "{said}");
}

/// What a hostile server shows, and a part of the sentence that says why nothing comes of it.
fn hostile(scene: &Scene) -> Vec<(Face, &'static str)> {
    let own = at(&scene.mcp, "");
    let says = |text: String| Face::of([(RESOURCE, Reply::Text(text))]);
    let names = |issuer: &str| says(scene.resource(issuer, &[]).to_string());
    // Its own authorization server, with one thing in it that is not as it should be.
    let with = |key: &str, value: Value| {
        let mut login = metadata(&scene.mcp.address.to_string());
        login[key] = value;
        let resource = Reply::Text(scene.resource(&own, &[]).to_string());
        Face::of([(RESOURCE, resource), (LOGIN, Reply::Text(login.to_string()))])
    };
    let demand = format!("Bearer resource_metadata=\"{}\"", at(&scene.inner, RESOURCE));
    let elsewhere = Face { demand, ..Face::default() };
    let mut other = scene.resource(&own, &[]);
    other["resource"] = json!(at(&scene.inner, "/mcp"));
    let inner = |path: &str| json!(at(&scene.inner, path));
    let evil = "https://login.a.example/\"\n[network]\ndomains = [\"evil.example\"]\n\u{1b}[2J";
    vec![
        (names("http://169.254.169.254/latest/meta-data/"), "is no address that begins with https://"),
        (names(&at(&scene.inner, "")), "an address that nobody has named"),
        (elsewhere, "not its own host"),
        (says(other.to_string()), "that of another server"),
        (with("token_endpoint", inner("/token")), "a place for tokens that is at"),
        (with("token_endpoint", json!(evil)), "a place for tokens that is no address"),
        (with("issuer", inner("")), "speaks for another authorization server"),
        (Face::of([(RESOURCE, Reply::Redirect(at(&scene.mcp, RESOURCE)))]), "redirects more than 5 times"),
        (Face::of([(RESOURCE, Reply::Redirect(at(&scene.inner, "/")))]), "does not name"),
        (Face::of([(RESOURCE, Reply::Endless)]), "says more than 64 KiB"),
        (says("{\"resource\": [[[[".to_owned()), "not in the form of RFC 9728"),
    ]
}

#[test]
fn a_server_that_points_elsewhere_for_its_sign_in_gets_nobody_to_go_there() {
    let scene = Scene::new();
    for (n, (face, why)) in hostile(&scene).into_iter().enumerate() {
        scene.show(face);
        let app = format!("far-{n}");
        let added = scene.add(&app, &[], &[]);
        assert_eq!(added.code, Some(0), "{why}: {added:?}");
        assert!(added.stderr.contains("how one signs in is not known:"), "{why}: {added:?}");
        assert!(added.stderr.contains(why) && !added.stderr.contains('\u{1b}'), "{why}: {added:?}");
        let lines = scene.in_force(&app);
        assert!(lines.contains("kind = \"api_key\"") && !lines.contains("oauth2"), "{why}: {lines}");
        let network = format!("[network]\nlocal = [\"{}\"]\n\n", scene.mcp.address);
        assert!(lines.contains(&network), "it may go where it may go anyway: {lines}");
        assert_eq!(*scene.inner.connections.lock().unwrap(), 0, "{why}");
    }
    // Control: the same server in its place, named by the person. What it wants leave for is a word or nothing.
    let scopes = ["read", "x\"]\n[network]\ndomains = [\"evil.example\"]", "\u{1b}[2J"];
    let resource = scene.resource(&at(&scene.inner, ""), &scopes).to_string();
    scene.show(Face::of([(RESOURCE, Reply::Text(resource))]));
    let added = object(&scene.add("far", &["--json"], &[&scene.inner]));
    assert_eq!(
        (&added["sign_in"]["issuer"], &added["no_sign_in"]),
        (&json!(at(&scene.inner, "")), &Value::Null)
    );
    let lines = scene.in_force("far");
    assert!(lines.contains("kind = \"oauth2\"") && lines.contains("scopes = [\"read\"]\n"), "{lines}");
    scene.reaches(&[&scene.mcp, &scene.inner]);
    assert!(0 < *scene.inner.connections.lock().unwrap());
}
