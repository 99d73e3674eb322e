//! Which headers cross the gateway.
//!
//! Answers: may an app send this header, and may it see that one?
//! Never: lets an app frame the message, name another host, speak for a proxy, or see a session that a credential opened.
//! Carries: I-12, I-15.

use bus::message::egress::{WebError, WebFailure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::limit::{HEADER_BYTES, HEADERS};

/// What an app may not send, with the reason for its author. Whole names, and beginnings that end in `-`.
const REFUSED: &[(&str, &str)] = &[
    ("host", "the gateway writes it from the URL that was checked"),
    ("connection", "it belongs to the connection"),
    ("keep-alive", "it belongs to the connection"),
    ("proxy-", "it is for a proxy, and there is none to speak to"),
    ("te", "it belongs to the connection"),
    ("trailer", "it belongs to the connection"),
    ("transfer-encoding", "the gateway frames the body"),
    ("content-length", "the gateway frames the body"),
    ("upgrade", "another protocol could not be checked; use a tunnel"),
    ("expect", "the gateway has the whole body already"),
    ("accept-encoding", "the gateway decompresses, to bound the size"),
    ("cookie", "a session is a credential; credentials are added by the gateway"),
    ("cookie2", "a session is a credential; credentials are added by the gateway"),
    ("http2-settings", "it belongs to the connection"),
    ("forwarded", "it says who asks, which an app does not decide"),
    ("x-forwarded-", "it says who asks, which an app does not decide"),
    ("x-real-ip", "it says who asks, which an app does not decide"),
    ("x-original-", "servers take it for another URL than the one that was checked"),
    ("x-rewrite-url", "servers take it for another URL than the one that was checked"),
    ("x-http-method", "servers take it for another method than the one that was recorded"),
    ("x-http-method-override", "servers take it for another method than the one that was recorded"),
    ("x-method-override", "servers take it for another method than the one that was recorded"),
];

/// What an app does not get to see of an answer.
const HIDDEN: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "alt-svc",
    // A session that was opened with a credential of the user's would be one in the app's hands.
    "set-cookie",
    "set-cookie2",
];

/// The headers of an app's request.
///
/// # Errors
/// Names the first that is not taken.
pub fn of_request(asked: &[(String, String)]) -> Result<HeaderMap, WebFailure> {
    let refuse = |detail: String| WebFailure::new(WebError::Request, detail);
    let size: usize = asked.iter().map(|(name, value)| name.len() + value.len()).sum();
    if HEADERS < asked.len() || HEADER_BYTES < size {
        return Err(refuse(format!("more than {HEADERS} headers or {HEADER_BYTES} bytes of them")));
    }
    let mut headers = HeaderMap::with_capacity(asked.len());
    for (name, value) in asked {
        let shown: String = name.chars().take(40).collect();
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refuse(format!("{shown:?} is not the name of a header")))?;
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| matches(refused, name.as_str())) {
            return Err(refuse(format!("the header {name} is not taken: {why}")));
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| refuse(format!("the value of the header {name} holds a control character")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn matches(refused: &str, name: &str) -> bool {
    if refused.ends_with('-') { name.starts_with(refused) } else { name == refused }
}

/// The headers of an answer, as an app gets to see them. Values that are no text are left out.
#[must_use]
pub fn of_answer(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// Takes out what must not go to another host than the one it was meant for.
pub fn forget_secrets(headers: &mut HeaderMap) {
    let secret: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| value.is_sensitive() || sounds_secret(name.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    for name in secret {
        headers.remove(name);
    }
}

fn sounds_secret(name: &str) -> bool {
    ["auth", "key", "token", "secret", "session", "signature", "credential", "password", "csrf"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, taken: bool) {
        let made = of_request(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(made.is_ok(), taken, "{name}: {value}: {made:?}");
    }

    #[test]
    fn an_app_cannot_frame_the_message_or_name_another_host() {
        for name in [
            "Host",
            "HOST",
            "Connection",
            "Content-Length",
            "Transfer-Encoding",
            "Proxy-Authorization",
            "Upgrade",
        ] {
            check(name, "x", false);
        }
        for name in [
            "Cookie",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Original-URL",
            "X-HTTP-Method-Override",
            "Accept-Encoding",
        ] {
            check(name, "x", false);
        }
        for name in [
            "Accept",
            "Authorization",
            "X-Api-Version",
            "Content-Type",
            "If-None-Match",
            "Range",
            "TEST",
            "Hosting",
        ] {
            check(name, "x", true);
        }
    }

    #[test]
    fn a_header_cannot_smuggle_another() {
        check("Accept", "a\r\nHost: evil.org", false);
        check("Accept", "a\nb", false);
        check("Accept", "a\0b", false);
        check("Accept\r\nHost", "a", false);
        check("Accept ", "a", false);
        check("", "a", false);
    }

    #[test]
    fn too_many_or_too_large_headers_are_refused() {
        let many = vec![("a".to_owned(), String::new()); HEADERS + 1];
        assert!(of_request(&many).is_err());
        check("a", &"x".repeat(HEADER_BYTES), false);
    }

    #[test]
    fn an_app_does_not_see_a_session_that_a_credential_opened() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", HeaderValue::from_static("session=1"));
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        assert_eq!(of_answer(&headers), [("content-type".to_owned(), "text/plain".to_owned())]);
    }

    #[test]
    fn what_sounds_secret_does_not_go_to_another_host() {
        let names = ["Authorization", "X-Api-Key", "X-Goog-AuthUser", "Private-Token", "Accept"];
        let asked: Vec<_> = names.map(|name| (name.to_owned(), "v".to_owned())).into();
        let mut headers = of_request(&asked).unwrap();
        forget_secrets(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
