//! What the model says, in the words of the OpenAI protocol.
//!
//! Answers: how does a reply look as one body, and how as a stream of pieces?
//! Never: leaves out which model said it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::MODEL_ID;

/// What the model says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Words; or JSON, where that was asked for.
    Text(String),
    /// Calls of tools.
    Calls(Vec<Call>),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

impl Reply {
    /// A plan, its steps numbered.
    pub fn plan(answer: Option<&str>, steps: Vec<Value>) -> Reply {
        let numbered = steps.into_iter().enumerate().map(|(at, step)| {
            let mut whole = Map::from_iter([("id".to_owned(), Value::from(format!("s{}", at + 1)))]);
            if let Value::Object(step) = step {
                whole.extend(step);
            }
            Value::Object(whole)
        });
        Reply::Text(json!({ "answer": answer, "steps": numbered.collect::<Vec<_>>() }).to_string())
    }

    /// Calls, from what the template function `use` writes.
    pub fn calls(written: Vec<Value>) -> Result<Reply, String> {
        let call = |written: Value| {
            let name =
                written.get("tool").and_then(Value::as_str).ok_or_else(|| format!("no call: {written}"))?;
            let arguments = written.get("arguments").cloned().unwrap_or_else(|| json!({}));
            Ok(Call { name: name.to_owned(), arguments })
        };
        written.into_iter().map(call).collect::<Result<_, String>>().map(Reply::Calls)
    }

    /// The reply on a line, for examples and logs.
    pub fn plain(&self) -> String {
        match self {
            Reply::Text(text) => text.clone(),
            Reply::Calls(calls) => calls
                .iter()
                .map(|call| format!("{} {}", call.name, call.arguments))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// Where a piece may end: after each word, and after each call.
    fn pieces(&self) -> Vec<Value> {
        match self {
            Reply::Text(text) => {
                text.split_inclusive(char::is_whitespace).map(|word| json!({ "content": word })).collect()
            }
            Reply::Calls(_) => {
                let Value::Array(calls) = self.tool_calls() else { return Vec::new() };
                let indexed = calls.into_iter().enumerate().map(|(at, mut call)| {
                    if let Value::Object(call) = &mut call {
                        call.insert("index".to_owned(), at.into());
                    }
                    json!({ "tool_calls": [call] })
                });
                indexed.collect()
            }
        }
    }

    fn tool_calls(&self) -> Value {
        let Reply::Calls(calls) = self else { return Value::Null };
        let entries = calls.iter().map(|call| {
            json!({ "id": format!("call_{}", fresh()), "type": "function",
                    "function": { "name": call.name, "arguments": call.arguments.to_string() } })
        });
        entries.collect()
    }

    fn finish(&self) -> &'static str {
        match self {
            Reply::Text(_) => "stop",
            Reply::Calls(_) => "tool_calls",
        }
    }

    fn size(&self) -> usize {
        match self {
            Reply::Text(text) => text.len(),
            Reply::Calls(calls) => {
                calls.iter().map(|call| call.name.len() + call.arguments.to_string().len()).sum()
            }
        }
    }
}

/// The numbers of a turn. Four bytes count as a token, which is near the truth for English.
pub fn usage(reply: &Reply, context: usize) -> Value {
    let (prompt, completion) = (context.div_ceil(4), reply.size().div_ceil(4));
    json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
}

/// The whole reply as one body.
pub fn body(reply: &Reply, context: usize) -> Value {
    let mut message = json!({ "role": "assistant", "content": null });
    if let Value::Object(message) = &mut message {
        match reply {
            Reply::Text(text) => message.insert("content".to_owned(), text.as_str().into()),
            Reply::Calls(_) => message.insert("tool_calls".to_owned(), reply.tool_calls()),
        };
    }
    let mut whole = head("chat.completion");
    whole.insert(
        "choices".to_owned(),
        json!([{ "index": 0, "message": message, "finish_reason": reply.finish() }]),
    );
    whole.insert("usage".to_owned(), usage(reply, context));
    Value::Object(whole)
}

/// The reply as the events of a stream, without the closing `[DONE]`.
pub fn stream(reply: &Reply, context: usize, with_usage: bool) -> Vec<Value> {
    let head = head("chat.completion.chunk");
    let event = |choices: Value, usage: Option<Value>| {
        let mut event = head.clone();
        event.insert("choices".to_owned(), choices);
        if let Some(usage) = usage {
            event.insert("usage".to_owned(), usage);
        }
        Value::Object(event)
    };
    let choice =
        |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut events = vec![event(choice(json!({ "role": "assistant" }), Value::Null), None)];
    events.extend(reply.pieces().into_iter().map(|piece| event(choice(piece, Value::Null), None)));
    events.push(event(choice(json!({}), reply.finish().into()), None));
    if with_usage {
        events.push(event(json!([]), Some(usage(reply, context))));
    }
    events
}

fn head(object: &str) -> Map<String, Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Map::from_iter([
        ("id".to_owned(), format!("chatcmpl-{}", fresh()).into()),
        ("object".to_owned(), object.into()),
        ("created".to_owned(), now.into()),
        ("model".to_owned(), MODEL_ID.into()),
        ("system_fingerprint".to_owned(), concat!("scripted-model-", env!("CARGO_PKG_VERSION")).into()),
    ])
}

/// A number not given before in this process.
fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
