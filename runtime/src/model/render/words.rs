//! Values in words.
//!
//! Answers: how does a result read, and how does a text begin?
//! Never: writes more than a screen.

use serde_json::Value;

/// More than this of one text is of no use in an answer.
const MAX_TEXT: usize = 1500;

/// A value as a person would write it down.
pub fn brief(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => cut(text.trim()),
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => cut(&items.iter().map(brief).collect::<Vec<_>>().join(" | ")),
        Value::Object(fields) => {
            // A single field speaks for itself: {"text": "…"} is its text.
            if let (1, Some(only)) = (fields.len(), fields.values().next()) {
                return brief(only);
            }
            let parts =
                fields.iter().map(|(name, value)| format!("{}: {}", name.replace('_', " "), brief(value)));
            cut(&parts.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The first sentences of a text, salutation left out.
pub fn sentences(text: &str, count: usize) -> String {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // "Hello," or "Dear reader," opens a letter; "--" closes it.
        if found.is_empty() && line.ends_with(',') && line.len() < 40 {
            continue;
        }
        if line.starts_with("--") {
            break;
        }
        found.extend(line.split_inclusive(". ").map(|sentence| sentence.trim().to_owned()));
        if count <= found.len() {
            break;
        }
    }
    found.truncate(count);
    cut(&found.join(" "))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(MAX_TEXT).collect::<String>())
}
