//! Text of others, made harmless for a terminal.
//!
//! Answers: how is a text shown that somebody else wrote?
//! Never: lets through what moves the cursor, changes colours, reverses the writing direction or is invisible.

/// Without control and formatting characters; line breaks and tabs stay.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().filter(|&character| matches!(character, '\n' | '\t') || !is_harmful(character)).collect()
}

/// On one line, at most `max` characters; what is cut is counted.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let mut shown: String = text
        .chars()
        .map(|character| if matches!(character, '\n' | '\r' | '\t') { ' ' } else { character })
        .filter(|&character| !is_harmful(character))
        .take(max)
        .collect();
    let left = text.chars().count().saturating_sub(max);
    if 0 < left {
        shown.push_str(&format!("… ({left} more characters)"));
    }
    shown
}

/// Control characters (C0, DEL, C1), marks and overrides of the writing direction, invisible characters, the
/// separators that some terminals take for line breaks, and the tag characters that hide text from people only.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_cannot_forge_terminal_output() {
        assert_eq!(lines("fare\x1b[2J\x1b[1;1H\x07 5\r\nok\u{9b}31m"), "fare[2J[1;1H 5\nok31m");
        assert_eq!(line("a\nb\tc\x1b]0;title\x07", 80), "a b c]0;title");
    }

    #[test]
    fn text_that_only_a_model_would_see_is_taken_out() {
        assert_eq!(lines("pay\u{202e}10\u{202c} now\u{e0041}\u{200b}"), "pay10 now");
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(line("abcdef", 4), "abcd… (2 more characters)");
        assert_eq!(line("äöü", 3), "äöü");
    }
}
