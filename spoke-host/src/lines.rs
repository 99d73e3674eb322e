//! Lines from a process that may have gone bad.
//!
//! Answers: what is the next line?
//! Never: holds more than one line of bounded length, or a buffer while nothing comes: there are thousands of these.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads lines of a bounded length.
pub(crate) struct Lines<R> {
    from: R,
    max: usize,
    pending: Vec<u8>,
    /// The rest of a line that was too long is still to be thrown away.
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(from: R, max: usize) -> Self {
        Self { from, max, pending: Vec::new(), skipping: false }
    }

    /// The next line without its end, what is over the bound cut off; `None` when there are no more. May be dropped
    /// while it waits without losing anything.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.whole() {
                return Some(line);
            }
            let mut piece = [0_u8; 256];
            match self.from.read(&mut piece).await {
                Ok(0) | Err(_) => {
                    return (!self.pending.is_empty()).then(|| std::mem::take(&mut self.pending));
                }
                Ok(length) => self.pending.extend_from_slice(piece.get(..length).unwrap_or_default()),
            }
        }
    }

    fn whole(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.pending.iter().position(|byte| *byte == b'\n');
            if self.skipping {
                match end {
                    Some(end) => {
                        self.pending.drain(..=end);
                        self.skipping = false;
                        continue;
                    }
                    None => {
                        self.pending.clear();
                        return None;
                    }
                }
            }
            return match end {
                Some(end) => {
                    let rest = self.pending.split_off(end + 1);
                    let mut line = std::mem::replace(&mut self.pending, rest);
                    line.pop();
                    line.truncate(self.max);
                    Some(line)
                }
                None if self.max < self.pending.len() => {
                    self.skipping = true;
                    let mut line = std::mem::take(&mut self.pending);
                    line.truncate(self.max);
                    Some(line)
                }
                None => None,
            };
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Lines;

    #[tokio::test]
    async fn lines_come_whole_and_bounded() {
        let text = format!("one\n{}\n\nlast", "x".repeat(5000));
        let mut lines = Lines::new(text.as_bytes(), 100);
        assert_eq!(lines.next().await.unwrap(), b"one");
        assert_eq!(lines.next().await.unwrap(), [b'x'; 100]);
        assert_eq!(lines.next().await.unwrap(), b"");
        assert_eq!(lines.next().await.unwrap(), b"last");
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn nothing_is_kept_while_nothing_comes() {
        let mut lines = Lines::new(&b"one\ntwo\n"[..], 100);
        lines.next().await.unwrap();
        lines.next().await.unwrap();
        assert_eq!(lines.next().await, None);
        assert_eq!(lines.pending.capacity(), 0);
    }
}
