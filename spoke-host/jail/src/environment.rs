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

/// The environment of an app: the variables named for it and the defaults.
pub(crate) fn for_app(named: &[(String, String)]) -> Result<Vec<CString>, Error> {
    let mut all: Vec<(&str, &str)> =
        DEFAULTS.iter().filter(|(name, _)| !named.iter().any(|(other, _)| other == name)).copied().collect();
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
        let all = for_app(&named).unwrap();
        assert_eq!(value_of(&all, "HOME"), Some("/app"));
        assert_eq!(value_of(&all, "A"), Some("1=2"));
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn a_name_with_an_equals_sign_is_refused() {
        assert!(for_app(&[("A=B".to_owned(), String::new())]).is_err());
        assert!(for_app(&[(String::new(), String::new())]).is_err());
    }
}
