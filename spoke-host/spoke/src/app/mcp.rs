//! An MCP server as an app.
//!
//! Answers: does the server offer what its manifest says, and what does a tool return?
//! Never: calls a tool that the manifest does not name; takes a server's words about its tools for anything.

use std::time::Duration;

use bus::message::task::{Failure, FailureCode};
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, PaginatedRequestParams};
use rmcp::service::{Peer, ServiceError};
use rmcp::{RoleClient, ServiceExt};
use serde_json::Value;

use super::frames::Frames;
use super::{Life, Undertaker};
use crate::job::cut;

/// How long a server has to greet and to list its tools. Some load a model or a package first.
const GREETING: Duration = Duration::from_secs(60);

/// Pages of tools that are read.
const MAX_PAGES: usize = 64;

/// Longest words of an app about its own failure, bytes.
const MAX_WORDS: usize = 2000;

/// Greets the server and compares what it offers with what the manifest needs. Then keeps the conversation alive.
pub(super) async fn greet(frames: Frames, needed: Vec<String>, undertaker: Undertaker) {
    let greeting = async {
        let running =
            ().serve(frames).await.map_err(|error| format!("did not greet as an MCP server: {error}"))?;
        let missing = missing(running.peer(), needed).await?;
        Ok::<_, String>((running, missing))
    };
    match tokio::time::timeout(GREETING, greeting).await {
        Ok(Ok((running, missing))) if missing.is_empty() => {
            undertaker.0.send_if_modified(|life| match life {
                Life::Starting => {
                    *life = Life::Serving(running.peer().clone());
                    true
                }
                _ => false,
            });
            // Ends when the app closes its output.
            let _ = running.waiting().await;
            tokio::time::sleep(super::CLOSING).await;
            undertaker.nonsense("closed its output without ending");
        }
        Ok(Ok((_running, missing))) => {
            undertaker.nonsense(&format!("does not offer what its manifest names: {}", missing.join(", ")));
        }
        Ok(Err(how)) => {
            // An app that has just ended could not greet either; then its end is the better word.
            tokio::time::sleep(Duration::from_millis(100)).await;
            undertaker.nonsense(&cut(&how, MAX_WORDS));
        }
        Err(_) => undertaker.nonsense(&format!("did not greet within {GREETING:?}")),
    }
}

/// Which of the needed tools does the server not offer? What it offers besides is not looked at.
async fn missing(peer: &Peer<RoleClient>, mut needed: Vec<String>) -> Result<Vec<String>, String> {
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = peer
            .list_tools(cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor))))
            .await
            .map_err(|error| format!("did not list its tools: {error}"))?;
        needed.retain(|name| !page.tools.iter().any(|tool| tool.name == name.as_str()));
        cursor = page.next_cursor;
        if needed.is_empty() || cursor.is_none() {
            break;
        }
    }
    Ok(needed)
}

/// Why a call has no result.
pub(super) enum NotCalled {
    /// For the reason said.
    Failure(Failure),
    /// The server is no longer there.
    Gone,
}

/// Calls a tool. Dropping this tells the server to stop.
pub(super) async fn call(peer: &Peer<RoleClient>, tool: &str, args: Value) -> Result<Value, NotCalled> {
    let app = |words: String| NotCalled::Failure(Failure::new(FailureCode::App, words));
    let mut request = CallToolRequestParams::new(tool.to_owned());
    match args {
        Value::Object(args) => request = request.with_arguments(args),
        Value::Null => {}
        _ => {
            let words = "the arguments of a tool are an object";
            return Err(NotCalled::Failure(Failure::new(FailureCode::Arguments, words)));
        }
    }
    match peer.call_tool(request).await {
        Ok(result) if result.is_error == Some(true) => Err(app(said(&result))),
        Ok(result) => Ok(value(result)),
        Err(ServiceError::McpError(error)) => Err(app(cut(&error.message, MAX_WORDS))),
        Err(ServiceError::UnexpectedResponse) => Err(NotCalled::Failure(Failure::new(
            FailureCode::AppNonsense,
            format!("the answer to {tool} is not one that MCP knows"),
        ))),
        Err(ServiceError::TransportClosed | ServiceError::TransportSend(_)) => Err(NotCalled::Gone),
        Err(other) => Err(app(cut(&other.to_string(), MAX_WORDS))),
    }
}

/// The result proper: structured if the server says so, else its text, as JSON where it is JSON.
fn value(result: CallToolResult) -> Value {
    if let Some(value) = result.structured_content {
        return value;
    }
    let text = text(&result.content);
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// What the app says about its failure.
fn said(result: &CallToolResult) -> String {
    let words = match text(&result.content) {
        words if !words.is_empty() => words,
        _ => result.structured_content.as_ref().map_or("it does not say why".to_owned(), Value::to_string),
    };
    cut(&words, MAX_WORDS)
}

fn text(content: &[ContentBlock]) -> String {
    let texts: Vec<&str> = content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_structured_result_is_preferred_to_its_text() {
        assert_eq!(value(CallToolResult::structured(json!({"fare": 51.8}))), json!({"fare": 51.8}));
    }

    #[test]
    fn a_text_is_read_as_json_where_it_is_json() {
        let of = |text: &str| value(CallToolResult::success(vec![ContentBlock::text(text)]));
        assert_eq!(of(r#"{"fare": 57}"#), json!({"fare": 57}));
        assert_eq!(of("57 dollars"), json!("57 dollars"));
    }

    #[test]
    fn an_apps_words_are_bounded() {
        let result = CallToolResult::error(vec![ContentBlock::text("x".repeat(10_000))]);
        assert!(said(&result).len() <= MAX_WORDS + '…'.len_utf8());
    }
}
