//! What the templates of recipes can do besides what minijinja brings.
//!
//! Answers: how are mails written and read, and how is a tree of parts looked through?
//! Never: fails on what a stranger sent; a part that cannot be read is empty.

use data_encoding::{BASE64, BASE64URL};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use crate::app::http::body::from_base64;

/// The deepest tree of parts, and the most parts, that are looked at.
const MAX_DEPTH: usize = 32;
const MAX_PARTS: usize = 1_000;

/// Bytes of UTF-8 in one encoded word: with its frame it has at most 75 characters (RFC 2047).
const WORD: usize = 42;

/// Adds the filters.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("base64url", |text: String| BASE64URL.encode(text.as_bytes()));
    environment.add_filter("unbase64", unbase64);
    environment.add_filter("crlf", |text: String| text.replace("\r\n", "\n").replace('\n', "\r\n"));
    environment.add_filter("mime_body", mime_body);
    environment.add_filter("mime_word", mime_word);
    environment.add_filter("one_line", one_line);
    environment.add_filter("walk", walk);
    environment.add_filter("field", field);
    environment.add_filter("untag", |text: String| untag(&text));
}

/// Text out of base64, of any alphabet.
fn unbase64(text: Option<String>) -> String {
    let bytes = from_base64(text.as_deref().unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Base64 in lines, as the body of a mail has it.
fn mime_body(text: String) -> String {
    let encoded = BASE64.encode(text.as_bytes());
    let lines = encoded.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned());
    lines.collect::<Vec<_>>().join("\r\n")
}

/// A header's text in encoded words, unless it is plain.
fn mime_word(text: String) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_ascii() && text.len() <= 900 && !text.contains("=?") {
        return text;
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        if words.last().is_some_and(|word| WORD < word.len() + c.len_utf8()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let encoded = words.iter().map(|word| format!("=?UTF-8?B?{}?=", BASE64.encode(word.as_bytes())));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

/// For a header: nothing that could begin another one. Better no mail than one to somebody else.
fn one_line(text: String) -> Result<String, Error> {
    if text.chars().any(char::is_control) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "an address holds a line break or another control character",
        ));
    }
    Ok(text)
}

/// A node with all that is below it in the field of that name, in order.
fn walk(root: Value, below: String) -> Vec<Value> {
    fn add(node: Value, below: &str, depth: usize, all: &mut Vec<Value>) {
        if MAX_DEPTH < depth || MAX_PARTS <= all.len() || node.kind() != ValueKind::Map {
            return;
        }
        let deeper = node.get_attr(below).ok().and_then(|list| list.try_iter().ok());
        all.push(node);
        for node in deeper.into_iter().flatten() {
            add(node, below, depth.saturating_add(1), all);
        }
    }
    let mut all = Vec::new();
    add(root, &below, 0, &mut all);
    all
}

/// Of a list of `{name, value}` the value of that name, however it is written; empty if there is none.
fn field(list: Value, wanted: String) -> String {
    let text =
        |item: &Value, key: &str| item.get_attr(key).ok().and_then(|value| value.as_str().map(str::to_owned));
    let found = list.try_iter().ok().and_then(|mut items| {
        items.find(|item| text(item, "name").is_some_and(|name| name.eq_ignore_ascii_case(&wanted)))
    });
    found.and_then(|item| text(&item, "value")).unwrap_or_default()
}

/// The words of an HTML text: without tags, styles and scripts, with the usual entities.
fn untag(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let inside = after.split('>').next().unwrap_or_default();
        let name: String =
            inside.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        rest = after.get(inside.len().saturating_add(1)..).unwrap_or_default();
        match name.as_str() {
            "style" | "script" | "title" => {
                let lower = rest.to_ascii_lowercase();
                let end = lower.find(&format!("</{name}")).unwrap_or(rest.len());
                rest = rest.get(end..).unwrap_or_default();
            }
            "br" | "p" | "div" | "tr" | "li" => text.push('\n'),
            _ => {}
        }
    }
    text.push_str(rest);
    let entities =
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let text = entities.iter().fold(text, |text, (entity, plain)| text.replace(entity, plain));
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}
