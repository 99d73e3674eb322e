//! A token is renewed.
//!
//! Answers: what does the authorization server give for the refresh token?
//! Never: sends it to another host than the one stored with it; shows its answer to anybody.
//! Carries: I-13, I-15. RFC 6749, section 6; the same checks of name and address as for an app's own request.

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
use url::{Host, Url, form_urlencoded};

use super::{Oauth2, now};
use crate::allowed_host::{Rules, Suffixes};
use crate::fetch::{Ask, Web};
use crate::url_rule::{self, Permitted};

/// Why there is no new token.
#[derive(Debug)]
pub(super) enum RenewError {
    /// The server does not take the refresh token any more.
    Revoked,
    /// It could not be asked, or did not answer as it should.
    Failed(WebFailure),
}

/// The largest answer that is read, bytes. Tokens have a few KiB.
const LARGEST: usize = 64 << 10;

#[derive(Deserialize)]
struct Renewed {
    access_token: Option<Secret>,
    expires_in: Option<u64>,
    refresh_token: Option<Secret>,
    error: Option<String>,
}

/// Asks for a new token.
pub(super) async fn renew(web: &Web, app: &AppId, token: &Oauth2) -> Result<Oauth2, RenewError> {
    let failed = |detail: &str| {
        RenewError::Failed(WebFailure::new(
            WebError::Credential,
            format!("the token cannot be renewed: {detail}"),
        ))
    };
    let url = url_rule::read(&token.token_url).map_err(|_| failed("its server's address is not a URL"))?;
    let rules = only(&url).ok_or_else(|| failed("its server may not be asked in the clear"))?;
    let Some(refresh) = &token.refresh else { return Err(RenewError::Revoked) };
    let form = form(token, refresh);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let ask = Ask {
        app: app.clone(),
        method: Method::POST,
        url: url.clone(),
        headers,
        body: Bytes::from(form),
        limit: Duration::from_secs(30),
    };
    let elsewhere = url.clone();
    let answer = web
        .fetch(&rules, ask, &move |permitted: Permitted, _| {
            // A redirect would carry the refresh token in the body.
            let same = permitted.url == elsewhere;
            Box::pin(async move {
                match same {
                    true => Ok(None),
                    false => Err(WebFailure::new(WebError::Redirect, "the authorization server redirects")),
                }
            })
        })
        .await
        .map_err(RenewError::Failed)?;
    let status = answer.status;
    let body = answer.body.whole(LARGEST).await.map_err(RenewError::Failed)?;
    let renewed: Renewed = serde_json::from_slice(&body)
        .map_err(|_| failed(&format!("its server answers {status}, and no JSON")))?;
    match renewed {
        Renewed { access_token: Some(access), expires_in, refresh_token, error: None } if status == 200 => {
            Ok(Oauth2 {
                access: Some(access),
                expires: expires_in.map(|seconds| now().saturating_add(seconds)),
                refresh: refresh_token.or_else(|| token.refresh.clone()),
                ..token.clone()
            })
        }
        Renewed { error: Some(error), .. } if error == "invalid_grant" => Err(RenewError::Revoked),
        Renewed { error, .. } => {
            // The server's own word for it is one of a short list; anything longer is not shown.
            let word = error.filter(|word| {
                word.len() < 40 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            });
            Err(failed(&format!("its server answers {status} {}", word.unwrap_or_default())))
        }
    }
}

fn form(token: &Oauth2, refresh: &Secret) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", refresh.expose())
        .append_pair("client_id", &token.client_id);
    if let Some(secret) = &token.client_secret {
        form.append_pair("client_secret", secret.expose());
    }
    form.finish()
}

/// Rules that name the authorization server's host and nothing else.
fn only(url: &Url) -> Option<Rules> {
    let port = url.port_or_known_default()?;
    let (hosts, local): (Vec<String>, Vec<SocketAddr>) = match url.host()? {
        Host::Domain(name) if url.scheme() == "https" => (vec![format!("{name}:{port}")], Vec::new()),
        Host::Domain(_) => return None,
        Host::Ipv4(address) if address.is_loopback() => {
            (Vec::new(), vec![SocketAddr::new(address.into(), port)])
        }
        Host::Ipv6(address) if address.is_loopback() => {
            (Vec::new(), vec![SocketAddr::new(address.into(), port)])
        }
        Host::Ipv4(_) | Host::Ipv6(_) => return None,
    };
    let rules = Rules::new(&Suffixes::none(), &[], &hosts, &local).ok()?;
    Some(rules.with_methods(BTreeSet::from([Method::POST.as_str().to_owned()])))
}
