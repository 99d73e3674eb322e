//! What a server's answer comes to.
//!
//! Answers: which value does a call have, and what does the app say about its failure?
//! Never: loses a part of an answer silently; hands on more words about a failure than a bounded piece.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

use crate::job::cut;

/// Longest words of an app about its own failure, bytes.
pub(super) const MAX_WORDS: usize = 2000;

/// The result proper: structured if the server says so; else its text, as JSON where it is JSON; else, with images,
/// sounds and resources in it, all of its pieces as the protocol has them.
pub(super) fn value(result: CallToolResult) -> Value {
    if let Some(value) = result.structured_content {
        return value;
    }
    if result.content.iter().all(|block| matches!(block, ContentBlock::Text(_))) {
        let text = text(&result.content);
        return serde_json::from_str(&text).unwrap_or(Value::String(text));
    }
    json!({"content": result.content})
}

/// What the app says about its failure.
pub(super) fn said(result: &CallToolResult) -> String {
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
#[allow(clippy::indexing_slicing)]
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
    fn an_image_among_words_is_not_lost() {
        let blocks = vec![ContentBlock::text("Here:"), ContentBlock::image("aGk=", "image/png")];
        let value = value(CallToolResult::success(blocks));
        assert_eq!(value["content"][0]["text"], "Here:");
        assert_eq!(value["content"][1]["type"], "image");
        assert_eq!(value["content"][1]["data"], "aGk=");
    }

    #[test]
    fn an_apps_words_are_bounded() {
        let result = CallToolResult::error(vec![ContentBlock::text("x".repeat(10_000))]);
        assert!(said(&result).len() <= MAX_WORDS + '…'.len_utf8());
    }
}
