//! A text that must not be seen.
//!
//! Answers: how is a key carried without ever being printed?
//! Never: shows its content in `Debug` or `Display`; it has no `Display`.
//! Carries: I-15.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key, token or seed. `Debug` prints `****`; the content is had only by [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The content, for the one place that sends it to whom it belongs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("planted".into())), "****");
    }
}
