//! mail: a mailbox kept in the data folder, filled from the seed at first.
//!
//! Answers: messages, threads; and keeps what was sent (`outbox.json`), drafted (`drafts.json`) and every call
//! (`journal.jsonl`), so that anyone can see afterwards what left and what went.
//! Never: really sends anything anywhere.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::folder::{Folder, Locked, now};
use crate::operation::{App, Line, Operation, Refusal, Text, parse};

/// The user's mailbox.
pub static MAIL: App = App {
    name: "mail",
    operations: &[
        Operation {
            name: "newest",
            about: "Gives the newest messages, newest first, with their text.",
            request: include_str!("../../../data/apps/mail/newest.request.json"),
            response: include_str!("../../../data/apps/mail/newest.response.json"),
            reads_only: true,
            run: newest,
        },
        Operation {
            name: "search",
            about: "Finds messages that contain all of the words, newest first.",
            request: include_str!("../../../data/apps/mail/search.request.json"),
            response: include_str!("../../../data/apps/mail/search.response.json"),
            reads_only: true,
            run: search,
        },
        Operation {
            name: "get_message",
            about: "Gives one message with its text.",
            request: include_str!("../../../data/apps/mail/get_message.request.json"),
            response: include_str!("../../../data/apps/mail/get_message.response.json"),
            reads_only: true,
            run: get_message,
        },
        Operation {
            name: "get_thread",
            about: "Gives all messages of a thread, oldest first.",
            request: include_str!("../../../data/apps/mail/get_thread.request.json"),
            response: include_str!("../../../data/apps/mail/get_thread.response.json"),
            reads_only: true,
            run: get_thread,
        },
        Operation {
            name: "create_draft",
            about: "Keeps a message as a draft, unsent.",
            request: include_str!("../../../data/apps/mail/create_draft.request.json"),
            response: include_str!("../../../data/apps/mail/create_draft.response.json"),
            reads_only: false,
            run: create_draft,
        },
        Operation {
            name: "send",
            about: "Sends a message.",
            request: include_str!("../../../data/apps/mail/send.request.json"),
            response: include_str!("../../../data/apps/mail/send.response.json"),
            reads_only: false,
            run: send,
        },
        Operation {
            name: "delete",
            about: "Deletes a message for good.",
            request: include_str!("../../../data/apps/mail/delete.request.json"),
            response: include_str!("../../../data/apps/mail/delete.response.json"),
            reads_only: false,
            run: delete,
        },
    ],
};

const MAILBOX: &str = "mailbox.json";

#[derive(Deserialize, Serialize)]
struct Mailbox {
    messages: Vec<Message>,
}

#[derive(Deserialize, Serialize)]
struct Message {
    id: String,
    thread: String,
    from: String,
    to: Vec<String>,
    subject: String,
    /// RFC 3339 in UTC, so that the order of the texts is the order of the times.
    date: String,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    count: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: Line,
    count: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ById {
    id: Line<64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByThread {
    thread: Line<64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    to: Vec<Line<254>>,
    #[serde(default)]
    cc: Vec<Line<254>>,
    subject: Text<200>,
    body: Text<65536>,
}

/// Most that one search gives; the schema says the same.
const MAX_COUNT: u8 = 20;

fn newest(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let data = open(folder, "newest", &arguments)?;
    let request: Newest = parse(arguments)?;
    let mut messages = mailbox(&data)?.messages;
    messages.truncate(request.count.unwrap_or(1).clamp(1, MAX_COUNT).into());
    Ok(json!({ "messages": messages }))
}

fn search(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let data = open(folder, "search", &arguments)?;
    let request: Search = parse(arguments)?;
    let words: Vec<String> = request.query.as_str().split_whitespace().map(str::to_lowercase).collect();
    let found: Vec<Value> = mailbox(&data)?
        .messages
        .iter()
        .filter(|message| {
            let text = format!("{} {} {}", message.from, message.subject, message.body).to_lowercase();
            words.iter().all(|word| text.contains(word))
        })
        .take(request.count.unwrap_or(MAX_COUNT).clamp(1, MAX_COUNT).into())
        .map(|message| {
            json!({"id": message.id, "thread": message.thread, "from": message.from, "to": message.to, "subject": message.subject,
                   "date": message.date, "excerpt": message.body.chars().take(120).collect::<String>()})
        })
        .collect();
    Ok(json!({ "messages": found }))
}

fn get_message(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let data = open(folder, "get_message", &arguments)?;
    let ById { id } = parse(arguments)?;
    let message = mailbox(&data)?.messages.into_iter().find(|message| message.id == id.as_str());
    message.map(|message| json!({ "message": message })).ok_or_else(|| absent("message", id.as_str()))
}

fn get_thread(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let data = open(folder, "get_thread", &arguments)?;
    let ByThread { thread } = parse(arguments)?;
    let mut messages = mailbox(&data)?.messages;
    messages.retain(|message| message.thread == thread.as_str());
    messages.reverse();
    if messages.is_empty() {
        Err(absent("thread", thread.as_str()))
    } else {
        Ok(json!({ "messages": messages }))
    }
}

fn create_draft(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    keep(folder, arguments, "create_draft", "drafts.json", "draft")
}

fn send(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    keep(folder, arguments, "send", "outbox.json", "sent")
}

fn delete(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let data = open(folder, "delete", &arguments)?;
    let ById { id } = parse(arguments)?;
    let mut mailbox = mailbox(&data)?;
    let before = mailbox.messages.len();
    mailbox.messages.retain(|message| message.id != id.as_str());
    if mailbox.messages.len() == before {
        return Err(absent("message", id.as_str()));
    }
    data.store(MAILBOX, &mailbox)?;
    Ok(json!({ "id": id, "status": "deleted" }))
}

fn keep(
    folder: &Folder,
    arguments: Map<String, Value>,
    operation: &str,
    file: &'static str,
    status: &str,
) -> Result<Value, Refusal> {
    let data = open(folder, operation, &arguments)?;
    let letter: Letter = parse(arguments)?;
    let mut letters: Vec<Value> = data.load(file)?;
    let id = format!("{status}-{}", letters.len() + 1);
    let Letter { to, cc, subject, body } = letter;
    letters.push(json!({ "id": id, "date": now(), "to": to, "cc": cc, "subject": subject, "body": body }));
    data.store(file, &letters)?;
    Ok(json!({ "id": id, "status": status }))
}

/// Locks the data folder and notes the call.
fn open<'a>(
    folder: &'a Folder,
    operation: &str,
    arguments: &Map<String, Value>,
) -> Result<Locked<'a>, Refusal> {
    let data = folder.lock()?;
    data.note(operation, arguments)?;
    Ok(data)
}

/// All messages, newest first.
fn mailbox(data: &Locked<'_>) -> Result<Mailbox, Refusal> {
    let mut mailbox: Mailbox = data.load_seeded(MAILBOX)?;
    mailbox.messages.sort_by(|one, other| other.date.cmp(&one.date));
    Ok(mailbox)
}

fn absent(kind: &'static str, name: &str) -> Refusal {
    Refusal::Absent { kind, name: name.to_owned() }
}

#[cfg(test)]
mod tests;
