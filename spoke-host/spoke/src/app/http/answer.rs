//! What an API answered, as a value.
//!
//! Answers: is it JSON, text or something else, and is it a refusal?
//! Never: hands on more than a result may have; takes an error for a result.
//! Carries: I-16.

use bus::limits::MAX_RESULT;
use bus::message::egress::WebFailure;
use bus::message::task::{Failure, FailureCode};
use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::MAX_ANSWER;
use crate::job::cut;
use crate::web::Answer;

/// Words of an API about its own failure, bytes.
const MAX_WORDS: usize = 2_000;

/// Room in a result for what is said beside a text.
const MARGIN: usize = 1 << 10;

/// An answer that was read.
pub(super) struct Whole {
    pub(super) status: u16,
    /// Where it says that its next page is.
    pub(super) next: Option<String>,
    media_type: String,
    retry_after: Option<String>,
    bytes: Bytes,
    cut: bool,
}

impl Whole {
    pub(super) async fn read(answer: Answer) -> Result<Self, WebFailure> {
        let header = |name| answer.header(name).map(str::to_owned);
        let media_type = header("content-type").unwrap_or_default().to_ascii_lowercase();
        let (status, next) = (answer.status, header("link").and_then(|link| next_of(&link)));
        let retry_after = header("retry-after");
        let body = answer.body(MAX_ANSWER).await?;
        Ok(Self { status, next, media_type, retry_after, bytes: body.bytes, cut: body.cut })
    }

    /// The result, or the API's own words for why there is none.
    pub(super) fn good(&self, app: &str) -> Result<Value, Failure> {
        if (200..300).contains(&self.status) {
            return self.value();
        }
        Err(self.refusal(app))
    }

    /// The body as a value, whatever the status.
    pub(super) fn value(&self) -> Result<Value, Failure> {
        if self.bytes.is_empty() {
            return Ok(Value::Null);
        }
        let plain = self.media_type.split(';').next().unwrap_or_default().trim();
        let is_json = plain == "application/json" || plain.ends_with("+json");
        let is_text = plain.starts_with("text/")
            || plain.ends_with("xml")
            || matches!(
                plain,
                "application/javascript" | "application/x-www-form-urlencoded" | "application/x-ndjson"
            );
        if is_json || plain.is_empty() {
            match serde_json::from_slice(&self.bytes) {
                Ok(value) => return Ok(value),
                Err(_) if self.cut && is_json => {
                    let words = format!(
                        "the answer has more than {MAX_ANSWER} bytes of JSON, which is more than is taken; ask for less at once"
                    );
                    return Err(Failure::new(FailureCode::Result, words));
                }
                Err(error) if is_json => {
                    let words = format!("the answer says that it is JSON, and is not: {error}");
                    return Err(Failure::new(FailureCode::AppNonsense, words));
                }
                Err(_) => {}
            }
        }
        if is_text || (plain.is_empty() && std::str::from_utf8(&self.bytes).is_ok()) {
            return Ok(Value::String(self.text()));
        }
        if MAX_RESULT - MARGIN < BASE64.encode_len(self.bytes.len()) || self.cut {
            let words = format!(
                "the answer is a file of type {plain:?} that is larger than a result may be ({MAX_RESULT} bytes)"
            );
            return Err(Failure::new(FailureCode::Result, words));
        }
        let media_type = if plain.is_empty() { "application/octet-stream" } else { plain };
        Ok(json!({"media_type": media_type, "base64": BASE64.encode(&self.bytes)}))
    }

    /// A text that is too long is cut, and says so.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let whole = json!(text).to_string().len();
        if whole <= MAX_RESULT && !self.cut {
            return text.into_owned();
        }
        // Escapes make it longer; how much is known of the whole only.
        let part = (MAX_RESULT - MARGIN).saturating_mul(text.len()).checked_div(whole).unwrap_or(0);
        let mut kept = cut(&text, part.min(text.len()));
        while MAX_RESULT - MARGIN < json!(kept).to_string().len() {
            kept = cut(&kept, kept.len() / 2);
        }
        let of = if self.cut { "more than " } else { "" };
        format!("{kept}\n[cut here: the text has {of}{} bytes]", text.len())
    }

    fn refusal(&self, app: &str) -> Failure {
        let mut words = format!("{app} answered {}", self.status);
        if let Some(phrase) = phrase(self.status) {
            words = format!("{words} {phrase}");
        }
        let said = match self.value() {
            Ok(value) => said(&value),
            Err(_) => String::new(),
        };
        let said: String = said.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        if !said.trim().is_empty() {
            words = format!("{words}: {}", cut(said.trim(), MAX_WORDS));
        }
        if self.status == 401 {
            words =
                format!("{words} (no credential that it takes; `secgpt apps authorize {app}` gives it one)");
        }
        if let Some(after) = &self.retry_after {
            words = format!("{words} (it may be asked again after {})", cut(after, 60));
        }
        Failure::new(FailureCode::App, words)
    }
}

/// What an error says in words, in one of the forms that are usual; else all of it.
fn said(value: &Value) -> String {
    let places = [
        "/error/message",
        "/error_description",
        "/error",
        "/message",
        "/detail",
        "/title",
        "/errors/0/message",
    ];
    let words = places.iter().find_map(|place| value.pointer(place).filter(|said| said.is_string()));
    match words.unwrap_or(value) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

fn phrase(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return None,
    })
}

/// Of `<https://…?page=2>; rel="next", <…>; rel="last"` the address of the next page.
fn next_of(link: &str) -> Option<String> {
    link.split('<').skip(1).find_map(|part| {
        let (address, about) = part.split_once('>')?;
        let about = about.to_ascii_lowercase();
        let is_next = about.contains("rel=\"next\"") || about.contains("rel=next");
        is_next.then(|| address.to_owned())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn whole(status: u16, media_type: &str, body: &[u8]) -> Whole {
        let bytes = Bytes::copy_from_slice(body);
        Whole { status, next: None, media_type: media_type.into(), retry_after: None, bytes, cut: false }
    }

    #[test]
    fn a_body_is_a_value_by_its_type() {
        let value = |media_type, body: &[u8]| whole(200, media_type, body).value().unwrap();
        assert_eq!(value("application/json; charset=utf-8", br#"{"a": [1]}"#), json!({"a": [1]}));
        assert_eq!(value("application/problem+json", b"null"), json!(null));
        assert_eq!(value("text/html", b"<p>"), json!("<p>"));
        assert_eq!(value("", br#"[1]"#), json!([1]));
        assert_eq!(value("", b"plain"), json!("plain"));
        assert_eq!(value("image/png", &[0x89, 0xff]), json!({"media_type": "image/png", "base64": "if8="}));
        assert_eq!(value("application/json", b""), json!(null));
        assert_eq!(value("text/plain; charset=latin1", &[b'a', 0xe9]), json!("a\u{fffd}"));
    }

    #[test]
    fn what_says_that_it_is_json_and_is_not_is_a_failure() {
        let failure = whole(200, "application/json", b"<html>").value().unwrap_err();
        assert_eq!(failure.code, FailureCode::AppNonsense);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so_and_a_long_file_is_refused() {
        for text in ["x".repeat(2 * MAX_RESULT), "\u{1}".repeat(MAX_RESULT), "é\n".repeat(MAX_RESULT / 3)] {
            let value = whole(200, "text/plain", text.as_bytes()).value().unwrap();
            assert!(value.to_string().len() <= MAX_RESULT, "{}", value.to_string().len());
            assert!(value.as_str().unwrap().ends_with(&format!("the text has {} bytes]", text.len())));
        }
        let failure = whole(200, "image/png", &vec![0; MAX_RESULT]).value().unwrap_err();
        assert!(failure.detail.contains("larger than a result"), "{failure}");
        let cut = Whole { cut: true, ..whole(200, "application/json", b"[1, 2") };
        assert!(cut.value().unwrap_err().detail.contains("ask for less"));
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_api() {
        let told =
            |status, body: &str| whole(status, "application/json", body.as_bytes()).refusal("notes").detail;
        assert_eq!(told(400, r#"{"error": "no such note"}"#), "notes answered 400 Bad Request: no such note");
        assert_eq!(
            told(404, r#"{"error": {"code": 404, "message": "gone"}}"#),
            "notes answered 404 Not Found: gone"
        );
        assert_eq!(
            told(422, r#"{"detail": [{"loc": ["a"]}]}"#),
            r#"notes answered 422 Unprocessable Content: {"detail":[{"loc":["a"]}]}"#
        );
        assert_eq!(told(500, ""), "notes answered 500 Internal Server Error");
        assert_eq!(told(418, "null"), "notes answered 418");
        assert!(told(401, r#"{"message": "who?"}"#).contains("secgpt apps authorize notes"));
        assert!(told(400, &json!({"error": "x".repeat(10_000)}).to_string()).len() < 2_100);
    }

    #[test]
    fn the_next_page_is_the_one_that_is_said_to_be_next() {
        let link = r#"<https://a.example/n?page=1>; rel="prev", <https://a.example/n?page=3,4>; rel="next""#;
        assert_eq!(next_of(link).as_deref(), Some("https://a.example/n?page=3,4"));
        assert_eq!(next_of(r#"<https://a.example/n>; rel="last""#), None);
        assert_eq!(next_of("nonsense"), None);
    }
}
