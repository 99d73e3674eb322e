//! The text of a policy file.
//!
//! Answers: where does each rule begin and end?
//! Never: decides whether it is a rule; that is Cedar's part.

/// A rule's place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// From its first annotation to its semicolon.
    pub text: &'a str,
}

/// The rules of a text that Cedar has read, in order.
pub fn places(text: &str) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut depth = 0_usize;
    let (mut counted, mut line) = (0_usize, 1_usize);
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '/' if rest.peek().is_some_and(|(_, next)| *next == '/') => {
                while rest.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            '"' => {
                while let Some((_, c)) = rest.next() {
                    match c {
                        '\\' => _ = rest.next(),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            c if c.is_whitespace() => {}
            ';' if depth == 0 => {
                let from = start.take().unwrap_or(at);
                let before = text.get(counted..from).unwrap_or_default();
                line = line.saturating_add(before.matches('\n').count());
                counted = from;
                found.push(Place { line, text: text.get(from..=at).unwrap_or_default() });
            }
            c => {
                start.get_or_insert(at);
                match c {
                    '(' | '{' | '[' => depth = depth.saturating_add(1),
                    ')' | '}' | ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }
    found
}

/// The line on which a byte of the text stands, counted from 1.
pub fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count().saturating_add(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_own_line_and_text() {
        let text = "// a; comment\n\n@id(\"a;b\")\npermit (principal, action, resource); // more;\nforbid (principal,\n action, resource) when { context.x == \"}\\\";\" };\n";
        let places = places(text);
        assert_eq!(places.iter().map(|place| place.line).collect::<Vec<_>>(), [3, 5]);
        assert!(places[0].text.starts_with("@id") && places[0].text.ends_with("resource);"));
        assert!(places[1].text.starts_with("forbid") && places[1].text.ends_with("};"));
    }

    #[test]
    fn a_text_without_rules_has_no_places() {
        assert_eq!(places("// nothing\n"), []);
        assert_eq!(places(""), []);
    }
}
