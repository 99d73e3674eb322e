//! A credential that a server sends back is blanked before the app sees it.
//!
//! Answers: which bytes of an answer are the credential that went with the request?
//! Never: holds back more than could still become the credential, so that a stream of events flows on.
//! Carries: I-15. It finds the credential word for word; not encoded, cut up or reversed (see the README).

use bytes::Bytes;
use memchr::memmem;

/// Shorter ones would be found everywhere.
const SHORTEST: usize = 8;

/// Blanks some texts in a stream of bytes, also where one is cut by the edge of a piece.
#[derive(Default)]
pub struct Blanker {
    words: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Blanker {
    /// For these texts. Without any, all passes untouched.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        let words = words.into_iter().map(String::into_bytes).filter(|word| SHORTEST <= word.len()).collect();
        Self { words, held: Vec::new() }
    }

    /// The next piece; what comes back is good to be seen.
    pub fn next(&mut self, piece: Bytes) -> Bytes {
        if self.words.is_empty() {
            return piece;
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(&piece);
        self.blank(&mut bytes);
        let hold = self.could_go_on(&bytes);
        self.held = bytes.split_off(bytes.len().saturating_sub(hold));
        bytes.into()
    }

    /// What was held back, at the end of the stream.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    /// A whole text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.blank(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn blank(&self, bytes: &mut [u8]) {
        for word in &self.words {
            let found: Vec<usize> = memmem::find_iter(bytes, word).collect();
            for start in found {
                if let Some(span) = bytes.get_mut(start..start + word.len()) {
                    span.fill(b'*');
                }
            }
        }
    }

    /// How many bytes at the end are the beginning of a word?
    fn could_go_on(&self, bytes: &[u8]) -> usize {
        self.words
            .iter()
            .filter_map(|word| {
                let longest = bytes.len().min(word.len().saturating_sub(1));
                (1..=longest)
                    .rev()
                    .find(|&length| word.get(..length).is_some_and(|start| bytes.ends_with(start)))
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_is_blanked_wherever_the_stream_is_cut(before in "[a-z]{0,20}", after in "[a-z]{0,20}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let word = "planted-secret-1";
            let whole = format!("{before}{word}{after}{word}");
            let mut blanker = Blanker::new([word.to_owned()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.sort_unstable();
            let (mut out, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([whole.len()]) {
                out.extend_from_slice(&blanker.next(Bytes::copy_from_slice(&whole.as_bytes()[from..cut])));
                from = cut;
            }
            out.extend_from_slice(&blanker.rest());
            prop_assert_eq!(String::from_utf8(out).unwrap(), whole.replace(word, &"*".repeat(word.len())));
        }
    }

    #[test]
    fn nothing_is_held_back_that_cannot_become_the_word() {
        let mut blanker = Blanker::new(["planted-secret".to_owned()]);
        assert_eq!(blanker.next(Bytes::from_static(b"data: hello\n\n")), "data: hello\n\n");
        assert_eq!(blanker.next(Bytes::from_static(b"data: plan")), "data: ");
        assert_eq!(blanker.next(Bytes::from_static(b"ning\n\n")), "planning\n\n");
    }

    #[test]
    fn a_short_word_is_not_sought() {
        let mut blanker = Blanker::new(["abc".to_owned()]);
        assert_eq!(blanker.next(Bytes::from_static(b"xabcx")), "xabcx");
    }
}
