//! Which hosts an app's manifest names.
//!
//! Answers: does this line of a manifest mean something, and which line, if any, covers this host, port and method?
//! Never: looks a name up, or allows what no line names. No lines, no way out.
//! Carries: I-12. The Public Suffix List is shipped and read once; it is never fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use manifest::METHODS;
use publicsuffix::{List, Psl};
use url::Host;

/// Where one registrable domain ends and its owner's customers begin.
#[derive(Clone, Debug)]
pub struct Suffixes(Arc<List>);

/// A Public Suffix List that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuffixError {
    /// It is not in the list's format.
    #[error("it is not a Public Suffix List: {0}")]
    Format(String),
    /// It lacks rules that every list has; a cut-off list would make whole countries one domain.
    #[error("it has no rule for {0}: it is not complete")]
    Incomplete(&'static str),
}

impl Suffixes {
    /// The list that is shipped with this program.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn shipped() -> Result<Self, SuffixError> {
        Self::read(include_str!("../data/public_suffix_list.dat"))
    }

    /// A list in the format of publicsuffix.org.
    ///
    /// # Errors
    /// If it is damaged or lacks rules that every list has.
    pub fn read(text: &str) -> Result<Self, SuffixError> {
        let list: List =
            text.parse().map_err(|error: publicsuffix::Error| SuffixError::Format(error.to_string()))?;
        let list = Self(Arc::new(list));
        // From the beginning of the list, its middle, and its private part at the end.
        for (host, domain) in [
            ("www.example.com", "example.com"),
            ("www.example.co.uk", "example.co.uk"),
            ("www.example.github.io", "example.github.io"),
        ] {
            if list.registrable(host) != Some(domain) {
                return Err(SuffixError::Incomplete(domain));
            }
        }
        Ok(list)
    }

    /// No list: no name lies in a registrable domain, so only exact hosts can be named.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(List::new()))
    }

    /// The registrable domain (eTLD+1) of a host name in its ASCII form, if it has one under a suffix that is listed.
    /// `None` for a suffix itself, and for names under no suffix of the list.
    #[must_use]
    pub fn registrable<'a>(&self, host: &'a str) -> Option<&'a str> {
        let domain = self.0.domain(host.as_bytes())?;
        if !domain.suffix().is_known() {
            return None;
        }
        // It is a tail of `host`, so it ends on the boundaries of characters.
        std::str::from_utf8(domain.as_bytes()).ok()
    }

    /// Is the name a suffix under which strangers register theirs?
    #[must_use]
    pub fn is_suffix(&self, host: &str) -> bool {
        self.0.suffix(host.as_bytes()).is_some_and(|suffix| suffix.as_bytes() == host.as_bytes())
    }
}

/// A line of a manifest's `[network]`, as a person finds it there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// `domains`: that registrable domain, and all below it.
    Domain(String),
    /// `hosts`: that host alone, at the port if one is written.
    Host(String, Option<u16>),
    /// `local`: that address and port.
    Local(SocketAddr),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Domain(domain) => write!(f, "domains: {domain}"),
            Line::Host(host, None) => write!(f, "hosts: {host}"),
            Line::Host(host, Some(port)) => write!(f, "hosts: {host}:{port}"),
            Line::Local(address) => write!(f, "local: {address}"),
        }
    }
}

/// Why a line of a manifest means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} under {key}: {what}")]
pub struct LineError {
    /// `domains`, `hosts` or `local`.
    pub key: &'static str,
    /// As written, cut to 80 characters.
    pub line: String,
    /// What is wrong with it, as a sentence.
    pub what: &'static str,
}

/// All that one app may reach. Empty means nothing.
#[derive(Clone, Debug)]
pub struct Rules {
    domains: BTreeSet<String>,
    hosts: BTreeMap<String, BTreeSet<Option<u16>>>,
    local: BTreeSet<SocketAddr>,
    methods: BTreeSet<String>,
    suffixes: Suffixes,
}

impl Rules {
    /// From the lines of a manifest. One line that means nothing makes the whole mean nothing: the app then has no
    /// way out, and its user is told why.
    ///
    /// # Errors
    /// Names the first such line.
    pub fn new(
        suffixes: &Suffixes,
        domains: &[String],
        hosts: &[String],
        local: &[SocketAddr],
    ) -> Result<Self, LineError> {
        let mut rules = Self::nothing(suffixes).with_methods(METHODS.map(str::to_owned).into());
        for text in domains {
            let fault = |what| LineError { key: "domains", line: text.chars().take(80).collect(), what };
            let domain = name(text).map_err(fault)?;
            if suffixes.is_suffix(&domain) {
                return Err(fault("strangers register names under it; name one of those"));
            }
            match suffixes.registrable(&domain) {
                Some(registrable) if registrable == domain => _ = rules.domains.insert(domain),
                Some(_) => return Err(fault("it is below a registrable domain; put it under hosts")),
                None => return Err(fault("it is under no public suffix; put exact names under hosts")),
            }
        }
        for text in hosts {
            let fault = |what| LineError { key: "hosts", line: text.chars().take(80).collect(), what };
            let (text, port) = match text.rsplit_once(':') {
                None => (text.as_str(), None),
                Some((host, port)) => match port.parse() {
                    Ok(port) if 0 < port => (host, Some(port)),
                    _ => return Err(fault("the port is none")),
                },
            };
            rules.hosts.entry(name(text).map_err(fault)?).or_default().insert(port);
        }
        for &address in local {
            let fault = |what| LineError { key: "local", line: address.to_string(), what };
            let (ip, port) = (address.ip(), address.port());
            if port == 0 || ip.is_unspecified() || ip.is_multicast() {
                return Err(fault("it is no address of one program on one machine"));
            }
            if matches!(ip, IpAddr::V6(ip) if ip.to_ipv4().is_some() && !ip.is_loopback()) {
                return Err(fault("write the IPv4 address itself"));
            }
            rules.local.insert(address);
        }
        Ok(rules)
    }

    /// No way out.
    #[must_use]
    pub fn nothing(suffixes: &Suffixes) -> Self {
        Self {
            domains: BTreeSet::new(),
            hosts: BTreeMap::new(),
            local: BTreeSet::new(),
            methods: BTreeSet::new(),
            suffixes: suffixes.clone(),
        }
    }

    /// With these methods of HTTP and no other; `CONNECT` stands for tunnels. [`Rules::new`] has all of them.
    #[must_use]
    pub fn with_methods(mut self, methods: BTreeSet<String>) -> Self {
        self.methods = methods;
        self
    }

    /// The private addresses that the manifest names.
    #[must_use]
    pub fn local(&self) -> Vec<SocketAddr> {
        self.local.iter().copied().collect()
    }

    /// May this method be used?
    #[must_use]
    pub fn takes(&self, method: &str) -> bool {
        self.methods.contains(method)
    }

    /// Is there no way out at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.hosts.is_empty() && self.local.is_empty()
    }

    /// The line that covers a host by its exact name or its domain, at a port that need not be named (`usual`) or is.
    pub(crate) fn names(&self, host: &str, port: u16, usual: bool) -> Result<Line, NotNamed> {
        let mut elsewhere = false;
        if let Some(ports) = self.hosts.get(host) {
            for named in [Some(port), None] {
                if ports.contains(&named) && (named.is_some() || usual) {
                    return Ok(Line::Host(host.to_owned(), named));
                }
            }
            elsewhere = true;
        }
        match self.suffixes.registrable(host) {
            Some(domain) if self.domains.contains(domain) => {
                if usual {
                    return Ok(Line::Domain(domain.to_owned()));
                }
                elsewhere = true;
            }
            _ => {}
        }
        Err(if elsewhere { NotNamed::Port } else { NotNamed::Host })
    }

    /// Does the manifest name this very address and port?
    #[must_use]
    pub fn names_address(&self, address: SocketAddr) -> bool {
        self.local.contains(&address)
    }

    /// Is the name one under which strangers register theirs?
    pub(crate) fn is_suffix(&self, host: &str) -> bool {
        self.suffixes.is_suffix(host)
    }
}

/// Why no line covers a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotNamed {
    /// The host is covered, the port is not.
    Port,
    /// The host is not.
    Host,
}

/// Does `host` lie within `domain`: is it that name, or below it?
#[must_use]
pub fn within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The ASCII form of a name that a manifest names.
fn name(text: &str) -> Result<String, &'static str> {
    if text.contains(['*', '/', '@', '%', '\\', ' ']) {
        return Err("it is not a host name; wildcards, schemes and paths have no place here");
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if name.ends_with('.') => Err("write it without the dot at its end"),
        Ok(Host::Domain(name)) if !name.contains('.') => {
            Err("a name without a dot means another host on every network")
        }
        Ok(Host::Domain(name)) if name.split('.').any(str::is_empty) => Err("it is not a host name"),
        Ok(Host::Domain(name)) if name.len() <= 253 => Ok(name),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Err("it is an address; put it under local, with its port"),
        _ => Err("it is not a host name"),
    }
}

#[cfg(test)]
mod tests;
