//! Apps of strangers come in, change and go, by the commands that a person types.
//!
//! What comes from a registry comes in the versions named here, through a cache in `target/strangers`.

mod bad;
mod change;
mod packages;
mod remote;
mod running;
mod sign_in;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::scratch::Scratch;
use system_tests::system::{Asked, Options, System};
use system_tests::web_server::{Server, answer};

/// A server that tells the time, in the standard library of Python. `WORDS` is what it says of its tool.
const SERVER: &str = r#"
import json, sys
TOOL = {"name": "now", "description": "WORDS", "annotations": {"readOnlyHint": True},
        "inputSchema": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] == "initialize":
        answer["result"] = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                            "serverInfo": {"name": "clock", "version": "1"}}
    elif asked["method"] == "tools/list":
        answer["result"] = {"tools": [TOOL]}
    elif asked["method"] == "tools/call":
        zone = asked["params"]["arguments"]["zone"]
        answer["result"] = {"content": [{"type": "text", "text": "It is noon in " + zone}]}
    else:
        answer["error"] = {"code": -32601, "message": "there is no such method"}
    print(json.dumps(answer), flush=True)
"#;

/// A system at rest whose installers keep what they fetch, and see what this machine needs to reach the registries.
fn system() -> System {
    system_with(&[])
}

fn system_with(env: &[(&str, &str)]) -> System {
    let cache = |name: &str| {
        let dir = workspace().join("target/strangers/cache").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir.display().to_string()
    };
    let mut all =
        vec![("PIP_CACHE_DIR".to_owned(), cache("pip")), ("npm_config_cache".to_owned(), cache("npm"))];
    let names = [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    let known = |name: &str| {
        names.contains(&name) || name.starts_with("PIP_") || name.to_lowercase().starts_with("npm_config_")
    };
    all.extend(
        std::env::vars()
            .filter(|(name, _)| known(name) && name != "PIP_CACHE_DIR" && name != "npm_config_cache"),
    );
    all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    System::at_rest(Options { env: all, ..Options::default() })
}

/// A server's file and the command that starts it.
fn server(scratch: &Scratch, text: &str) -> (PathBuf, String) {
    let file = scratch.join("server.py");
    std::fs::write(&file, text).unwrap();
    (file.clone(), format!("/usr/bin/python3 {}", file.display()))
}

fn said(words: &str) -> String {
    SERVER.replace("WORDS", words)
}

/// The one object that a command printed.
#[track_caller]
fn object(asked: &Asked) -> Value {
    assert_eq!(asked.code, Some(0), "{asked:?}");
    asked.outcome.clone()
}

/// The names in a folder of the state, sorted; none if it is not there.
fn names(system: &System, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(system.state().join(folder)).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// How an app stands in the list.
fn state_of(system: &System, app: &str) -> Option<String> {
    let list = object(&system.secgpt(&["--json", "apps", "list"]));
    let found = list.as_array().unwrap().iter().find(|entry| entry["app"] == app)?.clone();
    found["state"].as_str().map(str::to_owned)
}

fn run(program: &str, args: &[&str], dir: &std::path::Path) {
    let done = Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_clock_from_pypi_answers_after_one_command() {
    let system = system();
    let added = object(&system.secgpt(&[
        "--json",
        "apps",
        "add",
        "clock",
        "--pypi",
        "mcp-server-time==2026.10.19",
        "--yes",
        "--",
        "--local-timezone",
        "UTC",
    ]));
    assert_eq!(added["from"], "pypi mcp-server-time==2026.10.19");
    assert_eq!(added["functionalities"][0]["name"], "get_current_time");
    assert_eq!(added["functionalities"][0]["effect"], "read");
    let shown = object(&system.secgpt(&["--json", "apps", "show", "clock"]));
    assert_eq!((&shown["pinned"], &shown["state"]), (&added["pinned"], &"ok".into()));
    assert_eq!(shown["network"], false);
    let told = system.ask("Use clock.get_current_time with timezone = Asia/Tokyo");
    assert!(
        told.value("clock.get_current_time")["datetime"].as_str().unwrap().ends_with("+09:00"),
        "{told:?}"
    );
    // And by its own model, which is told in words.
    assert!(system.ask("Use clock to get the current time in 'Asia/Tokyo'").answer().contains("+09:00"));
}

#[test]
fn repositories_from_pypi_are_read_where_they_are_shown_and_nowhere_else() {
    let (system, scratch) = (system(), Scratch::new("repository"));
    for name in ["shown", "hidden"] {
        let repo = scratch.join(name);
        std::fs::create_dir(&repo).unwrap();
        std::fs::write(repo.join("a.txt"), "a").unwrap();
        run("git", &["init", "-q"], &repo);
        run("git", &["add", "."], &repo);
        let who = ["-c", "user.name=ann", "-c", "user.email=ann@a.example"];
        run("git", &[&who[..], &["commit", "-q", "-m", "The first step"]].concat(), &repo);
    }
    let (shown, hidden) =
        (scratch.join("shown").display().to_string(), scratch.join("hidden").display().to_string());
    let added = object(&system.secgpt(&[
        "--json",
        "apps",
        "add",
        "repo",
        "--pypi",
        "mcp-server-git==2026.10.19",
        "--read",
        &shown,
        "--yes",
    ]));
    let effect = |name: &str| {
        let all = added["functionalities"].as_array().unwrap();
        all.iter().find(|function| function["name"] == name).unwrap()["effect"].clone()
    };
    assert_eq!(
        (effect("git_log"), effect("git_commit"), effect("git_reset")),
        ("read".into(), "write".into(), "irreversible".into())
    );
    let log = system.ask(&format!("Use repo.git_log with repo_path = {shown}"));
    assert!(log.answer().contains("The first step"), "{log:?}");
    let other = system.ask(&format!("Use repo.git_log with repo_path = {hidden}"));
    assert_ne!(other.code, Some(0), "{other:?}");
    assert!(!other.stdout.contains("The first step"), "{other:?}");
}

#[test]
fn the_everything_server_from_npm_answers_after_one_command() {
    let system = system();
    let added = object(&system.secgpt(&[
        "--json",
        "apps",
        "add",
        "everything",
        "--npm",
        "@modelcontextprotocol/server-everything@2026.8.31",
        "--yes",
    ]));
    assert_eq!(added["from"], "npm @modelcontextprotocol/server-everything@2026.8.31");
    assert!(added["resources"].as_u64() > Some(0) && added["prompts"].as_u64() > Some(0));
    let sum = system.ask("Use everything.get-sum with a = 2 and b = 40");
    assert_eq!(sum.value("everything.get-sum"), "The sum of 2 and 40 is 42.");
}

#[test]
fn files_from_npm_are_the_apps_own_data() {
    let system = system();
    object(&system.secgpt(&[
        "--json",
        "apps",
        "add",
        "files",
        "--npm",
        "@modelcontextprotocol/server-filesystem@2026.8.31",
        "--yes",
        "--",
        "/data",
    ]));
    let query = r#"call files.write_file with {"path": "/data/note.txt", "content": "buy milk"}"#;
    // It can destroy what is there, so nobody who is absent has agreed to it.
    assert_eq!(system.ask(query).code, Some(3));
    assert_eq!(system.ask_with(&["--consent", "once"], query).code, Some(0));
    let read = system.ask("Use files.read_text_file with path = /data/note.txt");
    assert!(read.answer().contains("buy milk"), "{read:?}");
    let outside = system.ask("Use files.read_text_file with path = /etc/passwd");
    assert!(outside.code != Some(0) && !outside.stdout.contains("root:"), "{outside:?}");
}

#[test]
fn a_web_api_is_added_by_its_description_and_reaches_its_own_server_only() {
    let (system, scratch) = (system(), Scratch::new("api"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while stream.read_line(&mut head).is_ok_and(|length| 2 < length) {}
            let body = r#"{"name": "Rex", "kind": "dog"}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    let description = json!({
        "openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "servers": [{"url": format!("http://{address}")}],
        "paths": {"/pets/{id}": {
            "get": {"operationId": "getPet", "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "it", "content": {"application/json": {"schema": {"type": "object"}}}}}},
            "delete": {"operationId": "deletePet", "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {"204": {"description": "gone"}}},
        }},
    });
    std::fs::write(scratch.join("pets.json"), description.to_string()).unwrap();
    let file = scratch.join("pets.json").display().to_string();
    let added = object(&system.secgpt(&["--json", "apps", "add", "pets", "--openapi", &file, "--yes"]));
    let effects: Vec<&str> = added["functionalities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|function| function["effect"].as_str().unwrap())
        .collect();
    assert_eq!(effects, ["read", "irreversible"]);
    let shown = object(&system.secgpt(&["--json", "apps", "show", "pets"]));
    assert_eq!(shown["local"], json!([address.to_string()]));
    assert!(
        shown["domains"].as_array().unwrap().is_empty() && shown["hosts"].as_array().unwrap().is_empty(),
        "{shown}"
    );
    let told = system.ask("Use pets.getPet with id = 7");
    assert!(told.answer().contains("Rex"), "{told:?}");
    assert_eq!(system.ask("Use pets.deletePet with id = 7").code, Some(3));
    let text = format!(
        "openapi: 3.0.3\ninfo: {{title: Pets, version: '1'}}\nservers: [{{url: 'http://{address}'}}]\npaths:\n  /pet/{{id}}:\n    get:\n      operationId: getPet\n      parameters: [{{name: id, in: path, required: true, schema: {{type: integer}}}}]\n      responses: {{200: {{description: it}}}}\n"
    );
    let yaml = scratch.join("pets.yaml");
    std::fs::write(&yaml, text).unwrap();
    let other = ["apps", "add", "other", "--openapi", yaml.to_str().unwrap(), "--yes"];
    assert_eq!(system.secgpt(&other).code, Some(0));
    assert!(system.ask("Use other.getPet with id = 7").answer().contains("Rex"));
    std::fs::write(&yaml, "openapi: [3.0.3\n").unwrap();
    let refused = system.secgpt(&["apps", "add", "third", "--openapi", yaml.to_str().unwrap(), "--yes"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("neither JSON nor YAML") && refused.stderr.contains("line 1, column 10"),
        "{refused:?}"
    );
}

#[test]
fn a_web_api_that_wants_a_key_says_so_when_it_is_added_and_gets_it_when_it_is_called() {
    let (system, scratch) = (system(), Scratch::new("api"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::plain(|seen| match seen.header("x-pets-key") {
        Some("k3y-of-mine") => {
            answer("200 OK", &[("Content-Type", "application/json")], r#"{"name": "Rex"}"#)
        }
        _ => answer("401 Unauthorized", &[], ""),
    }));
    let description = json!({
        "openapi": "3.1.0", "info": {"title": "Pets", "version": "1"}, "servers": [{"url": format!("http://{}", server.address)}],
        "security": [{"key": []}],
        "paths": {"/pet": {"get": {"operationId": "getPet", "responses": {"200": {"description": "it"}}}}},
        "components": {"securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Pets-Key"},
            "basic": {"type": "http", "scheme": "basic"},
            "query": {"type": "apiKey", "in": "query", "name": "key"},
        }},
    });
    std::fs::write(scratch.join("pets.json"), description.to_string()).unwrap();
    let file = scratch.join("pets.json").display().to_string();
    let added = system.secgpt(&["apps", "add", "pets", "--openapi", &file, "--yes"]);
    assert!(added.code == Some(0) && added.stderr.contains("secgpt apps authorize pets"), "{added:?}");
    let manifest = std::fs::read_to_string(system.state().join("apps/pets/app.toml")).unwrap();
    assert!(
        manifest.contains("[credentials.key]") && manifest.contains("# [credentials.basic]"),
        "{manifest}"
    );
    assert!(manifest.contains("ends in logs"), "{manifest}");
    assert_eq!(state_of(&system, "pets").as_deref(), Some("waiting"));
    let mut command = system.command(&["apps", "authorize", "pets", "--from-env", "KEY_OF_PETS"]);
    assert!(command.env("KEY_OF_PETS", "k3y-of-mine").output().unwrap().status.success());
    assert_eq!(state_of(&system, "pets").as_deref(), Some("ok"));
    assert!(system.ask("Use pets.getPet").answer().contains("Rex"));
    assert_eq!(server.count(), 1, "it was not asked before it was called");
}
