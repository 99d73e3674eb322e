//! May this app ask for this URL?
//!
//! Answers: `permits(rules, method, url)`, and the sentence for the person whose app was refused.
//! Never: resolves a name; that is `dial.rs`, which checks the addresses besides. Never repairs a URL that could be read
//! in two ways: it is refused, since another program may read it in the other.
//! Carries: I-12, I-13.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::allowed_host::{Line, NotNamed, Rules};

/// The longest URL that is read, bytes. Servers refuse longer ones themselves.
pub const MAX_URL: usize = 8 << 10;

/// How it is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear; never with a credential, unless to an address that the manifest names.
    Http,
    /// Over TLS.
    Https,
}

/// A URL that the manifest allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// What to ask for: without fragment, and without a dot at the end of the host.
    pub url: Url,
    /// How.
    pub scheme: Scheme,
    /// A name in its ASCII form, or an address that the manifest names.
    pub host: Target,
    /// Where.
    pub port: u16,
    /// By which line of the manifest.
    pub by: Line,
}

/// What stands in the place of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A name, lower case, ASCII, with at least one dot and none at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Name(name) => f.write_str(name),
            Target::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no URL, or one that programs read differently.
    #[error("not a URL that is understood in one way only: {0}")]
    Syntax(&'static str),
    /// Neither http nor https.
    #[error("the scheme {0:?} is neither http nor https")]
    Scheme(String),
    /// It carries a name or password.
    #[error("a URL with a user name or password is not taken")]
    UserInfo,
    /// An address that the manifest does not name.
    #[error("{0} is an address that the app's manifest does not name (under [network], local)")]
    Address(SocketAddr),
    /// A name without a dot.
    #[error("{0:?} has no dot, so it means another host on every network")]
    SingleLabel(String),
    /// A suffix under which strangers register their names.
    #[error("{0} is a public suffix, not a host of somebody")]
    Suffix(String),
    /// The host is named, but not with this port.
    #[error(
        "port {port} of {host} is not named by the app's manifest (under [network], hosts = [\"{host}:{port}\"])"
    )]
    Port {
        /// Which host.
        host: String,
        /// Which port.
        port: u16,
    },
    /// No line covers the host, which is here as `hosts` would name it.
    #[error("{0} is not named by the app's manifest (under [network], hosts = [\"{0}\"], or its domain)")]
    NotNamed(String),
    /// The host may be reached, but not with this method.
    #[error("the method {0} is not among those of the app's manifest (under [network], methods)")]
    Method(String),
}

impl Refusal {
    /// One word, for the golden file and the audit.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Refusal::Syntax(_) => "syntax",
            Refusal::Scheme(_) => "scheme",
            Refusal::UserInfo => "userinfo",
            Refusal::Address(_) => "address",
            Refusal::SingleLabel(_) => "single-label",
            Refusal::Suffix(_) => "suffix",
            Refusal::Port { .. } => "port",
            Refusal::NotNamed(_) => "not-named",
            Refusal::Method(_) => "method",
        }
    }
}

/// Reads a URL as an app wrote it.
///
/// # Errors
/// If it is none, or has anything in it that programs are known to read differently.
pub fn read(text: &str) -> Result<Url, Refusal> {
    if MAX_URL < text.len() {
        return Err(Refusal::Syntax("it is too long"));
    }
    // The parser drops tabs and line ends and trims blanks; others do not.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Refusal::Syntax("it holds a blank or a control character"));
    }
    // A browser takes a backslash for a slash; others take it for a part of the name.
    if text.contains('\\') {
        return Err(Refusal::Syntax("it holds a backslash"));
    }
    let url = Url::parse(text).map_err(|_| Refusal::Syntax("it cannot be parsed"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Scheme(url.scheme().chars().take(20).collect()));
    }
    // As written, not as parsed: the parser supplies missing slashes and undoes escapes.
    let Some((_, rest)) = text.split_once(':') else {
        return Err(Refusal::Syntax("it has no scheme"));
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(Refusal::Syntax("two slashes are missing"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Refusal::UserInfo);
    }
    if authority.contains('%') {
        return Err(Refusal::Syntax("its host is written in escapes"));
    }
    if authority.is_empty() {
        return Err(Refusal::Syntax("it has no host"));
    }
    // `0177.0.0.1`, `127.1` and `2130706433` are one address here and another elsewhere.
    if let Some(Host::Ipv4(address)) = url.host() {
        let plain = address.to_string();
        if authority
            .strip_prefix(plain.as_str())
            .is_none_or(|rest| !rest.is_empty() && !rest.starts_with(':'))
        {
            return Err(Refusal::Syntax("its address is not written as four plain numbers"));
        }
    }
    if authority.ends_with(':') {
        return Err(Refusal::Syntax("it has a colon without a port"));
    }
    Ok(url)
}

/// Does the manifest allow this URL with this method?
///
/// # Errors
/// Says why not.
pub fn permits(rules: &Rules, method: &str, url: &Url) -> Result<Permitted, Refusal> {
    let scheme = match url.scheme() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => return Err(Refusal::Scheme(other.chars().take(20).collect())),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::UserInfo);
    }
    let usual = match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    };
    let port = url.port().unwrap_or(usual);
    let mut url = url.clone();
    url.set_fragment(None);
    let (host, by) = match url.host() {
        None => return Err(Refusal::Syntax("it has no host")),
        Some(Host::Ipv4(address)) => named_address(rules, address.into(), port)?,
        Some(Host::Ipv6(address)) => named_address(rules, address.into(), port)?,
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            let by = named_host(rules, &name, port, port == usual)?;
            (Target::Name(name), by)
        }
    };
    if let Target::Name(name) = &host
        && url.host_str() != Some(name.as_str())
    {
        url.set_host(Some(name)).map_err(|_| Refusal::Syntax("its host cannot be written plainly"))?;
    }
    if !rules.takes(method) {
        return Err(Refusal::Method(method.chars().take(20).collect()));
    }
    Ok(Permitted { url, scheme, host, port, by })
}

/// Does the manifest allow a proxied connection to this host and port, as an app wrote them in its `CONNECT`?
///
/// # Errors
/// Says why not. Port 80 is refused: what goes in the clear goes as a fetch, not as a tunnel.
pub fn permits_tunnel(rules: &Rules, host: &str, port: u16) -> Result<Permitted, Refusal> {
    let bad = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']'));
    if host.is_empty() || host.contains(bad) || (host.contains(':') && !host.starts_with('[')) {
        return Err(Refusal::Syntax("it is not a host name"));
    }
    permits(rules, "CONNECT", &read(&format!("https://{host}:{port}/"))?)
}

fn named_address(rules: &Rules, address: IpAddr, port: u16) -> Result<(Target, Line), Refusal> {
    let address = SocketAddr::new(address, port);
    if rules.names_address(address) {
        Ok((Target::Address(address.ip()), Line::Local(address)))
    } else {
        Err(Refusal::Address(address))
    }
}

fn named_host(rules: &Rules, name: &str, port: u16, usual: bool) -> Result<Line, Refusal> {
    if name.is_empty() || name.split('.').any(str::is_empty) || 253 < name.len() {
        return Err(Refusal::Syntax("its host has an empty part or is too long"));
    }
    if !name.contains('.') {
        return Err(Refusal::SingleLabel(name.to_owned()));
    }
    // A name may hold more than a host name does, such as `_` or `!`; resolvers and proxies differ over it.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
        return Err(Refusal::Syntax("its host holds more than letters, digits, `-`, `_` and dots"));
    }
    rules.names(name, port, usual).map_err(|not| match not {
        NotNamed::Port => Refusal::Port { host: name.to_owned(), port },
        NotNamed::Host if rules.is_suffix(name) => Refusal::Suffix(name.to_owned()),
        NotNamed::Host if usual => Refusal::NotNamed(name.to_owned()),
        NotNamed::Host => Refusal::NotNamed(format!("{name}:{port}")),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use manifest::METHODS;
    use proptest::prelude::*;

    use super::*;
    use crate::allowed_host::Suffixes;

    /// Reading the list takes a while, and a property is tried hundreds of times.
    static SUFFIXES: LazyLock<Suffixes> = LazyLock::new(|| Suffixes::shipped().unwrap());

    fn rules() -> Rules {
        let text = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        Rules::new(
            &SUFFIXES,
            &text(&["example.com"]),
            &text(&["api.github.com", "git.example.org:8443"]),
            &["127.0.0.1:9000".parse().unwrap()],
        )
        .unwrap()
    }

    fn verdict(rules: &Rules, text: &str) -> Result<Permitted, Refusal> {
        permits(rules, "GET", &read(text)?)
    }

    #[test]
    fn empty_rules_permit_nothing() {
        let nothing = Rules::nothing(&SUFFIXES);
        for text in ["https://example.com/", "http://127.0.0.1:9000/", "https://api.github.com/"] {
            assert!(verdict(&nothing, text).is_err(), "{text}");
            assert!(verdict(&rules(), text).is_ok(), "the control: {text}");
        }
    }

    #[test]
    fn a_method_that_is_not_named_is_refused_tunnels_too() {
        let reading = rules().with_methods(BTreeSet::from(["GET".to_owned()]));
        let url = read("https://example.com/").unwrap();
        assert!(permits(&reading, "GET", &url).is_ok());
        for method in ["POST", "DELETE", "get", "HEAD", "CONNECT", ""] {
            assert_eq!(permits(&reading, method, &url), Err(Refusal::Method(method.into())));
        }
        assert_eq!(
            permits_tunnel(&reading, "example.com", 443),
            Err(Refusal::Method("CONNECT".into())),
            "no method is seen inside a tunnel"
        );
        assert!(permits_tunnel(&rules(), "example.com", 443).is_ok(), "the control");
    }

    #[test]
    fn the_line_that_allows_is_named() {
        for (text, line) in [
            ("https://a.b.example.com/x?y#z", "domains: example.com"),
            ("https://API.github.com./", "hosts: api.github.com"),
            ("https://git.example.org:8443/", "hosts: git.example.org:8443"),
            ("http://127.0.0.1:9000/", "local: 127.0.0.1:9000"),
        ] {
            assert_eq!(verdict(&rules(), text).unwrap().by.to_string(), line);
        }
    }

    #[test]
    fn a_dot_at_the_end_does_not_travel() {
        let permitted = verdict(&rules(), "https://www.example.com./a#b").unwrap();
        assert_eq!(permitted.url.as_str(), "https://www.example.com/a");
        assert_eq!(permitted.host, Target::Name("www.example.com".into()));
    }

    #[test]
    fn a_tunnel_is_held_to_the_same_rules() {
        let rules = rules();
        assert!(permits_tunnel(&rules, "www.example.com", 443).is_ok());
        assert!(permits_tunnel(&rules, "git.example.org", 8443).is_ok());
        assert!(permits_tunnel(&rules, "127.0.0.1", 9000).is_ok());
        for (host, port) in [
            ("www.example.com", 80),
            ("www.example.com", 22),
            ("example.org", 443),
            ("127.0.0.1", 443),
            ("2130706433", 9001),
            ("::1", 443),
            ("[::1]", 443),
            ("user@www.example.com", 443),
            ("www.example.com/", 443),
            ("www.example.com#", 443),
            ("www.example.com:80", 443),
            ("localhost", 443),
            ("", 443),
        ] {
            assert!(permits_tunnel(&rules, host, port).is_err(), "{host}:{port}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = verdict(&rules(), &text);
        }

        #[test]
        fn what_is_permitted_is_named(text in "(https?|HTTP|ftp)[:/]{1,4}[a-z0-9.@:\\[\\]%\\\\#?_-]{0,24}(example\\.com|api\\.github\\.com|127\\.0\\.0\\.1)[a-z0-9.@:\\[\\]%\\\\#?/_-]{0,24}") {
            if let Ok(permitted) = verdict(&rules(), &text) {
                match &permitted.host {
                    Target::Name(name) => prop_assert!(
                        name == "api.github.com" || name == "example.com" || name.ends_with(".example.com") || name == "git.example.org",
                        "{text} -> {name}"
                    ),
                    Target::Address(address) => prop_assert_eq!(SocketAddr::new(*address, permitted.port), "127.0.0.1:9000".parse().unwrap()),
                }
                prop_assert_eq!(permitted.url.host_str().map(str::to_owned), Some(permitted.host.to_string()));
            }
        }

        #[test]
        fn no_method_passes_that_is_not_named(named in proptest::collection::btree_set(proptest::sample::select(&METHODS[..]), 0..8), asked in proptest::sample::select(&METHODS[..])) {
            let rules = rules().with_methods(named.iter().map(|&method| method.to_owned()).collect());
            let passed = permits(&rules, asked, &read("https://www.example.com/").unwrap());
            prop_assert_eq!(passed.is_ok(), named.contains(asked));
            prop_assert_eq!(permits_tunnel(&rules, "www.example.com", 443).is_ok(), named.contains("CONNECT"));
        }

        #[test]
        fn a_permitted_url_is_permitted_again(path in "/[a-z0-9%./]{0,20}", host in "([a-z]{1,5}\\.){0,3}example\\.com\\.?") {
            let first = verdict(&rules(), &format!("https://{host}{path}")).unwrap();
            let second = verdict(&rules(), first.url.as_str()).unwrap();
            prop_assert_eq!(first, second);
        }
    }
}
