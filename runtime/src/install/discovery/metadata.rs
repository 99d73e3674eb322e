//! What a server and its authorization server say of themselves: RFC 9728, RFC 8414, and OpenID's discovery.
//!
//! Answers: where may such words stand, and what do they name that can be used?
//! Never: goes anywhere; believes words about another server than the one that was asked; names an address that no person
//! has named.
//! Carries: I-12, I-17.

use std::net::SocketAddr;

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::SignIn;
use crate::install::access::is_word;
use crate::install::server::Place;

/// The longest address that is taken, bytes.
const LONGEST: usize = 2000;

/// The longest name of a service, bytes, as a manifest takes it.
const LONGEST_NAME: usize = 400;

/// As many scopes as are taken, each of so many bytes. A person has to read them.
const MOST_SCOPES: usize = 40;
const LONGEST_SCOPE: usize = 200;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// As tokens name it.
    pub name: String,
    /// The first of its authorization servers.
    pub issuer: Url,
    /// What leave is needed for.
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct RawResource {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

#[derive(Deserialize)]
struct RawServer {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
}

/// An address as a stranger names it: over TLS, and of the web or one that the person has named.
///
/// # Errors
/// Says what is wrong with it.
pub fn address(text: &str, local: &[SocketAddr]) -> Result<Url, String> {
    let none = || "is no address that begins with https://".to_owned();
    let url = plain(text).filter(|url| matches!(url.scheme(), "https" | "http")).ok_or_else(none)?;
    let nowhere = || "names no host of the web".to_owned();
    let place = Place::of(&url).ok_or_else(nowhere)?;
    // In the clear only to a program on this machine, which the person has named: a manifest takes no other.
    let here = place.address().filter(|address| local.contains(address));
    let clear = ["http://127.0.0.1:", "http://[::1]:"].iter().any(|begin| url.as_str().starts_with(begin));
    if url.scheme() != "https" && !(clear && here.is_some()) {
        return Err(none());
    }
    if !place.host().contains(['.', ':']) {
        return Err(nowhere());
    }
    match place.address() {
        Some(address) if here.is_none() => {
            Err(format!("is at {address}, an address that nobody has named (--local {address})"))
        }
        _ => Ok(url),
    }
}

/// A URL that can be read in one way only, and names nobody.
fn plain(text: &str) -> Option<Url> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}#".contains(&byte);
    if LONGEST < text.len() || !text.bytes().all(plain) {
        return None;
    }
    Url::parse(text).ok().filter(|url| url.username().is_empty() && url.password().is_none())
}

/// Where a server's metadata is, if it does not say so itself: for its whole address first, then for its host.
#[must_use]
pub fn places_of_resource(server: &Url) -> Vec<Url> {
    let well_known = "/.well-known/oauth-protected-resource";
    let (mut own, mut host) = (server.clone(), server.clone());
    own.set_fragment(None);
    own.set_path(&format!("{well_known}{}", server.path().trim_end_matches('/')));
    host.set_fragment(None);
    host.set_query(None);
    host.set_path(well_known);
    if own == host { vec![host] } else { vec![own, host] }
}

/// Where an authorization server's metadata is, in the order in which it is looked for.
#[must_use]
pub fn places_of_server(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut paths = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        paths.push(format!("{path}/.well-known/openid-configuration"));
    }
    let at = |path: &String| {
        let mut url = issuer.clone();
        url.set_path(path);
        url.set_query(None);
        url
    };
    paths.iter().map(at).collect()
}

/// Does it stand at the server's own origin?
///
/// # Errors
/// Says that it does not.
pub fn of_its_own(text: &str, server: &Url) -> Result<Url, String> {
    let url = plain(text).ok_or("the address that it names for its metadata is none")?;
    match url.origin() == server.origin() {
        true => Ok(url),
        false => Err(format!("it has {:?} speak for it, which is not its own host", host(&url))),
    }
}

/// Reads what a server says of itself.
///
/// # Errors
/// Says what is wrong with it.
pub fn resource(text: &str, server: &Url, local: &[SocketAddr]) -> Result<Resource, String> {
    let raw: RawResource = object(text).ok_or("its metadata is not in the form of RFC 9728")?;
    let name = plain(&raw.resource).filter(|name| covers(name, server));
    let name = name.ok_or("its metadata is that of another server: its resource is not this address")?;
    if LONGEST_NAME < name.as_str().len() {
        return Err("its resource has a name that is too long".to_owned());
    }
    let issuer = raw.authorization_servers.first().ok_or("its metadata names no authorization server")?;
    let issuer =
        address(issuer, local).map_err(|what| format!("the authorization server that it names {what}"))?;
    // As it is written, since a token's audience is compared letter by letter.
    let name = if name.as_str() == format!("{}/", raw.resource) { raw.resource } else { name.into() };
    Ok(Resource { name, issuer, scopes: scopes(raw.scopes_supported.iter().map(String::as_str)) })
}

/// Reads what an authorization server says of itself.
///
/// # Errors
/// Says what is wrong with it, or that nothing it has can be used.
pub fn server(text: &str, of: Resource, local: &[SocketAddr]) -> Result<SignIn, String> {
    let Resource { name, issuer, scopes } = of;
    let who = host(&issuer);
    let raw: RawServer =
        object(text).ok_or_else(|| format!("{who} does not say it in the form of RFC 8414"))?;
    if Url::parse(&raw.issuer).ok().as_ref() != Some(&issuer) {
        return Err(format!("{who} speaks for another authorization server"));
    }
    let endpoint = |url: &Option<String>, what: &str| {
        let url = url.as_deref().map(|url| address(url, local)).transpose();
        url.map_err(|wrong| format!("{who} names a place for {what} that {wrong}"))
            .map(|url| url.map(String::from))
    };
    let token_url = endpoint(&raw.token_endpoint, "tokens")?;
    let token_url = token_url.ok_or_else(|| format!("{who} names no place where tokens are had"))?;
    let device_url = endpoint(&raw.device_authorization_endpoint, "codes")?;
    let proof = raw.code_challenge_methods_supported.iter().any(|method| method == "S256");
    let authorize_url = endpoint(&raw.authorization_endpoint, "a person's leave")?.filter(|_| proof);
    if authorize_url.is_none() && device_url.is_none() {
        return Err(match proof {
            true => format!("{who} knows no way in which a person gives leave"),
            false => format!("{who} does not promise to ask for a proof that a code is ours (PKCE, S256)"),
        });
    }
    let registration_url = endpoint(&raw.registration_endpoint, "clients")?;
    let issuer = issuer.as_str().trim_end_matches('/').to_owned();
    Ok(SignIn { issuer, authorize_url, device_url, token_url, registration_url, resource: name, scopes })
}

/// Scopes that a manifest takes.
#[must_use]
pub fn scopes<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for word in words {
        let legal = word.len() <= LONGEST_SCOPE && is_word(word);
        if legal && taken.len() < MOST_SCOPES && taken.iter().all(|other| other != word) {
            taken.push(word.to_owned());
        }
    }
    taken
}

/// The host of an address, for a sentence.
#[must_use]
pub fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Is it an object, and of this form?
fn object<T: DeserializeOwned>(text: &str) -> Option<T> {
    // A list would do for a form, too.
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok())?
}

/// Is the server's address this one, or below it?
fn covers(name: &Url, server: &Url) -> bool {
    let path = name.path().trim_end_matches('/');
    let below = server.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let query = name.query().is_none() || name.query() == server.query();
    name.origin() == server.origin() && below && query
}

#[cfg(test)]
mod tests;
