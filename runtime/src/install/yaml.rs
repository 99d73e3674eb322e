//! YAML 1.2, as JSON.
//!
//! Answers: which JSON value does this text stand for?
//! Never: builds more than a bound from a short text full of aliases; takes a value for another kind than YAML 1.2 does.
//! Carries: I-16, I-17.

use serde_json::Value;
use serde_saphyr::{Options, UserMessageFormatter, budget, from_str_with_options, options};

/// Values in all, those of aliases counted each time: several times what the largest description has.
const MAX_NODES: usize = 2_000_000;

/// Nested in one another: more than any description has, and little enough for the stack of a thread.
const MAX_DEPTH: usize = 64;

/// Reads one document.
///
/// # Errors
/// What is wrong, and at which line and column.
pub fn read(text: &str) -> Result<Value, String> {
    from_str_with_options(text, strict()).map_err(|error| error.render_with_formatter(&UserMessageFormatter))
}

fn strict() -> Options {
    options! {
        budget: budget! {
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 2,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
        },
        // `on`, `no` and `012` are words since YAML 1.2.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_as_people_write_it() {
        let text = "\
            openapi: 3.0.3\n\
            info: {title: Pets, version: 1.0.0}\n\
            x-on: [on, no, yes, true, 012, 1e3, ~, 2020-01-01]\n\
            paths:\n\
            \x20 /pet: &pet\n\
            \x20   get:\n\
            \x20     description: >-\n\
            \x20       One\n\
            \x20       pet\n\
            \x20     responses: {200: {description: it}, default: {}}\n\
            \x20 /same: *pet\n";
        let get = json!({"get": {"description": "One pet", "responses": {"200": {"description": "it"}, "default": {}}}});
        let expected = json!({
            "openapi": "3.0.3", "info": {"title": "Pets", "version": "1.0.0"},
            "x-on": ["on", "no", "yes", true, "012", 1000.0, null, "2020-01-01"],
            "paths": {"/pet": get, "/same": get},
        });
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let check = |text: &str, words: &str| {
            let said = read(text).unwrap_err();
            assert!(said.contains(words) && !said.contains('\n'), "{text:?}: {said}");
        };
        check("a: 1\na: 2\n", "duplicate mapping key `a` is not allowed here at line 2, column 1");
        check("a: [", "line 1, column 4");
        check("a: 1\n---\nb: 2\n", "only single YAML document expected");
        check("? [1, 2]\n: 3\n", "line 1, column 3");
        check(&"[".repeat(100_000), "line 1");
        check(&"a: {".repeat(100_000), "line 1");
        check(&"- ".repeat(100_000), "line 1");
        check(&(0..1000).map(|deep| format!("{}a:\n", " ".repeat(deep))).collect::<String>(), "line");
    }

    #[test]
    fn a_short_text_full_of_aliases_builds_no_more_than_the_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let all = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{all}]\n"));
        }
        let said = read(&text).unwrap_err();
        assert!(said.contains("budget") || said.contains("limit"), "{said}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-:\\[\\]{}&*!|>a0 \\n\"']{0,200}") {
            let _ = read(&text);
        }
    }
}
