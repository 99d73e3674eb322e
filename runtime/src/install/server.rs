//! A server, as its address names it.
//!
//! Answers: what must a manifest say so that an app, and its credential, get there?
//! Never: allows another host, another port, or an address that is not the server's own.
//! Carries: I-17.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A name, or an address; one of the sixth version in brackets.
    host: String,
    /// If another than the scheme's.
    port: Option<u16>,
    /// If the host is an address.
    address: Option<SocketAddr>,
}

impl Place {
    /// None if the URL names no host that a manifest could name, or its scheme has no port.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?.to_owned();
        let number = url.port_or_known_default()?;
        // The one name that is an address everywhere.
        let bare = if host == "localhost" { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
        let address = bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, number));
        // Escapes are undone by now: a quotation mark, for one, would end the word in the manifest.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if address.is_none() && !host.bytes().all(plain) {
            return None;
        }
        Some(Self { host, port: url.port(), address })
    }

    /// A name, or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// If it is named by its address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The line of `[network]` that allows it by its name; none if it has only an address.
    #[must_use]
    pub fn hosts_line(&self) -> Option<String> {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        self.address.is_none().then(|| format!("hosts = [\"{}{port}\"]", self.host))
    }

    /// Whom a credential goes to, as a manifest names it.
    #[must_use]
    pub fn credential_host(&self) -> String {
        self.address.map_or_else(|| self.host.clone(), |address| address.to_string())
    }
}

/// The line of `[network]` that allows these addresses; none if there are none.
#[must_use]
pub fn local_line(addresses: &[SocketAddr]) -> Option<String> {
    let all: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    (!all.is_empty()).then(|| format!("local = [{}]", all.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_word_of_a_manifest_or_none() {
        let place = |url: &str| Place::of(&Url::parse(url).unwrap());
        assert_eq!(
            place("https://a.example:8443/x").unwrap().hosts_line().unwrap(),
            "hosts = [\"a.example:8443\"]"
        );
        assert_eq!(place("https://B\u{fc}cher.example").unwrap().host(), "xn--bcher-kva.example");
        for url in ["https://a%22,%22b.example/", "https://a%27b.example/", "https://a%2Cb.example", "data:x"]
        {
            // The control: it is a URL to those who read URLs.
            assert_eq!(place(url), None, "{url}");
        }
    }
}
