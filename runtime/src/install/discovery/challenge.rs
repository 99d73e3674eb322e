//! What a server demands of whom it does not know: `WWW-Authenticate`, RFC 9110, section 11.6.1.
//!
//! Answers: where does it say more, and what does it want leave for?
//! Never: goes anywhere; takes a parameter of another scheme's for one of `Bearer`.
//! Carries: I-17.

/// What a challenge to a bearer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where its metadata is (RFC 9728, section 5.1).
    pub metadata: Option<String>,
    /// What it wants leave for, words with blanks between.
    pub scope: Option<String>,
}

/// The longest value that is taken, bytes. An address has some hundred.
const LONGEST: usize = 4 << 10;

/// Reads the header's values. What is not understood is passed over, and with it the rest of that value.
#[must_use]
pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Challenge {
    let mut found = Challenge::default();
    for value in values {
        let mut rest = Rest(value);
        let mut bearer = false;
        while let Some(part) = rest.next() {
            match part {
                Part::Scheme(name) => bearer = name.eq_ignore_ascii_case("bearer"),
                Part::Parameter(name, value) if bearer && value.len() <= LONGEST => {
                    let place = match name.to_ascii_lowercase().as_str() {
                        "resource_metadata" => &mut found.metadata,
                        "scope" => &mut found.scope,
                        _ => continue,
                    };
                    // The first one counts: two servers on the way may both have added theirs.
                    place.get_or_insert(value);
                }
                Part::Parameter(..) => {}
            }
        }
    }
    found
}

/// What of a header's value was not read yet.
struct Rest<'a>(&'a str);

enum Part<'a> {
    /// With it begins another challenge.
    Scheme(&'a str),
    /// It belongs to the challenge before.
    Parameter(&'a str, String),
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<Part<'a>> {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        let name = self.token()?;
        let after = self.0.trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=') else { return Some(Part::Scheme(name)) };
        self.0 = value.trim_start_matches([' ', '\t']);
        if let Some(quoted) = self.0.strip_prefix('"') {
            return Some(Part::Parameter(name, self.quoted(quoted)?));
        }
        match self.token() {
            Some(value) => Some(Part::Parameter(name, value.to_owned())),
            None => {
                // What some schemes have in the place of parameters, and fill up with `=`.
                self.0 = self.0.trim_start_matches('=');
                Some(Part::Parameter("", String::new()))
            }
        }
    }

    /// Letters of a token, and of what some schemes have in the place of parameters.
    fn token(&mut self) -> Option<&'a str> {
        let is = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
        let end = self.0.find(|c| !is(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// What stands before the second quotation mark; nothing if there is none.
    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut letters = text.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = text.get(at.saturating_add(1)..)?;
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(values: &[&str], metadata: Option<&str>, scope: Option<&str>) {
        let found = read(values.iter().copied());
        assert_eq!((found.metadata.as_deref(), found.scope.as_deref()), (metadata, scope), "{values:?}");
    }

    #[test]
    fn a_challenge_to_a_bearer_says_where_more_is_said() {
        let at = Some("https://a.example/m");
        check(&[r#"Bearer resource_metadata="https://a.example/m""#], at, None);
        check(
            &[r#"bearer realm="a, b", RESOURCE_METADATA = "https://a.example/m" , scope="x y""#],
            at,
            Some("x y"),
        );
        check(&["Bearer resource_metadata=https://a.example/m"], at, None);
        check(&[r#"Bearer error="invalid_token", scope="say \"x\"""#], None, Some("say \"x\""));
        // Of several challenges, in one value or in more.
        check(&[r#"Basic realm="a", Bearer resource_metadata="https://a.example/m""#], at, None);
        check(&["Negotiate YII=", r#"Bearer resource_metadata="https://a.example/m""#], at, None);
        check(&[r#"Negotiate YII==, Bearer scope="x""#], None, Some("x"));
        check(&[r#"Bearer scope="x", Bearer scope="y""#, r#"Bearer scope="z""#], None, Some("x"));
    }

    #[test]
    fn what_is_no_challenge_to_a_bearer_says_nothing() {
        check(&[], None, None);
        for value in [
            "",
            "Bearer",
            "Bearer,,,",
            r#"Basic resource_metadata="https://a.example/m""#,
            r#"Bearer realm="x", Basic resource_metadata="https://a.example/m""#,
            r#"resource_metadata="https://a.example/m""#,
            r#"Bearer resource_metadata="https://a.example/m"#,
            r#"Bearer resource_metadata="https://a.example/m\"#,
            "Bearer =\"x\", scope=\"y\"",
            "Bearer \u{1b}[2J scope=\"y\"",
        ] {
            check(&[value], None, None);
        }
        check(&[&format!("Bearer scope=\"{}\"", "a".repeat(LONGEST + 1))], None, None);
    }

    proptest! {
        #[test]
        fn every_value_comes_to_an_end(value in any::<String>(), tail in "[Bbearer\"\\\\=, ]{0,40}") {
            let _ = read([value.as_str(), &format!("Bearer {tail}"), &format!("{tail}{value}")]);
        }

        #[test]
        fn what_is_quoted_is_read_as_it_was_meant(meant in "[ -~]{0,60}") {
            let quoted = meant.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("Bearer realm=\"x\", scope=\"{quoted}\"");
            prop_assert_eq!(read([value.as_str()]).scope, Some(meant));
        }
    }
}
