//! Which variables a confined process starts with.
//!
//! Answers: is a spoke's environment empty, and what does an app get?
//! Never: passes a variable on because the parent has it.
//! Carries: I-10.

use crate::error::{Error, Layer};
use std::ffi::CString;

/// What an app gets where its manifest does not say otherwise: programs misbehave without these.
const DEFAULTS: &[(&str, &str)] = &[
    ("HOME", "/data"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("TMPDIR", "/tmp"),
];

/// How programs are told of the proxy, see [`crate::app::PROXY`]: the C programs' names and the others', and what Node
/// wants besides. What the app says to itself on its loopback goes straight.
const PROXIED: &[(&str, &str)] = &[
    ("ALL_PROXY", "http://127.0.0.1:3128"),
    ("HTTPS_PROXY", "http://127.0.0.1:3128"),
    ("HTTP_PROXY", "http://127.0.0.1:3128"),
    ("NODE_USE_ENV_PROXY", "1"),
    ("NO_PROXY", "localhost,127.0.0.1,::1"),
    ("all_proxy", "http://127.0.0.1:3128"),
    ("http_proxy", "http://127.0.0.1:3128"),
    ("https_proxy", "http://127.0.0.1:3128"),
    ("no_proxy", "localhost,127.0.0.1,::1"),
];

/// A spoke is started with no variable at all; its parent clears them.
pub(crate) fn check_empty() -> Result<(), Error> {
    match std::env::vars_os().next() {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            Layer::Environment,
            format!("the variable {} was inherited; a spoke starts with none", name.to_string_lossy()),
        )),
    }
}

/// The environment of an app: the variables named for it and the defaults, and where the proxy is if it has one.
pub(crate) fn for_app(named: &[(String, String)], proxied: bool) -> Result<Vec<CString>, Error> {
    let proxy = if proxied { PROXIED } else { &[] };
    let unnamed = |name: &str| !named.iter().any(|(other, _)| other == name);
    let mut all: Vec<(&str, &str)> =
        DEFAULTS.iter().chain(proxy).filter(|(name, _)| unnamed(name)).copied().collect();
    all.extend(named.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all.into_iter()
        .map(|(name, value)| {
            let text = format!("{name}={value}");
            match (name.is_empty() || name.contains('='), CString::new(text)) {
                (false, Ok(text)) => Ok(text),
                _ => Err(Error::new(
                    Layer::Environment,
                    format!("{name:?} cannot be the name of a variable, or its value has a zero byte"),
                )),
            }
        })
        .collect()
}

/// The value of a variable in an environment made by [`for_app`].
pub(crate) fn value_of<'a>(environment: &'a [CString], name: &str) -> Option<&'a str> {
    environment.iter().find_map(|entry| {
        let (key, value) = entry.to_str().ok()?.split_once('=')?;
        (key == name).then_some(value)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{for_app, value_of};

    #[test]
    fn an_app_gets_the_named_variables_and_the_defaults_only() {
        let named = [("HOME".to_owned(), "/app".to_owned()), ("A".to_owned(), "1=2".to_owned())];
        let all = for_app(&named, false).unwrap();
        assert_eq!(value_of(&all, "HOME"), Some("/app"));
        assert_eq!(value_of(&all, "A"), Some("1=2"));
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn an_app_with_a_way_out_is_told_of_its_proxy_and_may_say_otherwise() {
        let named = [("http_proxy".to_owned(), String::new())];
        let all = for_app(&named, true).unwrap();
        let url = format!("http://{}", crate::app::PROXY);
        assert_eq!(value_of(&all, "https_proxy"), Some(url.as_str()));
        assert_eq!(value_of(&all, "HTTPS_PROXY"), Some(url.as_str()));
        assert_eq!(value_of(&all, "http_proxy"), Some(""));
    }

    #[test]
    fn a_name_with_an_equals_sign_is_refused() {
        assert!(for_app(&[("A=B".to_owned(), String::new())], false).is_err());
        assert!(for_app(&[(String::new(), String::new())], false).is_err());
    }
}
