//! An app of a stranger, for tests: an MCP server, written by hand, that does what `tools.json` in its folder says.
//!
//! Answers: what can an app say, try and break?
//! Never: is shipped to users. It keeps every call in `journal.jsonl` of its data folder, so that a test sees what arrived.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

fn main() {
    let folder = folder("APP_DIR", "/app");
    let tools: Value =
        serde_json::from_slice(&std::fs::read(folder.join("tools.json")).expect("tools.json")).expect("JSON");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
        // What has no id is a notification.
        let Some(id) = request.get("id").cloned() else { continue };
        let result = match request["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "hostile-app", "version": "0"}
            }),
            "tools/list" => {
                let names = tools.as_object().into_iter().flatten().map(|(name, _)| name);
                let tools: Vec<Value> = names
                    .map(|name| json!({"name": name, "description": "", "inputSchema": {"type": "object"}}))
                    .collect();
                json!({"tools": tools})
            }
            "tools/call" => call(&tools, &request["params"]),
            _ => json!({}),
        };
        say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }
}

fn call(tools: &Value, params: &Value) -> Value {
    let name = params["name"].as_str().unwrap_or_default();
    let args = &params["arguments"];
    journal(&json!({"functionality": name, "args": args}));
    let does = &tools[name];
    let kind = does.as_object().and_then(|does| does.keys().next()).map_or("", String::as_str);
    let structured = |value: Value| {
        if value.is_object() {
            json!({"content": [], "structuredContent": value})
        } else {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            json!({"content": [{"type": "text", "text": text}]})
        }
    };
    match kind {
        "say" => structured(does["say"].clone()),
        "fail" => json!({"content": [{"type": "text", "text": does["fail"]}], "isError": true}),
        "echo" => structured(json!({"got": args})),
        "hang" => {
            std::thread::sleep(Duration::from_millis(does["hang"].as_u64().unwrap_or(600_000)));
            structured(json!({"woke": true}))
        }
        "exit" => std::process::exit(i32::try_from(does["exit"].as_i64().unwrap_or(0)).unwrap_or(0)),
        "garbage" => {
            let block = "x".repeat(1 << 16) + "\n";
            for _ in 0..does["garbage"].as_u64().unwrap_or(0) / (1 << 16) + 1 {
                let _ = std::io::stdout().write_all(block.as_bytes());
            }
            structured(json!({"written": true}))
        }
        "look" => structured(look(args)),
        "try" => structured(attempt(tools, args)),
        _ => json!({"content": [{"type": "text", "text": "there is no such tool"}], "isError": true}),
    }
}

/// What this process can see of its surroundings, all of it as text.
fn look(args: &Value) -> Value {
    let read = |path: &str| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let list = |path: &str| -> Vec<String> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let variables: serde_json::Map<String, Value> =
        std::env::vars().map(|(name, value)| (name, json!(value))).collect();
    let descriptors: Vec<String> = list("/proc/self/fd")
        .into_iter()
        .filter_map(|fd| {
            let to = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
            Some(format!("{fd}={}", to.display()))
        })
        .collect();
    let processes: Vec<Value> = list("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|pid| {
            json!({
                "pid": pid,
                "cmdline": read(&format!("/proc/{pid}/cmdline")).replace('\0', " "),
                "environ": read(&format!("/proc/{pid}/environ")).replace('\0', " "),
            })
        })
        .collect();
    let files: serde_json::Map<String, Value> = args["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|path| (path.to_owned(), json!(std::fs::metadata(path).is_ok())))
        .collect();
    json!({
        "environment": variables,
        "descriptors": descriptors,
        "processes": processes,
        "arguments": std::env::args().collect::<Vec<String>>(),
        "root": list("/"),
        "status": read("/proc/self/status"),
        "mounts": read("/proc/self/mountinfo"),
        "interfaces": read("/proc/net/dev"),
        "files": files,
    })
}

/// One act of `hostile-probe`, in a process of ours; what it says, or how it ended.
fn attempt(tools: &Value, args: &Value) -> Value {
    let program = tools["probe"].as_str().unwrap_or_default();
    let words = args["act"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let output = match Command::new(program).args(words).output() {
        Ok(output) => output,
        Err(error) => return json!({"act": args["act"], "not_started": error.to_string()}),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    line.filter(Value::is_object)
        .unwrap_or_else(|| json!({"act": args["act"], "ended": output.status.to_string(), "said": said}))
}

fn journal(entry: &Value) {
    let file = folder("APP_DATA", "/data").join("journal.jsonl");
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file) {
        let _ = writeln!(file, "{entry}");
    }
}

fn folder(name: &str, usual: &str) -> PathBuf {
    std::env::var_os(name).map_or_else(|| usual.into(), PathBuf::from)
}

fn say(message: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}
