//! How one signs in at a server on the web that answers to nobody whom it does not know, by the rules of MCP's authorization.
//!
//! Answers: which authorization server does it name, and where does that one give out tokens?
//! Never: connects: each question is the egress-gateway's, under rules of its own for that one host, which no app has;
//! widens what the app may reach; asks without end. Whatever is not as it should be is a sentence and no sign-in.
//! Carries: I-12, I-16, I-17.

mod challenge;
mod metadata;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bus::id::{AppId, WorkId};
use bus::message::egress::{FetchRequest, WebFailure};
use reqwest::Url;
use serde_json::{Value, json};
use spoke::remote::{Body, Fetch};
use tokio::time::timeout;

use super::propose::{list, quoted};
use super::server::{Place, local_line};
use crate::error::Error;

/// The largest answer that is read, bytes. Metadata have a few KiB.
const LARGEST: usize = 64 << 10;

/// For one question with its answer, milliseconds.
const ANSWER_MS: u64 = 10_000;

/// For all of them: a person waits.
const ALL: Duration = Duration::from_secs(40);

/// A sign-in, as an authorization server describes it. Every address was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The authorization server that said so.
    pub issuer: String,
    /// Where a person gives leave in a browser, with a proof that its code is ours.
    pub authorize_url: Option<String>,
    /// Where a code for another device is had.
    pub device_url: Option<String>,
    /// Where tokens are had.
    pub token_url: String,
    /// Where anybody registers as a client.
    pub registration_url: Option<String>,
    /// For which service tokens are asked.
    pub resource: String,
    /// What leave is asked for.
    pub scopes: Vec<String>,
}

/// Whom to ask about, and which private addresses the person has named.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Where it is.
    pub url: &'a str,
    /// As it was named.
    pub local: &'a [SocketAddr],
}

/// Finds out. `challenges` are what the server demanded, and `way` is the way to the one host of an address.
///
/// # Errors
/// Why it is not known, as a sentence; what strangers wrote is not repeated in it.
pub async fn discover(
    server: Server<'_>,
    challenges: &[String],
    way: impl Fn(&Url) -> Result<Fetch, Error>,
) -> Result<SignIn, String> {
    within(ALL, found(server, challenges, way)).await
}

async fn within(
    limit: Duration,
    found: impl Future<Output = Result<SignIn, String>>,
) -> Result<SignIn, String> {
    let late = |_| format!("what it says of itself does not come within {} seconds", limit.as_secs());
    timeout(limit, found).await.map_err(late)?
}

async fn found(
    Server { url, local }: Server<'_>,
    challenges: &[String],
    way: impl Fn(&Url) -> Result<Fetch, Error>,
) -> Result<SignIn, String> {
    let own = Url::parse(url).map_err(|_| "its address is none".to_owned())?;
    let challenge = challenge::read(challenges.iter().map(String::as_str));
    let places = match &challenge.metadata {
        Some(place) => vec![metadata::of_its_own(place, &own)?],
        None => metadata::places_of_resource(&own),
    };
    let text = first(&places, &way).await?;
    let mut resource = metadata::resource(&text, &own, local)?;
    // What is wanted now, before what could be wanted at all.
    let wanted = metadata::scopes(challenge.scope.iter().flat_map(|scope| scope.split(' ')));
    if !wanted.is_empty() {
        resource.scopes = wanted;
    }
    let text = first(&metadata::places_of_server(&resource.issuer), &way).await?;
    metadata::server(&text, resource, local)
}

/// What is said at the first of these places where an object is; else why there is none.
async fn first(places: &[Url], way: &impl Fn(&Url) -> Result<Fetch, Error>) -> Result<String, String> {
    let mut why = None;
    for place in places {
        match said(place, way).await {
            Ok(text) => return Ok(text),
            Err(what) => _ = why.get_or_insert(what),
        }
    }
    Err(why.unwrap_or_else(|| "it says nowhere how one signs in".to_owned()))
}

async fn said(place: &Url, way: &impl Fn(&Url) -> Result<Fetch, Error>) -> Result<String, String> {
    let at = || format!("{}{}", metadata::host(place), place.path());
    let carry = way(place).map_err(|error| error.line())?;
    let failed = |failure: WebFailure| format!("{} is not to be had: {}", at(), failure.detail);
    let answer = carry(request(place)).await.map_err(failed)?;
    if answer.status != 200 {
        return Err(format!("{} answers {}", at(), answer.status));
    }
    let Body { bytes, cut } = answer.whole(LARGEST).await.map_err(failed)?;
    if cut {
        return Err(format!("{} says more than {} KiB", at(), LARGEST >> 10));
    }
    let text = String::from_utf8(bytes.into()).ok().filter(|text| text.trim_start().starts_with('{'));
    text.ok_or_else(|| format!("{} answers with no metadata", at()))
}

fn request(place: &Url) -> FetchRequest {
    FetchRequest {
        id: WorkId::fresh(),
        task: None,
        method: "GET".to_owned(),
        url: place.to_string(),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        body: Default::default(),
        limit_ms: ANSWER_MS,
    }
}

/// A manifest that allows the host of this address and nothing else, for one question to it.
#[must_use]
pub fn errand(app: &AppId, place: &Url, local: &[SocketAddr]) -> Option<String> {
    let of = Place::of(place)?;
    let port = place.port_or_known_default()?;
    // A name may lead to an address that the person has named; an address leads to itself.
    let is_it = |address: &&SocketAddr| match of.address() {
        Some(own) => own == **address,
        None => address.port() == port,
    };
    let local: Vec<SocketAddr> = local.iter().filter(is_it).copied().collect();
    let lines = [of.hosts_line(), local_line(&local)].into_iter().flatten().collect::<Vec<_>>().join("\n");
    Some(format!(
        "name = {}\nkind = \"mcp\"\nurl = {}\ndescription = \"Asked how one signs in.\"\n[network]\n{lines}\nmethods = [\"GET\"]\n",
        quoted(app.as_str()),
        quoted(place.as_str()),
    ))
}

impl SignIn {
    /// Whom a person has to do with.
    fn host(url: &str) -> String {
        Url::parse(url).map(|url| metadata::host(&url)).unwrap_or_default()
    }

    /// The entry of a manifest, without its first line and what it is for.
    #[must_use]
    pub fn lines(&self) -> String {
        let urls = [
            ("authorize_url", self.authorize_url.as_ref()),
            ("device_url", self.device_url.as_ref()),
            ("token_url", Some(&self.token_url)),
            ("registration_url", self.registration_url.as_ref()),
            ("resource", Some(&self.resource)),
        ];
        let mut text = String::new();
        for (key, url) in urls.into_iter().filter_map(|(key, url)| Some((key, url?))) {
            text.push_str(&format!("{key} = {}\n", quoted(url)));
        }
        if !self.scopes.is_empty() {
            text.push_str(&format!("scopes = {}\n", list(self.scopes.iter().map(String::as_str))));
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn shown(&self) -> Value {
        json!({
            "issuer": self.issuer, "authorize_url": self.authorize_url, "device_url": self.device_url,
            "token_url": self.token_url, "registration_url": self.registration_url, "resource": self.resource,
            "scopes": self.scopes,
        })
    }
}

/// For a person who is asked whether to agree.
impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leave = self.authorize_url.as_ref().or(self.device_url.as_ref());
        let leave = leave.map(|url| Self::host(url)).unwrap_or_default();
        write!(
            f,
            "its sign-in, as {} says: leave at {leave}, tokens from {}",
            self.issuer,
            Self::host(&self.token_url)
        )?;
        match &self.registration_url {
            Some(url) => write!(f, ", and a client is registered at {}", Self::host(url)),
            None => write!(f, ", and you register a client there by hand"),
        }?;
        match self.scopes.as_slice() {
            [] => Ok(()),
            scopes => write!(f, "; for {}", scopes.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
