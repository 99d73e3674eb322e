//! Where an app comes from.
//!
//! Answers: which package of which registry, which command, which address?
//! Never: hands a registry's client a word that it could take for an option, a path, or an address.
//! Carries: I-17.

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
    /// A web API by its OpenAPI description: a file or an address.
    Openapi(String),
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

/// An address of the web; `http` only for this machine.
///
/// # Errors
/// If it is anything else.
pub fn address(text: &str) -> Result<String, Error> {
    let plain = text.starts_with("https://") || text.starts_with("http://");
    if plain && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Ok(text.to_owned());
    }
    Err(Error::usage(format!("{text:?} is not an address that begins with https://")))
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
}
