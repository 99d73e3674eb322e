//! The words with an authorization server.
//!
//! Answers: what does it give for a code, a device or a refresh token?
//! Never: sends one to another host than the one that was named; follows a redirect; shows the answer to anybody.
//! Carries: I-13, I-15. RFC 6749, sections 4.1.3 and 6; the same checks of name and address as for an app's own request.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bus::id::AppId;
use bus::message::egress::{WebError, WebFailure};
use bus::secret::Secret;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url, form_urlencoded};

use super::{Oauth2, now};
use crate::allowed_host::{Rules, Suffixes};
use crate::fetch::{Ask, Web};
use crate::url_rule::{self, Permitted};

/// The largest answer that is read, bytes. Tokens have a few KiB.
const LARGEST: usize = 64 << 10;

/// The longest token that is taken, bytes. It has to go into a header, and servers take no longer ones.
const LONGEST_TOKEN: usize = 16 << 10;

/// How long one word and its answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// The longest life of a token that is believed, seconds: ten years. Beyond it a sum could run over.
const LONGEST_LIFE: u64 = 10 * 365 * 24 * 3600;

/// Whom to ask, and for which app. Connections are not shared between apps here either.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The way out.
    pub web: &'a Web,
    /// For whom.
    pub app: &'a AppId,
    /// Private addresses that the app's manifest names; a server may be at one of them, and at no other.
    pub local: &'a [SocketAddr],
}

/// What the server said to a question for a token.
pub(crate) enum TokenAnswer {
    /// Here it is.
    Given(Given),
    /// No, in one of the short words of the protocol.
    Refused(String),
}

/// A token as it was given.
pub(crate) struct Given {
    /// The token.
    pub access: Secret,
    /// For the next one.
    pub refresh: Option<Secret>,
    /// Until when it is good by this machine's clock, seconds since 1970. The server's clock has no say in it.
    pub expires: Option<u64>,
}

/// Why there is no new token.
#[derive(Debug)]
pub(super) enum RenewError {
    /// The server does not take the refresh token any more.
    Revoked,
    /// It could not be asked, or did not answer as it should.
    Failed(WebFailure),
}

#[derive(Deserialize)]
struct RawToken {
    access_token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<Secret>,
    error: Option<String>,
}

/// Asks for a new token.
pub(super) async fn renew(asking: Asking<'_>, token: &Oauth2) -> Result<Oauth2, RenewError> {
    let Some(refresh) = &token.refresh else { return Err(RenewError::Revoked) };
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose()),
        ("client_id", &token.client_id),
    ];
    form.extend(token.client_secret.as_ref().map(|secret| ("client_secret", secret.expose())));
    form.extend(token.resource.as_deref().map(|resource| ("resource", resource)));
    let failed = |failure: WebFailure| {
        let detail = format!("the token cannot be renewed: {}", failure.detail);
        RenewError::Failed(WebFailure::new(failure.code, detail))
    };
    match asking.token(&token.token_url, &form).await.map_err(failed)? {
        TokenAnswer::Given(given) => Ok(Oauth2 {
            access: Some(given.access),
            expires: given.expires,
            refresh: given.refresh.or_else(|| token.refresh.clone()),
            ..token.clone()
        }),
        TokenAnswer::Refused(word) if word == "invalid_grant" => Err(RenewError::Revoked),
        TokenAnswer::Refused(word) => Err(failed(useless(format!("its server answers {word}")))),
    }
}

impl Asking<'_> {
    /// Asks for a token.
    pub(crate) async fn token(&self, url: &str, form: &[(&str, &str)]) -> Result<TokenAnswer, WebFailure> {
        let (status, body) = self.post(url, form).await?;
        let garbage =
            || useless(format!("its server answers {status}, and no token in the form of RFC 6749"));
        let raw: RawToken = serde_json::from_slice(&body).map_err(|_| garbage())?;
        match raw {
            RawToken { error: Some(word), .. } => Ok(TokenAnswer::Refused(protocol_word(&word, status))),
            RawToken { access_token: Some(access), token_type, expires_in, refresh_token, .. }
                if status == 200 =>
            {
                if token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
                    return Err(useless("its server gives a token that is not sent as Bearer".into()));
                }
                let refresh = refresh_token.filter(|token| !token.expose().is_empty());
                if !is_token(&access) || refresh.as_ref().is_some_and(|token| !is_token(token)) {
                    return Err(useless("its server gives a token that no header takes".into()));
                }
                let expires = expires_in.as_ref().and_then(seconds).map(|life| now().saturating_add(life));
                Ok(TokenAnswer::Given(Given { access, refresh, expires }))
            }
            _ => Err(garbage()),
        }
    }

    /// One word to the server, and its answer.
    pub(crate) async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<(u16, Vec<u8>), WebFailure> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(url, "application/x-www-form-urlencoded", body).await
    }

    /// The same in the other form that such servers take, where a client is registered.
    pub(crate) async fn json(&self, url: &str, value: &Value) -> Result<(u16, Vec<u8>), WebFailure> {
        self.send(url, "application/json", value.to_string()).await
    }

    async fn send(&self, url: &str, kind: &'static str, body: String) -> Result<(u16, Vec<u8>), WebFailure> {
        let url = self.endpoint(url)?;
        let rules =
            self.only(&url).ok_or_else(|| useless("its server may not be asked in the clear".into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let ask = Ask {
            app: self.app.clone(),
            method: Method::POST,
            url: url.clone(),
            headers,
            body: Bytes::from(body),
            limit: ANSWER,
        };
        let answer = self
            .web
            .fetch(&rules, ask, &move |permitted: Permitted, _| {
                // A redirect would carry what is secret in the body.
                let same = permitted.url == url;
                Box::pin(async move {
                    match same {
                        true => Ok(None),
                        false => {
                            Err(WebFailure::new(WebError::Redirect, "the authorization server redirects"))
                        }
                    }
                })
            })
            .await?;
        Ok((answer.status, answer.body.whole(LARGEST).await?))
    }

    /// The address of an endpoint, as strictly read as an app's own.
    pub(crate) fn endpoint(&self, url: &str) -> Result<Url, WebFailure> {
        let url = url_rule::read(url).map_err(|_| useless("its server's address is not a URL".into()))?;
        match self.only(&url) {
            Some(_) => Ok(url),
            None => Err(useless("its server may not be asked in the clear, nor at an address that the app's [network] does not name".into())),
        }
    }

    /// Rules that name the authorization server's host and nothing else.
    fn only(&self, url: &Url) -> Option<Rules> {
        let port = url.port_or_known_default()?;
        let named = |ip| {
            let address = SocketAddr::new(ip, port);
            // In the clear only where nobody else listens; and nowhere that the manifest does not name, whoever wrote the URL.
            let safe = url.scheme() == "https" || ip.is_loopback();
            (safe && self.local.contains(&address)).then_some(address)
        };
        let (hosts, local) = match url.host()? {
            Host::Domain(name) if url.scheme() == "https" => {
                (vec![format!("{name}:{port}")], self.local.to_vec())
            }
            Host::Domain(_) => return None,
            Host::Ipv4(address) => (Vec::new(), vec![named(address.into())?]),
            Host::Ipv6(address) => (Vec::new(), vec![named(address.into())?]),
        };
        let rules = Rules::new(&Suffixes::none(), &[], &hosts, &local).ok()?;
        Some(rules.with_methods(BTreeSet::from([Method::POST.as_str().to_owned()])))
    }
}

/// Something came, and nothing can be done with it.
pub(crate) fn useless(detail: String) -> WebFailure {
    WebFailure::new(WebError::Credential, detail)
}

/// The server's own word is one of a short list; anything else is not shown.
pub(crate) fn protocol_word(word: &str, status: u16) -> String {
    let plain = word.len() < 40 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if plain && !word.is_empty() { word.to_owned() } else { format!("{status}, and no known word") }
}

/// Can it go into a header?
pub(crate) fn is_token(token: &Secret) -> bool {
    let text = token.expose();
    !text.is_empty() && text.len() <= LONGEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A length of time as servers write it: a number, broken or not, or one in quotes.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // What is no number stays none; what is below zero is no length.
    Some(Duration::try_from_secs_f64(number?.clamp(-1.0, LONGEST_LIFE as f64)).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_length_of_time_is_read_as_servers_write_it() {
        for (value, expected) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(3599.9), Some(3599)),
            (json!(0), Some(0)),
            (json!(u64::MAX), Some(LONGEST_LIFE)),
            (json!(-1), None),
            (json!("soon"), None),
            (json!("NaN"), None),
            (json!(null), None),
            (json!([3600]), None),
        ] {
            assert_eq!(seconds(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_server_has_no_words_of_its_own() {
        assert_eq!(protocol_word("invalid_grant", 400), "invalid_grant");
        for word in ["", "Call 555-1234 now", "\u{1b}[2J", &"a".repeat(40)] {
            assert_eq!(protocol_word(word, 400), "400, and no known word");
        }
    }

    proptest! {
        #[test]
        fn no_length_of_time_runs_over(number in any::<f64>(), text in ".{0,12}") {
            for value in [json!(number), json!(text)] {
                prop_assert!(seconds(&value).is_none_or(|life| life <= LONGEST_LIFE));
            }
        }
    }
}
