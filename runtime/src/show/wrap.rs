//! Lines that fit.
//!
//! Answers: how is a text broken into lines of a width?
//! Never: loses a character other than the blank at which it breaks.

use std::io::IsTerminal;

/// Breaks a text into lines of at most `room` characters. What follows the first line of a paragraph is indented by
/// `hang` blanks.
#[must_use]
pub fn wrap(text: &str, room: usize, hang: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let (mut line, mut fresh) = (String::new(), true);
        for word in paragraph.split(' ') {
            let needed = width(&line).saturating_add(width(word)).saturating_add(1);
            if room < needed && !line.trim().is_empty() {
                lines.push(std::mem::take(&mut line));
                line.push_str(&" ".repeat(hang));
            } else if !fresh {
                line.push(' ');
            }
            fresh = false;
            line.push_str(word);
            while room < width(&line) {
                let rest: String = line.chars().skip(room).collect();
                lines.push(line.chars().take(room).collect());
                line = " ".repeat(hang) + &rest;
            }
        }
        lines.push(line);
    }
    lines
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Columns of the terminal at standard error, where prompts go; a text that is not on a terminal is for files and pipes.
#[must_use]
pub fn columns() -> usize {
    if !std::io::stderr().is_terminal() {
        return 160;
    }
    // Narrower than this nothing can be laid out; then the terminal breaks the lines.
    crossterm::terminal::size().map_or(100, |(columns, _)| usize::from(columns).max(60))
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn no_line_is_wider_than_its_room() {
        let text =
            "one two three four five six seven eight\nninetynine_and_a_very_long_word_without_a_blank end";
        let lines = wrap(text, 14, 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 14), "{lines:?}");
        assert_eq!(lines.first().map(String::as_str), Some("one two three"));
        assert_eq!(lines.get(1).map(String::as_str), Some("  four five"));
    }
}
