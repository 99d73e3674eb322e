//! Where an app comes from.
//!
//! Answers: which package of which registry, which command, which address?
//! Never: hands a registry's client a word that it could take for an option, a path, or an address.
//! Carries: I-17.

use std::net::SocketAddr;

use super::server::{Place, local_line};
use crate::error::Error;

/// Where an app comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A package of the Python Package Index.
    Pypi(Package),
    /// A package of the npm registry.
    Npm(Package),
    /// A program on this machine, with its arguments.
    Command(Vec<String>),
    /// An MCP server on the web.
    Url(Remote),
    /// A web API by its OpenAPI description: a file or an address.
    Openapi(String),
}

/// A server on the web.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub url: String,
    place: Place,
    /// Addresses on a private network that the person has named.
    local: Vec<SocketAddr>,
}

/// A package and, if one was named, a version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name: `mcp-server-time`, `@scope/name`.
    pub name: String,
    /// A version; none for the newest.
    pub version: Option<String>,
}

impl Package {
    /// `NAME` or `NAME==VERSION`, the name perhaps with extras in brackets.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn pypi(text: &str) -> Result<Self, Error> {
        let (name, version) = match text.split_once("==") {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let (bare, extras) = match name.split_once('[') {
            Some((bare, extras)) => (bare, extras.strip_suffix(']')),
            None => (name, Some("")),
        };
        let word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        let extras = extras.is_some_and(|all| all.is_empty() || all.split(',').all(word));
        let plain = |text: &str| is_version(text, "._+!-");
        if word(bare) && extras && version.is_none_or(plain) {
            return Ok(Self { name: name.to_owned(), version: version.map(str::to_owned) });
        }
        Err(Error::usage(format!("{text:?} is not the name of a package"))
            .hint("such as mcp-server-time or mcp-server-time==2026.1.1"))
    }

    /// `NAME`, `@SCOPE/NAME`, or either with `@VERSION`.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn npm(text: &str) -> Result<Self, Error> {
        let (scope, rest) = match text.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
            Some((scope, rest)) => (Some(scope), rest),
            None => (None, text),
        };
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (rest, None),
        };
        let word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~'))
        };
        let plain = |text: &str| is_version(text, "._+~^-");
        if scope.is_none_or(word) && word(name) && version.is_none_or(plain) {
            let name = scope.map_or_else(|| name.to_owned(), |scope| format!("@{scope}/{name}"));
            return Ok(Self { name, version: version.map(str::to_owned) });
        }
        Err(Error::usage(format!("{text:?} is not the name of a package"))
            .hint("such as @modelcontextprotocol/server-everything, or that with @2026.1.1"))
    }
}

fn is_version(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

/// The words of a command line. Nothing is expanded.
///
/// # Errors
/// If there is none, or a quotation mark has no second one.
pub fn command(text: &str) -> Result<Vec<String>, Error> {
    match shlex::split(text) {
        Some(words) if words.first().is_some_and(|word| !word.is_empty()) => Ok(words),
        Some(_) => Err(Error::usage("the command is empty")),
        None => Err(Error::usage(format!("a quotation mark of the command {text:?} has no second one"))),
    }
}

impl Remote {
    /// An address of the web. Whether it may be gone to is the gateway's to say; `http` is for an address that the
    /// person has named, since nobody else should be on the way there.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn parse(text: &str, local: &[SocketAddr]) -> Result<Self, Error> {
        let wrong = || Error::usage(format!("{text:?} is not an address that begins with https://"));
        let plain = text.starts_with("https://") || text.starts_with("http://");
        if !plain || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        let url = reqwest::Url::parse(text).map_err(|error| wrong().because(error))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::usage("a name or a password does not belong into an address")
                .hint("give it with `secgpt apps authorize` when the app is there"));
        }
        let place = Place::of(&url).ok_or_else(wrong)?;
        if !place.host().contains(['.', ':']) {
            return Err(Error::usage(format!("{:?} is not a name of the web", place.host()))
                .hint("for a server on a network of yours give its address, in the URL and with --local ADDRESS:PORT"));
        }
        let named = place.address().is_some_and(|address| local.contains(&address));
        if url.scheme() == "http" && !named {
            return Err(Error::usage(format!("{text:?} is not an address that begins with https://")).hint(
                "http is for a server on a network of yours, with its address and port: --local ADDRESS:PORT",
            ));
        }
        Ok(Self { url: text.to_owned(), place, local: local.to_vec() })
    }

    /// The lines of `[network]` that allow its host and nothing else. An address is allowed only if it was named.
    #[must_use]
    pub fn network(&self) -> String {
        let lines: Vec<String> = self.place.hosts_line().into_iter().chain(local_line(&self.local)).collect();
        lines.join("\n")
    }

    /// What to do if it cannot be reached.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let private = self.local.is_empty();
        private.then(|| {
            "a server on a network of yours is named by its address: --local ADDRESS:PORT".to_owned()
        })
    }

    /// Whom a credential goes to, as a manifest names it.
    #[must_use]
    pub fn credential_host(&self) -> String {
        self.place.credential_host()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_a_name_and_perhaps_a_version() {
        let check = |package: Package, name: &str, version: Option<&str>| {
            assert_eq!((package.name.as_str(), package.version.as_deref()), (name, version));
        };
        check(Package::pypi("mcp-server-time").unwrap(), "mcp-server-time", None);
        check(Package::pypi("mcp-server-time==2026.1.1").unwrap(), "mcp-server-time", Some("2026.1.1"));
        check(Package::pypi("mcp[cli,ws]==1.0").unwrap(), "mcp[cli,ws]", Some("1.0"));
        check(Package::npm("left-pad").unwrap(), "left-pad", None);
        check(Package::npm("@scope/name").unwrap(), "@scope/name", None);
        check(Package::npm("@scope/name@1.2.3-rc.1").unwrap(), "@scope/name", Some("1.2.3-rc.1"));
    }

    #[test]
    fn what_a_registrys_client_would_take_for_something_else_is_refused() {
        for text in [
            "",
            "-r",
            "--index-url=x",
            "a b",
            "../a",
            "./a",
            "/a",
            "a/b",
            "git+https://a/b",
            "https://a/b.whl",
            "a @ https://b",
            "a==",
            "a== 1",
            "a[",
            "a[x",
            "a[-r]",
            "a;b",
            "a>=1",
            "a\n-r",
        ] {
            assert!(Package::pypi(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            "-g",
            "--prefix",
            "a b",
            "../a",
            "./a",
            "/a",
            "a/b",
            "git+ssh://a",
            "file:a",
            "npm:a",
            "a@",
            "@a",
            "@/a",
            "@a/",
            "@a/b/c",
            "a@npm:b",
            "a@file:b",
            "a@b/c",
            "a@>1",
            "github:a/b",
        ] {
            assert!(Package::npm(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_command_is_split_as_a_shell_would_and_nothing_is_expanded() {
        assert_eq!(command("a 'b c' \"d e\" $HOME *").unwrap(), ["a", "b c", "d e", "$HOME", "*"]);
        assert!(command("").is_err());
        assert!(command("a 'b").is_err());
    }

    #[test]
    fn a_server_on_the_web_has_its_host_and_nothing_else() {
        let local: SocketAddr = "10.0.0.5:9000".parse().unwrap();
        let check = |url: &str, local: &[SocketAddr], network: &str, credential: &str| {
            let remote = Remote::parse(url, local).unwrap();
            assert_eq!(
                (remote.network().as_str(), remote.credential_host().as_str()),
                (network, credential),
                "{url}"
            );
        };
        check("https://mcp.a.example/mcp", &[], "hosts = [\"mcp.a.example\"]", "mcp.a.example");
        check("https://mcp.a.example:8443/", &[], "hosts = [\"mcp.a.example:8443\"]", "mcp.a.example");
        check("http://10.0.0.5:9000/mcp", &[local], "local = [\"10.0.0.5:9000\"]", "10.0.0.5:9000");
        // Not named: nothing is allowed, whatever was typed as the address.
        check("https://10.0.0.6:9000/mcp", &[], "", "10.0.0.6:9000");
        let both = "hosts = [\"mcp.a.example\"]\nlocal = [\"10.0.0.5:9000\"]";
        check("https://mcp.a.example/", &[local], both, "mcp.a.example");
        for url in [
            "http://mcp.a.example/",
            "http://10.0.0.6:9000/",
            "ftp://a.example/",
            "mcp.a.example",
            "https://a b/",
            "http://localhost/",
        ] {
            assert!(Remote::parse(url, &[local]).is_err(), "{url}");
        }
        assert!(Remote::parse("https://me:secret@a.example/", &[]).is_err());
    }
}
