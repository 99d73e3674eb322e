//! Where an app may go on the web, and which credentials are added for it on the way.
//!
//! Answers: is this the name of a host, and which hosts does the manifest name?
//! Never: resolves a name or decides whether a connection may be made; that is the egress gateway's.
//! Carries: I-06. A manifest without `[network]` has no way out.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The methods of HTTP that a manifest may name. `CONNECT` stands for tunnels, in which no method is seen.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"];

/// What may be reached. All empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Registrable domains (eTLD+1), with all that is below them. Lower case.
    pub domains: Vec<String>,
    /// Exact hosts, as `name` or `name:port`. Lower case.
    pub hosts: Vec<String>,
    /// Addresses on private networks, each with its port; nothing else private may be reached.
    pub local: Vec<SocketAddr>,
    /// With which of [`METHODS`]; where the manifest names none, those that an app of its kind needs.
    pub methods: BTreeSet<String>,
}

impl Network {
    /// Is there no way out at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.hosts.is_empty() && self.local.is_empty()
    }
}

/// A secret that the egress gateway adds to a request; the app never sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialUse {
    /// How it is had.
    pub kind: CredentialKind,
    /// The header that carries it.
    pub header: String,
    /// Hosts, or domains with all that is below them, that get it; or `address:port` of one under `local`. Lower case.
    pub hosts: Vec<String>,
    /// The word before an API key in its header, such as `Bearer` or `Token`.
    pub prefix: Option<String>,
    /// Where a token is had.
    pub server: OauthServer,
}

/// The authorization server of a credential of kind `oauth2`, as far as the manifest names it. The gateway speaks to
/// these hosts for nothing else, and to no other for a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OauthServer {
    /// Where a person gives leave in a browser.
    pub authorize_url: Option<String>,
    /// Where a code for another device is had (RFC 8628).
    pub device_url: Option<String>,
    /// Where tokens are had and renewed.
    pub token_url: Option<String>,
    /// Where a client is registered that nobody has registered by hand (RFC 7591).
    pub registration_url: Option<String>,
    /// For which service a token is to be good, as the server is told (RFC 8707).
    pub resource: Option<String>,
    /// Who asks, as the server knows it.
    pub client_id: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
}

/// How a credential is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A token that the gateway refreshes; sent as `Bearer`.
    Oauth2,
    /// A key that is sent as it is.
    ApiKey,
}

/// The name of a host with at least one dot, in lower case; `None` for anything else: wildcards, addresses,
/// ports, `localhost`.
pub(crate) fn host_name(text: &str) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let legal = text.len() <= 253
        && text.contains('.')
        && text.split('.').all(label)
        && text.parse::<IpAddr>().is_err()
        // "1.2.3" is read as an address by some resolvers.
        && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    legal.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::host_name;

    #[test]
    fn a_wildcard_an_address_or_a_bare_name_is_no_host() {
        for text in [
            "*.example.com",
            "127.0.0.1",
            "::1",
            "localhost",
            "example.com:80",
            "a..b",
            "1.2.3",
            "exämple.com",
            "",
        ] {
            assert_eq!(host_name(text), None, "{text:?}");
        }
        assert_eq!(host_name("Api.GitHub.com").as_deref(), Some("api.github.com"));
    }
}
