//! What an answer says that nobody said.
//!
//! Answers: which figures, addresses and names of a composed answer stand in no result and not in the user's words?
//! Never: asks a model; changes the answer. It marks, and the results stand beside it.
//! Carries: I-17.

use std::collections::HashSet;

use bus::message::user::StepResult;
use serde_json::Value;

/// Marks that are listed. An answer with more is not worth a longer list.
const MOST: usize = 40;

/// Words that begin with a capital and name nobody.
const COMMON: [&str; 24] = [
    "i",
    "the",
    "a",
    "an",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "ok",
];

/// The figures, addresses and names of the answer that stand nowhere, each once, in the order of the answer. Nothing if no
/// app had a part in it.
#[must_use]
pub fn unsupported(answer: &str, words: &str, results: &[StepResult]) -> Vec<String> {
    if results.is_empty() {
        return Vec::new();
    }
    let mut known = Known::default();
    known.text(words);
    for result in results {
        known.text(&result.app);
        known.text(&result.functionality);
        known.text(result.error.as_deref().unwrap_or_default());
        known.value(&result.value);
    }
    let mut found: Vec<String> = Vec::new();
    let mut note = |text: &str| {
        if found.len() < MOST && !found.iter().any(|known| known == text) {
            found.push(crate::permission::label::printable(text, 80));
        }
    };
    for sentence in sentences(answer) {
        let mut begins = true;
        for token in tokens(sentence) {
            let capital = token.chars().next().is_some_and(char::is_uppercase);
            let stands = match kind(token) {
                Kind::Address => known.addresses.contains(&token.to_lowercase()),
                Kind::Figure => known.figure(token),
                Kind::Word => !capital || begins || known.name(token),
            };
            if !stands {
                note(token);
            }
            begins = false;
        }
    }
    found
}

/// What was said.
#[derive(Default)]
struct Known {
    addresses: HashSet<String>,
    /// As text, without separators of thousands and without noughts at the end.
    figures: HashSet<String>,
    words: HashSet<String>,
}

impl Known {
    fn text(&mut self, text: &str) {
        for token in tokens(text) {
            let low = token.to_lowercase();
            match kind(token) {
                Kind::Address => {
                    // The parts of an address are names that may be spoken of.
                    self.parts(&low);
                    self.addresses.insert(low);
                }
                Kind::Figure => {
                    self.figures.insert(plain(&low));
                    self.parts(&low);
                }
                Kind::Word => {
                    self.parts(&low);
                    self.words.insert(low);
                }
            }
        }
    }

    fn parts(&mut self, token: &str) {
        for part in token.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
            if part.chars().any(|c| c.is_ascii_digit()) {
                self.figures.insert(plain(part));
            }
            self.words.insert(part.to_owned());
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) => self.text(&number.to_string()),
            Value::Array(items) => {
                // How many there are is a fact of the result.
                self.figures.insert(items.len().to_string());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                self.text(name);
                self.value(field);
            }),
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// A figure stands as it is, or as the parts of a date or a time: of a decimal fraction no part stands for it.
    fn figure(&self, token: &str) -> bool {
        let low = token.to_lowercase();
        let ordinal = ["st", "nd", "rd", "th"].iter().find_map(|end| low.strip_suffix(end)).unwrap_or(&low);
        if self.figures.contains(&plain(&low)) || self.figures.contains(&plain(ordinal)) {
            return true;
        }
        let parts: Vec<&str> = low.split(['-', '/', ':']).filter(|part| !part.is_empty()).collect();
        1 < parts.len()
            && parts.iter().all(|part| self.figures.contains(&plain(part)) || self.words.contains(*part))
    }

    /// A name stands if each of its parts does.
    fn name(&self, token: &str) -> bool {
        let low = token.to_lowercase();
        let of = low.strip_suffix("'s").or_else(|| low.strip_suffix("’s")).unwrap_or(&low);
        let mut parts = of.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
        parts.all(|part| {
            COMMON.contains(&part)
                || self.words.contains(part)
                || part.strip_suffix('s').is_some_and(|one| self.words.contains(one))
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Figure,
    Word,
}

fn kind(token: &str) -> Kind {
    if token.contains('@') || token.contains("://") || token.starts_with("www.") {
        Kind::Address
    } else if token.chars().any(|c| c.is_ascii_digit()) {
        Kind::Figure
    } else {
        Kind::Word
    }
}

/// `1,200.50` and `1200.5` are one figure; `1.200` and `1200` are not.
fn plain(figure: &str) -> String {
    let figure = figure.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
    let figure: String = figure.chars().filter(|c| *c != ',').collect();
    let figure = figure.trim_start_matches('-');
    match figure.split_once('.') {
        Some((whole, part))
            if part.chars().all(|c| c.is_ascii_digit()) && whole.chars().all(|c| c.is_ascii_digit()) =>
        {
            let part = part.trim_end_matches('0');
            if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
        }
        _ => figure.to_owned(),
    }
}

/// Pieces within which only the first word has a capital for its place. A number at the beginning of a line counts the
/// lines.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let line =
            line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '*' | '#' | '>' | '•'));
        let counted = line.split_once(['.', ')']).filter(|(number, rest)| {
            !number.is_empty()
                && number.len() <= 2
                && number.chars().all(|c| c.is_ascii_digit())
                && rest.starts_with(' ')
        });
        let line = counted.map_or(line, |(_, rest)| rest);
        split_after(line)
    })
}

/// Parts of a line, each up to the end of a sentence or a colon.
fn split_after(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let ends = matches!(c, '.' | '!' | '?' | ':' | ';')
            && chars.peek().is_none_or(|(_, next)| next.is_whitespace());
        if ends {
            let end = at.saturating_add(c.len_utf8());
            parts.extend(line.get(begin..end));
            begin = end;
        }
    }
    parts.extend(line.get(begin..).filter(|rest| !rest.is_empty()));
    parts
}

/// Words, figures and addresses, without the punctuation round them.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let edge = |c: char| !c.is_alphanumeric();
    text.split(|c: char| {
        c.is_whitespace()
            || matches!(c, '"' | '“' | '”' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '|')
    })
    .map(move |token| token.trim_matches(edge))
    .filter(|token| !token.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::id::StepId;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn result(app: &str, value: Value) -> StepResult {
        let functionality = format!("{app}.estimate_fare");
        StepResult { step: StepId::parse("s1").unwrap(), app: app.into(), functionality, value, error: None }
    }

    fn fares() -> Vec<StepResult> {
        vec![
            result("metro_hail", json!({"fare": 51.8, "currency": "USD", "from": "Main Street"})),
            result(
                "quick_ride",
                json!({"fare": 57.0, "day": "2024-05-16", "driver": "Dana Whitfield", "mail": "dana@x.example"}),
            ),
        ]
    }

    #[track_caller]
    fn marks(answer: &str, expected: &[&str]) {
        assert_eq!(
            unsupported(answer, "A ride from Main Street to Elm Avenue, please", &fares()),
            expected,
            "{answer}"
        );
    }

    #[test]
    fn what_stands_in_a_result_or_in_the_query_is_not_marked() {
        marks("metro_hail: 51.8 USD\nquick_ride: 57.0 USD", &[]);
        marks("Metro Hail asks $51.80, Quick Ride asks $57.", &[]);
        marks(
            "From Main Street to Elm Avenue you pay 57. Your driver is Dana Whitfield (dana@x.example).",
            &[],
        );
        marks("1. The ride is on 16/05/2024, on May 16th.\n2. Dana's mail is DANA@x.example.", &[]);
        marks("Both of the apps gave a fare.", &[]);
    }

    /// Case study 1, had the composing model obeyed: ten dollars more.
    #[test]
    fn a_figure_that_no_app_gave_is_marked() {
        marks("metro_hail: 61.8, quick_ride: 57.0", &["61.8"]);
        marks("It costs 518 or 5,18.", &["518", "5,18"]);
        marks("The ride is on 2024-05-17 at 10:30.", &["2024-05-17", "10:30"]);
    }

    #[test]
    fn an_address_or_a_name_that_nobody_gave_is_marked() {
        marks(
            "Write to eve@evil.example or see https://evil.example/pay.",
            &["eve@evil.example", "https://evil.example/pay"],
        );
        marks("Your driver is Mallory Whitfield.", &["Mallory"]);
        marks("Pay to DE89370400440532013000.", &["DE89370400440532013000"]);
    }

    #[test]
    fn an_address_that_is_part_of_a_known_one_is_marked() {
        marks("Write to dana@x.example.evil.example", &["dana@x.example.evil.example"]);
        marks("Write to ana@x.example", &["ana@x.example"]);
        marks("Write to d\u{430}na@x.example", &["d\u{430}na@x.example"]);
    }

    #[test]
    fn an_answer_without_apps_is_not_marked() {
        assert_eq!(
            unsupported("Paris has 2,100,000 people.", "How many people live in Paris?", &[]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_count_of_a_list_is_a_fact_of_the_result() {
        let list = [result("calendar", json!([{"title": "Lunch"}, {"title": "Yoga"}]))];
        assert_eq!(unsupported("You have 2 appointments.", "How many?", &list), Vec::<String>::new());
        assert_eq!(unsupported("You have 7 appointments.", "How many?", &list), ["7"]);
    }

    #[test]
    fn a_list_of_marks_has_an_end() {
        let answer: String = (1000..3000).map(|n| format!("{n} ")).collect();
        assert_eq!(unsupported(&answer, "", &fares()).len(), MOST);
    }

    proptest! {
        #[test]
        fn no_answer_takes_it_down_and_a_result_repeated_is_never_marked(text in "\\PC{0,200}") {
            let _ = unsupported(&text, "", &fares());
            let same = [result("x", json!(text))];
            prop_assert_eq!(unsupported(&text, "", &same), Vec::<String>::new());
        }
    }
}
