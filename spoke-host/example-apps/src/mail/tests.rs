//! The mailbox, on the seed that ships.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::MAIL;
use crate::folder::Folder;
use crate::operation::Refusal;

struct Mail {
    data: TempDir,
}

impl Mail {
    fn new() -> Mail {
        Mail { data: tempfile::tempdir().unwrap() }
    }

    fn call(&self, name: &str, arguments: Value) -> Result<Value, Refusal> {
        let app: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/apps/mail");
        let operation = MAIL.operations.iter().find(|operation| operation.name == name).unwrap();
        (operation.run)(&Folder::at(app, self.data.path()), arguments.as_object().unwrap().clone())
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.data.path().join(name)).unwrap()
    }
}

#[test]
fn the_newest_message_comes_first_and_with_its_text() {
    let answer = Mail::new().call("newest", json!({})).unwrap();
    assert_eq!(answer["messages"].as_array().unwrap().len(), 1);
    assert_eq!(answer["messages"][0]["id"], "m5");
    assert!(answer["messages"][0]["body"].as_str().unwrap().contains("Thursday"));
}

#[test]
fn a_search_needs_all_words_in_any_case() {
    let mail = Mail::new();
    let ids = |query: &str| -> Vec<String> {
        let answer = mail.call("search", json!({ "query": query })).unwrap();
        answer["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("DINNER saturday"), ["m3", "m2"]);
    assert_eq!(ids("dinner zeppelin"), Vec::<String>::new());
}

#[test]
fn a_thread_is_told_from_its_beginning() {
    let answer = Mail::new().call("get_thread", json!({"thread": "t2"})).unwrap();
    assert_eq!(answer["messages"][0]["id"], "m2");
    assert_eq!(answer["messages"][1]["id"], "m3");
}

#[test]
fn what_is_sent_is_kept_with_recipient_and_content() {
    let mail = Mail::new();
    let letter = json!({"to": ["a@b.example"], "subject": "Hello", "body": "two\nlines"});
    assert_eq!(mail.call("send", letter).unwrap(), json!({"id": "sent-1", "status": "sent"}));
    let outbox: Value = serde_json::from_str(&mail.file("outbox.json")).unwrap();
    assert_eq!(outbox[0]["to"], json!(["a@b.example"]));
    assert_eq!(outbox[0]["body"], "two\nlines");
    assert!(!mail.data.path().join("drafts.json").exists());
}

#[test]
fn a_deleted_message_stays_deleted_and_the_call_is_on_record() {
    let mail = Mail::new();
    assert_eq!(mail.call("delete", json!({"id": "m5"})).unwrap()["status"], "deleted");
    assert_eq!(mail.call("newest", json!({})).unwrap()["messages"][0]["id"], "m4");
    assert!(mail.call("delete", json!({"id": "m5"})).is_err());
    assert_eq!(
        mail.file("journal.jsonl").lines().next().unwrap(),
        r#"{"functionality":"delete","arguments":{"id":"m5"}}"#
    );
}

#[test]
fn a_letter_without_a_body_or_with_a_huge_one_is_refused() {
    let mail = Mail::new();
    assert!(mail.call("send", json!({"to": ["a@b.example"], "subject": "x"})).is_err());
    assert!(
        mail.call("send", json!({"to": ["a@b.example"], "subject": "x", "body": "y".repeat(65537)})).is_err()
    );
    assert!(mail.call("send", json!({"to": ["a\n@b.example"], "subject": "x", "body": ""})).is_err());
    assert!(!mail.data.path().join("outbox.json").exists());
}
