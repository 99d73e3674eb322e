//! Google, as far as its Gmail and Drive interfaces are used here, and a plain web server beside it.
//!
//! Answers: what does it say to a request of the form that its documentation gives?
//! Never: answers a request of Gmail or Drive without its token.

use std::sync::{Arc, Mutex};

use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::{Act, Authority, Seen, Server, answer};

/// What the account holds.
#[derive(Debug, Default)]
pub struct Account {
    /// Messages as Gmail gives them in full, newest first.
    pub messages: Vec<Value>,
    /// Files as Drive lists them, each with its text.
    pub files: Vec<(Value, String)>,
    /// Mails that were sent, as they went over the wire.
    pub sent: Vec<String>,
    /// Drafts, as they would go.
    pub drafts: Vec<String>,
    /// Ids of messages in the bin.
    pub binned: Vec<String>,
}

/// The server. It ends with its runtime.
pub struct Google {
    /// Where it listens, and what it got to see.
    pub server: Server,
    /// What is there by now.
    pub account: Arc<Mutex<Account>>,
    _runtime: Option<tokio::runtime::Runtime>,
}

impl Google {
    /// Over TLS on a loopback address; takes requests with this token.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(authority: &Authority, token: &str, account: Account) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let account = Arc::new(Mutex::new(account));
        let (own, token) = (Arc::clone(&account), format!("Bearer {token}"));
        let says = move |seen: &Seen| says(&mut own.lock().unwrap(), &token, seen);
        let server = runtime.block_on(Server::tls(authority, &["127.0.0.1"], says));
        Self { server, account, _runtime: Some(runtime) }
    }
}

/// A message of plain text, as `format=full` gives it.
#[must_use]
pub fn message(id: &str, thread: &str, from: &str, subject: &str, text: &str) -> Value {
    let header = |name: &str, value: &str| json!({"name": name, "value": value});
    json!({
        "id": id, "threadId": thread, "labelIds": ["INBOX"], "snippet": text.chars().take(40).collect::<String>(),
        "payload": {
            "mimeType": "multipart/mixed", "filename": "",
            "headers": [header("From", from), header("To", "me@post.example"), header("Subject", subject), header("Date", "Mon, 4 May 2026 09:00:00 +0000")],
            "body": {"size": 0},
            "parts": [
                {"mimeType": "multipart/alternative", "filename": "", "parts": [
                    {"mimeType": "text/plain", "filename": "", "body": {"size": text.len(), "data": BASE64URL.encode(text.as_bytes())}},
                    {"mimeType": "text/html", "filename": "", "body": {"size": 1, "data": BASE64URL.encode(b"<p>html</p>")}}]},
                {"mimeType": "application/pdf", "filename": "plan.pdf", "body": {"attachmentId": "a1", "size": 3}}],
        },
    })
}

/// A document of Drive.
#[must_use]
pub fn file(id: &str, name: &str, mime_type: &str, text: &str) -> (Value, String) {
    let link = format!("https://docs.google.com/document/d/{id}");
    (
        json!({"id": id, "name": name, "mimeType": mime_type, "webViewLink": link, "modifiedTime": "2026-05-01T10:00:00.000Z"}),
        text.to_owned(),
    )
}

fn says(account: &mut Account, token: &str, seen: &Seen) -> Vec<Act> {
    let method = seen.line.split(' ').next().unwrap_or_default();
    let url = url::Url::parse(&format!("https://google.example{}", seen.path())).unwrap();
    let path = url.path();
    let of_google = path.starts_with("/gmail/") || path.starts_with("/drive/");
    if of_google && seen.header("authorization") != Some(token) {
        return fault(401, "Request had invalid authentication credentials.");
    }
    let query =
        |name: &str| url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["gmail", "v1", "users", "me", "messages"]) => search(account, query),
        ("GET", ["gmail", "v1", "users", "me", "messages", id])
            if query("format").as_deref() == Some("full") =>
        {
            found(account.messages.iter().find(|message| message["id"] == *id))
        }
        ("POST", ["gmail", "v1", "users", "me", "messages", "send"]) => {
            account.sent.push(mail(&body["raw"]));
            json_answer(
                &json!({"id": format!("sent-{}", account.sent.len()), "threadId": "t-sent", "labelIds": ["SENT"]}),
            )
        }
        ("POST", ["gmail", "v1", "users", "me", "drafts"]) => {
            account.drafts.push(mail(&body["message"]["raw"]));
            let id = format!("draft-{}", account.drafts.len());
            json_answer(&json!({"id": id, "message": {"id": format!("m-{id}"), "threadId": "t-draft"}}))
        }
        ("POST", ["gmail", "v1", "users", "me", "messages", id, "trash"]) => {
            let message = account.messages.iter().find(|message| message["id"] == *id);
            account.binned.extend(message.map(|_| (*id).to_owned()));
            found(message)
        }
        ("GET", ["gmail", "v1", "users", "me", "threads"]) => {
            let thread = |m: &Value| json!({"id": m["threadId"], "snippet": m["snippet"], "historyId": "7"});
            json_answer(&json!({"threads": account.messages.iter().map(thread).collect::<Vec<_>>()}))
        }
        ("GET", ["gmail", "v1", "users", "me", "threads", id]) => {
            let of_it: Vec<&Value> =
                account.messages.iter().filter(|message| message["threadId"] == *id).collect();
            let thread = json!({"id": id, "historyId": "7", "messages": of_it});
            found((!of_it.is_empty()).then_some(&thread))
        }
        ("GET", ["drive", "v3", "files"]) => files(account, &query("q").unwrap_or_default()),
        ("GET", ["drive", "v3", "files", id, "export"]) => match named(account, id) {
            Some((about, text))
                if about["mimeType"].as_str().unwrap().starts_with("application/vnd.google-apps.") =>
            {
                answer("200 OK", &[("Content-Type", &query("mimeType").unwrap_or_default())], text)
            }
            Some(_) => fault(403, "Export only supports Docs Editors files."),
            None => fault(404, "File not found."),
        },
        ("GET", ["drive", "v3", "files", id]) if query("alt").as_deref() == Some("media") => {
            match named(account, id) {
                Some((about, text)) => {
                    answer("200 OK", &[("Content-Type", about["mimeType"].as_str().unwrap())], text)
                }
                None => fault(404, "File not found."),
            }
        }
        (_, ["echo", ..]) => json_answer(
            &json!({"method": method, "path": seen.path(), "body": body, "authorization": seen.header("authorization")}),
        ),
        _ => fault(404, "Requested entity was not found."),
    }
}

/// Gmail's search takes words; `newest` ones come first by themselves.
fn search(account: &Account, query: impl Fn(&str) -> Option<String>) -> Vec<Act> {
    let (words, most) =
        (query("q").unwrap_or_default(), query("maxResults").and_then(|most| most.parse().ok()));
    let fits = |message: &&Value| message.to_string().to_lowercase().contains(&words.to_lowercase());
    let all: Vec<&Value> = account.messages.iter().filter(fits).collect();
    let most: usize = most.unwrap_or(100);
    let ids: Vec<Value> =
        all.iter().take(most).map(|m| json!({"id": m["id"], "threadId": m["threadId"]})).collect();
    let mut list = json!({"resultSizeEstimate": all.len()});
    if !ids.is_empty() {
        list["messages"] = json!(ids);
    }
    if most < all.len() {
        list["nextPageToken"] = json!("p2");
    }
    json_answer(&list)
}

/// The words of `fullText contains 'words' and …`, in which a quote is `\'`. What else is asked for is not understood here.
fn files(account: &Account, query: &str) -> Vec<Act> {
    let plain = query.replace("\\'", "\u{1}");
    let words = plain
        .strip_prefix("fullText contains '")
        .and_then(|rest| rest.split_once("' and trashed = false and ("));
    let Some((words, _)) = words else { return fault(400, "Invalid Value") };
    let words = words.replace('\u{1}', "'").to_lowercase();
    let fits =
        |file: &&(Value, String)| format!("{} {}", file.0["name"], file.1).to_lowercase().contains(&words);
    let found: Vec<&Value> = account.files.iter().filter(fits).map(|(about, _)| about).collect();
    json_answer(&json!({"files": found}))
}

fn named<'a>(account: &'a Account, id: &str) -> Option<&'a (Value, String)> {
    account.files.iter().find(|(about, _)| about["id"] == id)
}

fn mail(raw: &Value) -> String {
    let raw = raw.as_str().unwrap_or_default();
    let bytes = BASE64URL.decode(raw.as_bytes()).or_else(|_| BASE64URL_NOPAD.decode(raw.as_bytes()));
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

fn found(value: Option<&Value>) -> Vec<Act> {
    value.map_or_else(|| fault(404, "Requested entity was not found."), json_answer)
}

fn json_answer(value: &Value) -> Vec<Act> {
    answer("200 OK", &[("Content-Type", "application/json; charset=UTF-8")], &value.to_string())
}

fn fault(code: u16, message: &str) -> Vec<Act> {
    let body = json!({"error": {"code": code, "message": message, "status": "X"}}).to_string();
    answer(&format!("{code} X"), &[("Content-Type", "application/json; charset=UTF-8")], &body)
}
