//! Characters that look like others, or like nothing.
//!
//! Answers: does this text hold characters that a person would not see for what they are, and which?
//! Never: changes a text; two texts that look alike stay two.

/// Remarks for one text, at most.
const REMARKS: usize = 4;

/// What a person should know of the characters in this text: "contains Cyrillic “а” (U+0430)". Nothing of a text that
/// is all in one script, and shows all that it holds.
#[must_use]
pub fn remarks(text: &str) -> Vec<String> {
    let latin = text.chars().any(|c| c.is_ascii_alphabetic());
    let mut found: Vec<String> = Vec::new();
    for c in text.chars() {
        let remark = match kind(c) {
            Kind::Plain => continue,
            Kind::Letter(_) if !latin => continue,
            Kind::Letter(script) => format!("contains {script} “{c}” (U+{:04X})", u32::from(c)),
            Kind::Hidden(what) => format!("contains {what} (U+{:04X})", u32::from(c)),
        };
        if !found.contains(&remark) {
            found.push(remark);
        }
    }
    if text != text.trim() {
        found.push("begins or ends with a space".to_owned());
    }
    if REMARKS < found.len() {
        let more = found.len().saturating_sub(REMARKS);
        found.truncate(REMARKS);
        found.push(format!("and {more} more of that kind"));
    }
    found
}

/// Is it a character that nobody sees, or not as what it is?
#[must_use]
pub fn is_hidden(c: char) -> bool {
    !c.is_ascii() && matches!(kind(c), Kind::Hidden(_))
}

enum Kind {
    Plain,
    /// Of another script than the ASCII letters beside it.
    Letter(&'static str),
    /// Not to be seen, or not as what it is.
    Hidden(&'static str),
}

fn kind(c: char) -> Kind {
    match c {
        '\u{00ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}' => {
            Kind::Hidden("a character without width")
        }
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Kind::Hidden("a character that turns the direction of writing")
        }
        '\u{e0000}'..='\u{e007f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            Kind::Hidden("a character that is not shown")
        }
        '\u{00a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Kind::Hidden("an unusual space")
        }
        c if c.is_control() => Kind::Hidden("a control character"),
        '\u{0300}'..='\u{036f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' => {
            Kind::Hidden("a mark that joins the letter before it")
        }
        '\u{0370}'..='\u{03ff}' | '\u{1f00}'..='\u{1fff}' => Kind::Letter("Greek"),
        '\u{0400}'..='\u{052f}'
        | '\u{1c80}'..='\u{1c8f}'
        | '\u{2de0}'..='\u{2dff}'
        | '\u{a640}'..='\u{a69f}' => Kind::Letter("Cyrillic"),
        '\u{0530}'..='\u{058f}' => Kind::Letter("Armenian"),
        '\u{0590}'..='\u{05ff}' => Kind::Letter("Hebrew"),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Kind::Letter("Cherokee"),
        '\u{ff01}'..='\u{ff5e}' => Kind::Letter("full-width"),
        '\u{2100}'..='\u{214f}' | '\u{1d400}'..='\u{1d7ff}' => Kind::Letter("mathematical"),
        '\u{2160}'..='\u{217f}' => Kind::Letter("a numeral of one character,"),
        '\u{0131}' | '\u{0251}' | '\u{0261}' | '\u{01c0}'..='\u{01c3}' => {
            Kind::Letter("a letter that looks like another,")
        }
        _ => Kind::Plain,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_another_script_among_latin_ones_is_named() {
        assert_eq!(remarks("p\u{0430}ypal@x.example"), ["contains Cyrillic “а” (U+0430)"]);
        assert_eq!(remarks("bοb@x.example"), ["contains Greek “ο” (U+03BF)"]);
        assert_eq!(remarks("ａdmin@x.example")[0], "contains full-width “ａ” (U+FF41)");
        assert!(remarks("\u{212a}im@x.example")[0].contains("mathematical"));
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(remarks("bob\u{200b}@x.example"), ["contains a character without width (U+200B)"]);
        assert!(remarks("bob\u{202e}@x.example")[0].contains("direction"));
        assert!(remarks("DE89\u{00a0}37")[0].contains("space"));
        assert!(remarks("e\u{0301}ve@x.example")[0].contains("mark that joins"));
        assert_eq!(remarks("bob@x.example "), ["begins or ends with a space"]);
        assert_eq!(remarks(&"\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{00ad}x".repeat(9)).len(), 5);
    }

    #[test]
    fn a_text_of_one_script_needs_no_remark() {
        for text in ["bob@x.example", "Борис", "Ελένη", "DE89 3704", "Zoë Müller", "東京"] {
            assert_eq!(remarks(text), Vec::<String>::new(), "{text}");
        }
    }
}
