//! One request to the web, redirects included.
//!
//! Answers: what does the server say, within the limits?
//! Never: follows a redirect, reuses a connection or resolves a name unchecked; takes a proxy, a cookie or a credential
//! from its surroundings.
//! Carries: I-13, I-15, I-16.

mod answer;
mod ask;
mod clients;

use bus::id::AppId;
use bus::message::egress::{WebError, WebFailure};
use bus::secret::Secret;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use answer::{Answer, Body};
pub use ask::Ask;

use self::answer::of_error;
use self::clients::Clients;
pub use self::clients::{TrustError, trust};
use crate::allowed_host::Rules;
use crate::dial::{self, Resolve};
use crate::header;
use crate::limit::{Limits, REDIRECTS};
use crate::redact::Blanker;
use crate::url_rule::{self, Permitted, Refusal, Scheme};

/// The way to the web.
pub struct Web {
    resolve: Resolve,
    clients: Clients,
    limits: Limits,
}

/// A credential as it goes into the request.
#[derive(Clone)]
pub struct Attached {
    /// Its name in the manifest.
    pub name: String,
    /// Which header carries it.
    pub header: HeaderName,
    /// The header's value.
    pub value: Secret,
    /// What to blank should the server send it back.
    pub words: Vec<Secret>,
}

/// Hears of every host before it is connected to, and says which credential goes with the request. An error stops it.
pub type Gate<'a> = dyn Fn(Permitted, Hop) -> BoxFuture<'a, Result<Option<Attached>, WebFailure>> + Sync + 'a;

/// Which part of the way a request is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To the host that the app named, or by a redirect within it.
    Own,
    /// By a redirect to another host: no credential goes along.
    Other,
}

/// The methods that are taken.
///
/// # Errors
/// If it is none of them; `CONNECT` is a tunnel's, and `TRACE` shows what was added to the request.
pub fn method(text: &str) -> Result<Method, WebFailure> {
    match text {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
            Method::from_bytes(text.as_bytes()).ok()
        }
        _ => None,
    }
    .ok_or_else(|| {
        let shown: String = text.chars().take(20).collect();
        WebFailure::new(WebError::Request, format!("the method {shown:?} is not taken"))
    })
}

/// A refusal as the app gets to see it.
#[must_use]
pub fn refused(refusal: &Refusal) -> WebFailure {
    let code = match refusal {
        Refusal::Syntax(_) | Refusal::Scheme(_) | Refusal::UserInfo => WebError::Request,
        Refusal::Address(_) => WebError::Address,
        Refusal::SingleLabel(_)
        | Refusal::Suffix(_)
        | Refusal::Port { .. }
        | Refusal::NotNamed(_)
        | Refusal::Method(_) => WebError::Rules,
    };
    WebFailure::new(code, refusal.to_string())
}

impl Web {
    /// With this resolver, this trust and these limits.
    #[must_use]
    pub fn new(resolve: Resolve, tls: rustls::ClientConfig, limits: Limits) -> Self {
        Self { resolve, clients: Clients::new(tls, limits), limits }
    }

    /// What is in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The addresses of a permitted host, checked.
    ///
    /// # Errors
    /// As [`dial::check`].
    pub async fn check(&self, rules: &Rules, permitted: &Permitted) -> Result<dial::Checked, WebFailure> {
        dial::check(&self.resolve, rules, permitted, &self.limits).await
    }

    /// Asks, follows redirects, and returns with the head of the answer.
    ///
    /// # Errors
    /// Says what was refused, or what went wrong on the way.
    pub async fn fetch(&self, rules: &Rules, ask: Ask, gate: &Gate<'_>) -> Result<Answer, WebFailure> {
        let deadline = Instant::now() + ask.limit.min(self.limits.total);
        let Ask { app, mut method, mut url, mut headers, mut body, .. } = ask;
        if !headers.contains_key(USER_AGENT) {
            headers
                .insert(USER_AGENT, HeaderValue::from_static(concat!("secgpt/", env!("CARGO_PKG_VERSION"))));
        }
        let mut hop = Hop::Own;
        for followed in 0..=REDIRECTS {
            let permitted = match url_rule::permits(rules, method.as_str(), &url) {
                Ok(permitted) => permitted,
                Err(refusal) if followed == 0 => return Err(refused(&refusal)),
                Err(refusal) => return Err(redirect(format!("the server redirects, and {refusal}"))),
            };
            let attached = timeout_at(deadline, gate(permitted.clone(), hop)).await.map_err(|_| late())??;
            let request =
                Request { method: &method, headers: &headers, body: &body, attached: attached.as_ref() };
            let (response, permitted) = self.once(&app, rules, permitted, request, deadline).await?;
            let Some(target) = target(&response, &permitted.url) else {
                let words = attached.map(|attached| attached.words).unwrap_or_default();
                let blanker = Blanker::new(words.iter().map(|word| word.expose().to_owned()));
                return Answer::new(response, permitted, blanker, deadline, self.limits);
            };
            let target = target?;
            if permitted.scheme == Scheme::Https && target.scheme() != "https" {
                return Err(redirect("the server redirects from https to http".into()));
            }
            let same = (target.scheme(), target.host_str(), target.port_or_known_default())
                == (permitted.url.scheme(), permitted.url.host_str(), Some(permitted.port));
            if !same {
                hop = Hop::Other;
                header::forget_secrets(&mut headers);
            }
            let asks_anew = match response.status().as_u16() {
                303 => method != Method::HEAD,
                301 | 302 => method == Method::POST,
                _ => false,
            };
            if asks_anew {
                method = Method::GET;
                body = Bytes::new();
                for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH] {
                    headers.remove(name);
                }
            }
            url = target;
        }
        Err(redirect(format!("the server redirects more than {REDIRECTS} times")))
    }

    /// One request to one host, without redirects.
    async fn once(
        &self,
        app: &AppId,
        rules: &Rules,
        permitted: Permitted,
        request: Request<'_>,
        deadline: Instant,
    ) -> Result<(reqwest::Response, Permitted), WebFailure> {
        let checked = timeout_at(deadline, self.check(rules, &permitted)).await.map_err(|_| late())??;
        let client = self.clients.to(app, &permitted, &checked)?;
        let mut headers = request.headers.clone();
        if let Some(attached) = request.attached {
            let mut value = HeaderValue::from_str(attached.value.expose()).map_err(|_| {
                let detail =
                    format!("the credential {} holds a character that no header takes", attached.name);
                WebFailure::new(WebError::Credential, detail)
            })?;
            value.set_sensitive(true);
            headers.insert(attached.header.clone(), value);
        }
        let mut builder = client.request(request.method.clone(), permitted.url.clone()).headers(headers);
        if !request.body.is_empty() || matches!(*request.method, Method::POST | Method::PUT | Method::PATCH) {
            builder = builder.body(request.body.clone());
        }
        let by = deadline.min(Instant::now() + self.limits.connect + self.limits.head);
        let response = match timeout_at(by, builder.send()).await {
            Err(_) => {
                return Err(WebFailure::new(
                    WebError::Timeout,
                    format!("{} did not answer in time", permitted.host),
                ));
            }
            Ok(Err(error)) => return Err(of_error(&error, &permitted.host)),
            Ok(Ok(response)) => response,
        };
        // The client was given these addresses and no other; should that ever change, nothing of the answer is used.
        match response.remote_addr() {
            Some(address) if checked.addresses().contains(&address) => Ok((response, permitted)),
            other => {
                tracing::error!(host = %permitted.host, address = ?other, "connected to an address that was not checked");
                Err(WebFailure::new(WebError::Address, "connected to an address that was not checked"))
            }
        }
    }
}

struct Request<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    body: &'a Bytes,
    attached: Option<&'a Attached>,
}

/// Where the answer sends us, if it does.
fn target(response: &reqwest::Response, from: &Url) -> Option<Result<Url, WebFailure>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?;
    let bad = || redirect("the server redirects to what is no URL".into());
    let Ok(text) = location.to_str() else { return Some(Err(bad())) };
    if text.contains(|c: char| c.is_control() || c == '\\') {
        return Some(Err(bad()));
    }
    let Ok(joined) = from.join(text) else { return Some(Err(bad())) };
    Some(
        url_rule::read(joined.as_str())
            .map_err(|refusal| redirect(format!("the server redirects, and {refusal}"))),
    )
}

fn redirect(detail: String) -> WebFailure {
    WebFailure::new(WebError::Redirect, detail)
}

fn late() -> WebFailure {
    WebFailure::new(WebError::Timeout, "not done in time")
}
