//! An MCP server spoken to directly, over its pipes: the yardstick, and the control.
//!
//! Answers: what does the server say with nothing of ours in between?
//! Never: answers what the server asks, but with a refusal; outlives the test.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Map, Value, json};

/// A server and its pipes. Killed at the end.
pub struct Pipes {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next: u64,
}

impl Pipes {
    /// Starts and greets it; `declares` are the capabilities of the client.
    ///
    /// # Panics
    /// If it does not start or answer.
    #[must_use]
    pub fn start(command: &[String], folder: &Path, declares: &Value) -> Self {
        Self::start_with(command, folder, declares, &[])
    }

    /// The same, with more variables.
    ///
    /// # Panics
    /// As [`Pipes::start`].
    #[must_use]
    pub fn start_with(command: &[String], folder: &Path, declares: &Value, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(folder)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut pipes = Self { child, stdin, stdout, next: 0 };
        pipes.ask(
            "initialize",
            &json!({
                "protocolVersion": "2025-06-18", "capabilities": declares,
                "clientInfo": {"name": "test", "version": "1"},
            }),
        );
        pipes.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        pipes
    }

    /// One request, and its result.
    ///
    /// # Panics
    /// If there is none.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        self.say(&json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}));
        loop {
            let mut line = String::new();
            assert!(
                self.stdout.read_line(&mut line).is_ok_and(|length| 0 < length),
                "{method}: it has ended"
            );
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            if message.get("method").is_some() {
                if let Some(id) = message.get("id") {
                    let error = json!({"code": -32601, "message": "no"});
                    self.say(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
                }
                continue;
            }
            if message["id"] == self.next {
                return message.get("result").cloned().unwrap_or_else(|| message.clone());
            }
        }
    }

    /// A call of a tool.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn call(&mut self, tool: &str, args: &Value) -> Value {
        self.ask("tools/call", &json!({"name": tool, "arguments": args}))
    }

    /// What it offers, in the form of `discovered.json`. Some servers learn late what their client can do.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn tools(&mut self) -> Value {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let all = self.ask("tools/list", &json!({}));
        let tools = all["tools"].as_array().expect("tools");
        let one = |tool: &Value| {
            let field = |name: &str| tool.get(name).cloned().unwrap_or_default();
            let said = json!({
                "title": field("title"), "description": field("description"), "request": field("inputSchema"),
                "response": field("outputSchema"), "annotations": field("annotations"),
            });
            (tool["name"].as_str().expect("a name").to_owned(), said)
        };
        Value::Object(tools.iter().map(one).collect::<Map<String, Value>>())
    }

    fn say(&mut self, message: &Value) {
        let mut line = message.to_string();
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).expect("it reads");
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        // Has it ended? Then all is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
