//! Accounts of the user's, in whole systems: given by `secgpt apps authorize`, used by apps, seen by nobody. I-15.
//!
//! Answers: where does a key or a token come to lie, from the moment a person gives it?
//! Never: searches without a control: the server did get it, and a word that is no secret is found by the same search.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::person::Tap;
use system_tests::program::eventually;
use system_tests::scratch::Scratch;
use system_tests::system::{Asked, Options, System, descendants};
use system_tests::web_server::authorization::{
    ACCESS, AuthorizationServer, CLIENT, Manner, REFRESH, SECRET, browse,
};
use system_tests::web_server::{Authority, Seen, Server, answer};
use tokio::runtime::Runtime;

/// The key that a person types.
const KEY: &str = "planted-api-key-4711";

/// In the query, the app's arguments and the server's answers, and no secret: the search must find it.
const MARKER: &str = "marker-that-is-no-secret";

/// What must not be found.
const PLANTED: [&str; 5] = [KEY, SECRET, ACCESS, REFRESH, "planted-device-code"];

/// Servers, apps that use them, and a system that trusts their authority.
struct Scene {
    runtime: Runtime,
    authority: Authority,
    api: Server,
    auth: AuthorizationServer,
    /// The API takes no token any more; the MCP server not the first.
    refuses: Arc<AtomicBool>,
    system: System,
    _apps: Scratch,
}

/// Sends all it got back: in a header, and in the body.
fn echo(seen: &Seen) -> Vec<system_tests::web_server::Act> {
    let shown = seen.header("authorization").or(seen.header("x-api-key")).unwrap_or("nothing").to_owned();
    let body = json!({"line": seen.line, "got": format!("{:?}", seen.headers)}).to_string();
    answer("200 OK", &[("Content-Type", "application/json"), ("X-Echo", &shown)], &body)
}

/// A remote MCP server: greets nobody without a token, and says in its result which one it got.
fn mcp(seen: &Seen, refuses: bool) -> Vec<system_tests::web_server::Act> {
    let token = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token.filter(|token| token.starts_with(ACCESS) && !(refuses && token.ends_with("-1")))
    else {
        return answer("401 Unauthorized", &[("WWW-Authenticate", "Bearer")], "");
    };
    let asked: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let result = match asked["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "far", "version": "1"},
        }),
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": words()}]}),
        "tools/call" => {
            let text = format!("{} came with {token}", asked["params"]["arguments"]["word"]);
            json!({"content": [{"type": "text", "text": text}]})
        }
        _ => return answer("202 Accepted", &[], ""),
    };
    let body = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string();
    answer("200 OK", &[("Content-Type", "application/json")], &body)
}

/// The arguments of the MCP server's tool.
fn words() -> Value {
    json!({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]})
}

impl Scene {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let authority = Authority::new();
        let refuses = Arc::new(AtomicBool::new(false));
        let refused = Arc::clone(&refuses);
        let (api, auth) = runtime.block_on(async {
            let echo = move |seen: &Seen| match refused.load(Ordering::SeqCst) {
                refuses if seen.path() == "/mcp" => mcp(seen, refuses),
                true => answer("401 Unauthorized", &[], ""),
                false => echo(seen),
            };
            let api = Server::tls(&authority, &["127.0.0.1"], echo).await;
            (api, AuthorizationServer::new(&authority, Manner::default()).await)
        });
        let apps = Scratch::new("apps");
        let (address, signs_in) = (api.address, auth.server.address);
        let keyed = "kind = \"api_key\"\nheader = \"X-Api-Key\"\nprefix = \"Token\"";
        let tokened = format!(
            "kind = \"oauth2\"\nheader = \"Authorization\"\nauthorize_url = {:?}\ndevice_url = {:?}\ntoken_url = {:?}\n\
             client_id = {CLIENT:?}\nscopes = [\"read\"]",
            auth.url("/authorize"),
            auth.url("/device"),
            auth.url("/token")
        );
        let http = ("kind = \"http\"\nopenapi = \"api.json\"", "discovered = true");
        let remote = format!("kind = \"mcp\"\nurl = \"https://{address}/mcp\"");
        let mcp = (remote.as_str(), "summary = \"Says what came.\"\nrequest = \"echo.json\"");
        for (name, (kind, echo), credential) in
            [("keyed", http, keyed), ("tokened", http, &tokened), ("far", mcp, &tokened)]
        {
            let folder = apps.join(name);
            std::fs::create_dir(&folder).unwrap();
            let manifest = format!(
                "name = {name:?}\n{kind}\ndescription = \"Sends back what it gets.\"\n\
                 [network]\nlocal = [\"{address}\", \"{signs_in}\"]\n[credentials.account]\nfor = [\"{address}\"]\n{credential}\n\
                 [[functionality]]\nname = \"echo\"\neffect = \"read\"\n{echo}\n"
            );
            std::fs::write(folder.join("app.toml"), manifest).unwrap();
            std::fs::write(folder.join("api.json"), api_of(&address.to_string()).to_string()).unwrap();
            std::fs::write(folder.join("echo.json"), words().to_string()).unwrap();
        }
        let ca = apps.join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let dirs = json!([workspace().join("data/apps"), apps.path()]);
        let options = Options::default()
            .set("apps.dirs", &dirs.to_string())
            .set("egress.tls_ca", &ca.display().to_string());
        Self { runtime, authority, api, auth, refuses, system: System::at_rest(options), _apps: apps }
    }

    /// A command with this on its standard input.
    fn given(&self, arguments: &[&str], input: &str) -> Asked {
        let mut child = self.begin(arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let outcome = serde_json::from_str(&stdout).unwrap_or_default();
        Asked { code: output.status.code(), outcome, stdout, stderr }
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.system.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// One call of an app's only functionality.
    fn call(&self, app: &str) -> Asked {
        let step = json!({"id": "s1", "kind": "call", "functionality": format!("{app}.echo"), "args": {"word": MARKER}});
        self.system.ask(&format!("plan: {}", json!({"answer": null, "steps": [step]})))
    }
}

fn api_of(address: &str) -> Value {
    let word = json!({"name": "word", "in": "query", "required": true, "schema": {"type": "string"}});
    let content = json!({"application/json": {"schema": {"type": "object"}}});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "echo", "version": "1"},
        "servers": [{"url": format!("https://{address}")}],
        "paths": {"/echo": {"get": {
            "operationId": "echo",
            "parameters": [word],
            "responses": {"200": {"description": "what came", "content": content}}
        }}}
    })
}

/// A process's arguments and variables.
fn open_to_see(pid: u32) -> Vec<u8> {
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    [read("cmdline"), read("environ")].concat()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[track_caller]
fn clean(bytes: &[u8], place: &str) {
    for word in PLANTED {
        assert!(!holds(bytes, word), "{word} in {place}");
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&path)),
            kind if kind.is_file() => {
                found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn a_planted_key_and_a_planted_token_appear_nowhere_but_at_their_server() {
    let mut scene = Scene::new();
    // The key, typed into a pipe.
    let kept = scene.given(&["--json", "apps", "authorize", "keyed"], &format!("{KEY}\n"));
    assert_eq!(kept.outcome["stored"]["credential"], "account", "{kept:?}");
    clean(format!("{kept:?}").as_bytes(), "what apps authorize says");
    // The token, by a code on another device; meanwhile everybody on the machine may look at the processes.
    let mut child = scene.begin(&["--json", "apps", "authorize", "tokened", "--device", "--client-secret"]);
    writeln!(child.stdin.take().unwrap(), "{SECRET}").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let visit: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(visit["visit"]["code"], "WDJB-MJHT", "{visit}");
    let at_work: Vec<u32> = descendants(child.id()).into_iter().chain([child.id()]).collect();
    assert_eq!(at_work.len(), 2, "secgpt, and the gateway's program");
    let seen: Vec<u8> = at_work.iter().flat_map(|pid| open_to_see(*pid)).collect();
    assert!(holds(&seen, "--name=account"), "the control");
    clean(&seen, "arguments and variables of apps authorize");
    let stored: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(stored["stored"]["renewable"], true, "{stored}");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    clean(format!("{visit}{stored}{said}").as_bytes(), "what apps authorize says");
    let listed = scene.system.secgpt(&["apps", "authorize", "--list"]);
    assert!(listed.stdout.contains("keyed") && listed.stdout.contains("tokened"), "{listed:?}");
    clean(listed.stdout.as_bytes(), "the list");

    scene.system.up();
    let tap = Tap::join(&scene.system);
    for (app, header, value) in [
        ("keyed", "x-api-key", format!("Token {KEY}")),
        ("tokened", "authorization", format!("Bearer {ACCESS}-1")),
    ] {
        let asked = scene.call(app);
        assert_eq!(scene.api.last().header(header), Some(value.as_str()), "the control: the server got it");
        let result = asked.value(&format!("{app}.echo")).to_string();
        assert!(result.contains(MARKER) && result.contains("****"), "the control: {result}");
        clean(format!("{asked:?}").as_bytes(), "what the app and the user see");
    }
    let requests: String = ["planner", "compose", "spoke", "derive", "summary"]
        .iter()
        .flat_map(|kind| scene.system.model().requests(kind))
        .map(|request| request.to_string())
        .collect();
    assert!(requests.contains(MARKER), "the control");
    clean(requests.as_bytes(), "requests to the model");
    let heard = eventually("the tap hears what was asked", || {
        let heard = format!("{:?}", tap.heard());
        heard.contains(MARKER).then_some(heard)
    });
    clean(heard.as_bytes(), "the tap, the audit among it");
    let all: Vec<u32> = descendants(scene.system.pid()).into_iter().chain([scene.system.pid()]).collect();
    assert!(8 <= all.len(), "the control: {all:?}");
    for pid in all {
        clean(&open_to_see(pid), &format!("arguments and variables of process {pid}"));
    }
    // At rest: JetStream, Redis, logs, keys, and the sealed file itself.
    scene.system.stop();
    let files = files(&scene.system.state());
    // What is known to be in each of them is found there by the same search.
    for (part, word) in
        [("/redis/", MARKER), ("/jetstream/", "secgpt_grants"), ("/log/egress-gateway", "wants it to stop")]
    {
        let found = files.iter().any(|(path, bytes)| path.contains(part) && holds(bytes, word));
        assert!(found, "the control: {word} in {part}");
    }
    assert!(files.iter().any(|(path, bytes)| path.ends_with("credentials.sealed") && 100 < bytes.len()));
    for (path, bytes) in &files {
        clean(bytes, path);
    }
    clean(scene.system.up_log().as_bytes(), "what secgpt up says");
    drop(scene.runtime);
}

#[test]
fn a_browser_on_this_machine_brings_a_token_and_no_page_says_it() {
    let mut scene = Scene::new();
    let mut child = scene.begin(&["--json", "apps", "authorize", "tokened", "--no-browser", "--everyone"]);
    drop(child.stdin.take());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let open: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let url = open["open"]["url"].as_str().unwrap();
    let page = scene.runtime.block_on(browse(&scene.authority, url));
    assert!(page.contains("Leave was given"), "{page}");
    let stored: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&stored["stored"]["user"], &stored["stored"]["renewable"]), (&Value::Null, &json!(true)));
    assert!(child.wait().unwrap().success());
    clean(format!("{open}{stored}{page}").as_bytes(), "what the person gets to see");
    scene.system.up();
    scene.call("tokened").answer();
    assert_eq!(scene.api.last().header("authorization"), Some(format!("Bearer {ACCESS}-1").as_str()));
}

#[test]
fn a_token_that_was_revoked_ends_in_a_sentence_that_says_what_to_do() {
    let mut scene = Scene::new();
    let child = scene.given(&["--json", "apps", "authorize", "tokened", "--device"], "");
    assert_eq!(child.code, Some(0), "{child:?}");
    scene.system.up();
    scene.call("tokened").answer();
    // Taken back at the service, which from now on refuses both tokens.
    scene.refuses.store(true, Ordering::SeqCst);
    scene.auth.manner.lock().unwrap().revoked.insert(format!("{REFRESH}-1"));
    let asked = scene.call("tokened");
    assert!(format!("{asked:?}").contains("run `secgpt apps authorize tokened`"), "{asked:?}");
    // Given again it works at once, in the system that runs.
    scene.refuses.store(false, Ordering::SeqCst);
    assert_eq!(scene.given(&["apps", "authorize", "tokened", "--device"], "").code, Some(0));
    scene.call("tokened").answer();
    assert_eq!(scene.api.last().header("authorization"), Some(format!("Bearer {ACCESS}-2").as_str()));
    // And what is taken away is no longer sent.
    let removed = scene.system.secgpt(&["apps", "authorize", "tokened", "--remove"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let asked = scene.call("tokened");
    assert_eq!(scene.api.last().header("authorization"), None, "{asked:?}");
}

#[test]
fn a_remote_server_that_demands_a_token_gets_it_from_the_gateway_and_its_app_does_not_see_it() {
    let mut scene = Scene::new();
    // Nobody gave leave yet.
    let listed = scene.system.secgpt(&["apps", "list"]);
    assert!(listed.stdout.contains("not offered yet: secgpt apps authorize far"), "{listed:?}");
    let given = scene.given(&["apps", "authorize", "far", "--device"], "");
    assert_eq!((given.code, scene.api.count()), (Some(0), 0), "{given:?}");
    scene.system.up();
    let call = |token: &str| {
        let asked = scene.call("far");
        let result = asked.value("far.echo").to_string();
        assert!(result.contains(MARKER) && result.contains("****"), "the control: {asked:?}");
        clean(format!("{asked:?}").as_bytes(), "what the app and the user see");
        assert_eq!(
            scene.api.last().header("authorization"),
            Some(format!("Bearer {ACCESS}-{token}").as_str())
        );
    };
    call("1");
    // The server wants another one from now on; nobody but the gateway has anything to do with that.
    scene.refuses.store(true, Ordering::SeqCst);
    call("2");
    assert_eq!(scene.auth.asked("/token"), 2);
    // The control: taken away, the server hears nothing that it takes for somebody, and the sentence says what to do.
    let removed = scene.system.secgpt(&["apps", "authorize", "far", "--remove"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let asked = scene.call("far");
    assert_eq!(scene.api.last().header("authorization"), None, "{asked:?}");
    let said = format!("{asked:?}");
    assert!(said.contains("HTTP status 401") && said.contains("secgpt apps authorize"), "{asked:?}");
}

#[test]
fn what_cannot_be_authorized_is_said_in_a_sentence() {
    let scene = Scene::new();
    let said = |arguments: &[&str], input: &str, part: &str| {
        let asked = scene.given(&[&["apps", "authorize"], arguments].concat(), input);
        assert!(matches!(asked.code, Some(1 | 2)) && asked.stderr.contains(part), "{arguments:?}: {asked:?}");
        clean(format!("{asked:?}").as_bytes(), "what apps authorize says");
    };
    said(&["nobody"], "", "there is no app nobody");
    said(&["metro_hail"], "", "names no credential");
    said(&["keyed", "--credential", "other"], "", "its manifest names: account");
    said(&["keyed"], "", "the key is empty");
    said(&["keyed"], &format!("{KEY}\nsecond line"), "no header takes");
    said(&["keyed", "--from-env", "SECGPT_TEST_NOT_SET"], "", "SECGPT_TEST_NOT_SET is not set");
    said(&["keyed", "--device"], KEY, "is an API key");
    said(&["keyed", "--remove"], "", "there is no credential account for keyed");
    scene.auth.manner.lock().unwrap().words = vec!["access_denied"];
    said(&["tokened", "--device"], "", "it was refused at the authorization server");
    assert_eq!(scene.system.secgpt(&["apps", "authorize", "--list"]).stdout, "no credentials\n");
}
