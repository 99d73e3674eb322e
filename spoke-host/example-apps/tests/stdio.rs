//! Every app of the catalogue that is an MCP server, run as a process and spoken to by an MCP client.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-app");

fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/apps")
}

/// The manifest of each app whose program this is.
fn manifests() -> Vec<toml::Table> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(apps()).unwrap() {
        let folder = folder.unwrap().path();
        // A document may stand beside the folders.
        if !folder.is_dir() {
            continue;
        }
        let manifest = std::fs::read_to_string(folder.join("app.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        if manifest.get("command").is_some_and(|command| command[0].as_str() == Some("example-app")) {
            found.push(manifest);
        }
    }
    assert!(6 <= found.len());
    found
}

struct Served {
    client: RunningService<RoleClient, ()>,
    data: TempDir,
}

impl Served {
    async fn start(app: &str) -> Served {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg(app).env_clear().env("APP_DIR", apps().join(app)).env("APP_DATA", data.path());
        let client = ().serve(TokioChildProcess::new(command).unwrap()).await.unwrap();
        Served { client, data }
    }

    async fn call(&self, name: &str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().unwrap().clone();
        let request = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        self.client.call_tool(request).await.unwrap()
    }
}

#[tokio::test]
async fn every_app_offers_exactly_what_its_manifest_says() {
    for manifest in manifests() {
        let app = manifest["name"].as_str().unwrap();
        let served = Served::start(app).await;
        let offered: BTreeSet<String> = served
            .client
            .list_all_tools()
            .await
            .unwrap()
            .into_iter()
            .map(|tool| tool.name.into_owned())
            .collect();
        let declared: BTreeSet<String> = manifest["functionality"]
            .as_array()
            .unwrap()
            .iter()
            .map(|functionality| functionality["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(offered, declared, "{app}");
    }
}

#[tokio::test]
async fn every_result_is_what_its_schema_says() {
    let letter = json!({"to": ["a@b.example"], "subject": "s", "body": "b"});
    let patient = json!({"name": "A", "date_of_birth": "1970-01-01", "city": "C", "email": "a@b.example", "medical_issues": "cough"});
    let calls = [
        ("metro_hail", "estimate_fare", json!({"start_point": "A", "end_point": "B"})),
        ("quick_ride", "estimate_fare", json!({"start_point": "A", "end_point": "B"})),
        ("travel_mate", "book_flight", json!({"departure_city": "A", "destination_city": "B", "date": "C"})),
        ("health_companion", "book_appointment", patient),
        ("mail", "newest", json!({"count": 3})),
        ("mail", "search", json!({"query": "dinner"})),
        ("mail", "get_message", json!({"id": "m1"})),
        ("mail", "get_thread", json!({"thread": "t2"})),
        ("mail", "create_draft", letter.clone()),
        ("mail", "send", letter),
        ("mail", "delete", json!({"id": "m1"})),
        ("drive", "list", json!({})),
        ("drive", "search", json!({"query": "passport"})),
        ("drive", "read", json!({"file": "f1"})),
        ("drive", "write", json!({"name": "n", "content": "c"})),
        ("drive", "share", json!({"file": "f1", "with": "a@b.example"})),
    ];
    let declared: usize =
        manifests().iter().map(|manifest| manifest["functionality"].as_array().unwrap().len()).sum();
    assert_eq!(calls.len(), declared, "a functionality has no call here");
    for (app, name, arguments) in calls {
        let valid = |kind: &str, value: &Value| {
            let path = apps().join(app).join(format!("{name}.{kind}.json"));
            let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            jsonschema::validate(&schema, value)
                .unwrap_or_else(|error| panic!("{app}.{name} {kind}: {error}"));
        };
        valid("request", &arguments);
        let served = Served::start(app).await;
        let result = served.call(name, arguments).await;
        assert_eq!(result.is_error, Some(false), "{app}.{name}: {result:?}");
        valid("response", &result.structured_content.unwrap());
    }
}

#[tokio::test]
async fn a_refused_call_is_an_error_result_and_the_server_goes_on() {
    let served = Served::start("mail").await;
    let result = served.call("get_message", json!({"id": "none"})).await;
    assert_eq!(result.is_error, Some(true));
    assert_eq!(served.call("send", json!({"subject": "no recipient"})).await.is_error, Some(true));
    assert_eq!(served.call("newest", json!({})).await.is_error, Some(false));
    assert!(!served.data.path().join("outbox.json").exists());
}

#[tokio::test]
async fn two_processes_on_one_folder_lose_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut servers = Vec::new();
    for _ in 0..2 {
        let mut command = Command::new(PROGRAM);
        command.arg("travel_mate").env_clear().env("APP_DATA", data.path());
        servers.push(().serve(TokioChildProcess::new(command).unwrap()).await.unwrap());
    }
    let flight =
        json!({"departure_city": "A", "destination_city": "B", "date": "C"}).as_object().unwrap().clone();
    for _ in 0..50 {
        let call = |at: usize| {
            servers[at].call_tool(CallToolRequestParams::new("book_flight").with_arguments(flight.clone()))
        };
        let (one, other) = tokio::join!(call(0), call(1));
        assert_ne!(one.unwrap().structured_content, other.unwrap().structured_content);
    }
    let kept = std::fs::read_to_string(data.path().join("bookings.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 100);
}

#[tokio::test]
async fn garbage_and_endless_lines_do_not_end_it_and_the_end_of_input_does() {
    let mut child = Command::new(PROGRAM)
        .arg("metro_hail")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let endless = "x".repeat(2_000_000);
    input.write_all(format!("{hello}\n{ready}\n{{not json\n{endless}\n{ping}\n").as_bytes()).await.unwrap();
    let answers = async {
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(r#""id":2"#) {
            let read = output.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "ended early: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        drop(input);
        child.wait().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_secs(20), answers).await.unwrap();
    assert!(status.success(), "{status}");
}
