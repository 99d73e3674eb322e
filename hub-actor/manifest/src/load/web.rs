//! What a manifest says of the web: `[network]` and `[credentials]`.
//!
//! Answers: where may the app go and with which methods, which credential is added there, and where is it had?
//! Never: takes a line that means two things, or an authorization server that is asked in the clear.
//! Carries: I-06.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::operation::Operation;
use toml::Spanned;

use super::{AppKind, Reader};
use crate::error::ManifestError;
use crate::network::{CredentialKind, CredentialUse, METHODS, Network, OauthServer, host_name};
use crate::raw::{RawCredential, RawCredentialKind, RawNetwork};

impl Reader<'_> {
    /// Where the app may go.
    pub(super) fn network(&self, raw: Option<&RawNetwork>, kind: &AppKind) -> Result<Network, ManifestError> {
        let Some(raw) = raw else { return Ok(Network::default()) };
        let local = |address: &Spanned<String>| {
            address.get_ref().parse().map_err(|_| {
                self.wrong(
                    address,
                    format!("{:?} is not an address with a port, like 127.0.0.1:9000", address.get_ref()),
                )
            })
        };
        Ok(Network {
            domains: raw.domains.iter().map(|domain| self.host(domain)).collect::<Result<_, _>>()?,
            hosts: raw.hosts.iter().map(|host| self.host_and_port(host)).collect::<Result<_, _>>()?,
            local: raw.local.iter().map(local).collect::<Result<_, _>>()?,
            methods: match &raw.methods {
                Some(methods) => {
                    methods.iter().map(|method| self.method(method)).collect::<Result<_, _>>()?
                }
                None => needed(kind),
            },
        })
    }

    fn method(&self, method: &Spanned<String>) -> Result<String, ManifestError> {
        let text = method.get_ref();
        match METHODS.contains(&text.as_str()) {
            true => Ok(text.clone()),
            false => {
                let what = format!("{text:?} is not a method that is taken");
                Err(self.wrong(method, what).hint(format!("these are: {}", METHODS.join(", "))))
            }
        }
    }

    /// What is added on the way, by name.
    pub(super) fn credentials(
        &self,
        raw: BTreeMap<String, RawCredential>,
    ) -> Result<BTreeMap<String, CredentialUse>, ManifestError> {
        raw.into_iter().map(|(name, raw)| Ok((name, self.credential(&raw)?))).collect()
    }

    fn credential(&self, raw: &RawCredential) -> Result<CredentialUse, ManifestError> {
        // An address with its port, as under `local`, for a service on a private network.
        let host = |host: &Spanned<String>| match host.get_ref().parse::<std::net::SocketAddr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => self.host(host),
        };
        let hosts = raw.hosts.iter().map(host).collect::<Result<_, _>>()?;
        let name = raw.header.get_ref();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(self.wrong(&raw.header, format!("{name:?} is not the name of a header")));
        }
        let of_servers = [
            &raw.authorize_url,
            &raw.device_url,
            &raw.token_url,
            &raw.registration_url,
            &raw.resource,
            &raw.client_id,
        ];
        let of_servers = of_servers.into_iter().flatten().chain(&raw.scopes).next();
        let kind = match (raw.kind, &raw.prefix, of_servers) {
            (RawCredentialKind::Oauth2, None, _) => CredentialKind::Oauth2,
            (RawCredentialKind::ApiKey, _, None) => CredentialKind::ApiKey,
            (RawCredentialKind::Oauth2, Some(prefix), _) => {
                return Err(self.wrong(prefix, "a token is always sent as Bearer; prefix is for api_key"));
            }
            (RawCredentialKind::ApiKey, _, Some(other)) => {
                return Err(self.wrong(other, "an api_key has no server that gives it out; that is oauth2's"));
            }
        };
        Ok(CredentialUse {
            kind,
            header: name.clone(),
            hosts,
            prefix: raw.prefix.as_ref().map(|prefix| self.word(prefix)).transpose()?,
            server: self.server(raw)?,
        })
    }

    fn server(&self, raw: &RawCredential) -> Result<OauthServer, ManifestError> {
        let url = |url: &Option<Spanned<String>>| url.as_ref().map(|url| self.endpoint(url)).transpose();
        let server = OauthServer {
            authorize_url: url(&raw.authorize_url)?,
            device_url: url(&raw.device_url)?,
            token_url: url(&raw.token_url)?,
            registration_url: url(&raw.registration_url)?,
            resource: raw.resource.as_ref().map(|resource| self.resource(resource)).transpose()?,
            client_id: raw.client_id.as_ref().map(|id| self.word(id)).transpose()?,
            scopes: raw.scopes.iter().map(|scope| self.word(scope)).collect::<Result<_, _>>()?,
        };
        if let (Some(first), None) =
            (raw.authorize_url.as_ref().or(raw.device_url.as_ref()), &server.token_url)
        {
            return Err(self.wrong(first, "without a token_url nothing comes of it"));
        }
        Ok(server)
    }

    /// The address of an authorization server. The gateway reads it again, as strictly as any other URL.
    fn endpoint(&self, url: &Spanned<String>) -> Result<String, ManifestError> {
        let text = url.get_ref();
        // In the clear only to this machine itself, where nobody is on the way.
        let begins = ["https://", "http://127.0.0.1:", "http://[::1]:"];
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        match plain && begins.iter().any(|begin| text.starts_with(begin)) {
            true => Ok(text.clone()),
            false => Err(self.wrong(url, format!("{text:?} is not a URL that begins with https://"))),
        }
    }

    /// The name of a service among others, which looks like its address. Nobody goes there by it.
    fn resource(&self, resource: &Spanned<String>) -> Result<String, ManifestError> {
        let text = self.word(resource)?;
        match text.contains("://") && !text.contains('#') {
            true => Ok(text),
            false => Err(self.wrong(resource, format!("{text:?} is not a URL without a fragment"))),
        }
    }

    /// A word without blanks, quotes and anything that has no letter.
    fn word(&self, word: &Spanned<String>) -> Result<String, ManifestError> {
        let text = word.get_ref();
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        match !text.is_empty() && text.len() <= 400 && text.bytes().all(plain) {
            true => Ok(text.clone()),
            false => Err(self.wrong(word, format!("{text:?} is not one word of ordinary characters"))),
        }
    }

    /// A host, with a port if another than the usual ones is meant.
    fn host_and_port(&self, host: &Spanned<String>) -> Result<String, ManifestError> {
        let text = host.get_ref();
        let port = |port: &str| port.parse::<u16>().ok().filter(|&port| 0 < port);
        match text.rsplit_once(':').and_then(|(name, number)| Some((host_name(name)?, port(number)?))) {
            Some((name, port)) => Ok(format!("{name}:{port}")),
            None => self.host(host),
        }
    }

    fn host(&self, host: &Spanned<String>) -> Result<String, ManifestError> {
        host_name(host.get_ref()).ok_or_else(|| {
            self.wrong(
                host,
                format!("{:?} is not the name of a host, without wildcard and port", host.get_ref()),
            )
        })
    }
}

/// The methods that an app of this kind cannot do without.
fn needed(kind: &AppKind) -> BTreeSet<String> {
    let all = |methods: &[&str]| methods.iter().map(|&method| method.to_owned()).collect();
    match kind {
        AppKind::Prompt => BTreeSet::new(),
        // A program makes its requests itself, by its proxy; which, only its author knows.
        AppKind::Stdio { .. } => all(&METHODS),
        // The protocol's three: to send, to listen, and to end a session.
        AppKind::Remote { .. } => all(&["GET", "POST", "DELETE"]),
        AppKind::Http { operations } => {
            operations.values().flat_map(Operation::methods).map(str::to_owned).collect()
        }
    }
}
