//! Lengths of time as people write them.
//!
//! Answers: how long is `90s`, `10m`, `1h`?
//! Never: guesses a unit other than seconds.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A length of time: a whole number of seconds, or a text with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// Reads `250ms`, `30s`, `10m`, `2h`, `7d`, `30`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let number: u64 = digits.parse().ok()?;
        let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
        match unit.trim() {
            "ms" => Some(Duration::from_millis(number)),
            "" | "s" => seconds(1),
            "m" | "min" => seconds(60),
            "h" => seconds(60 * 60),
            "d" => seconds(24 * 60 * 60),
            _ => None,
        }
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a length of time such as \"500ms\", \"30s\", \"10m\" or \"1h\", or a number of seconds",
                )
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
                Ok(Span(Duration::from_secs(seconds)))
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
                u64::try_from(seconds)
                    .map(|seconds| Span(Duration::from_secs(seconds)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(Span::parse(text).map(|span| span.0), expected.map(Duration::from_millis), "{text:?}");
    }

    #[test]
    fn a_length_of_time_has_a_unit_or_is_in_seconds() {
        check("250ms", Some(250));
        check("30s", Some(30_000));
        check("10m", Some(600_000));
        check("1h", Some(3_600_000));
        check("7", Some(7_000));
        check("7 fortnights", None);
        check("-1s", None);
        check("", None);
    }
}
