//! What an app writes to its standard error.
//!
//! Answers: which of its lines reach the log, and what were its last words?
//! Never: holds more than a bounded piece; lets a talkative app flood the bus or wait for us.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bus::client::Bus;
use bus::message::log::Lines;
use bus::subject::Subject;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::job::cut;

/// Longest line, bytes; the rest of a longer one is dropped.
const MAX_LINE: usize = 1000;

/// Lines in one message, and so, with one message a [`PAUSE`], lines at a time. What comes faster pushes older ones out.
const MAX_LINES: usize = 50;

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(500);

/// Where the lines go.
pub(crate) struct Log {
    pub(crate) bus: Bus,
    pub(crate) subject: Subject,
}

/// Lines of other sources that wait to be logged. What finds them full is lost.
const WAITING: usize = 64;

/// Lines before the last one in which the reason of an end is looked for: after it, some programs say their version.
const REASON: usize = 12;

/// What an app said last.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    last: Option<String>,
    /// A line that speaks of an error, and how many came after it.
    reason: Option<(String, usize)>,
}

impl LastWords {
    /// Takes them: the line that gives a reason, if one stands near the end; else the last that was not empty.
    pub(super) fn take(&self) -> Option<String> {
        let mut said = self.0.lock().ok()?;
        let last = said.last.take();
        match said.reason.take() {
            Some((line, since)) if since <= REASON => Some(line),
            _ => last,
        }
    }

    fn set(&self, line: &str) {
        if let Ok(mut said) = self.0.lock() {
            said.last = Some(line.to_owned());
            if line.contains("Error") || line.contains("error:") || line.contains("panicked") {
                said.reason = Some((line.to_owned(), 0));
            } else if let Some((_, since)) = &mut said.reason {
                *since = since.saturating_add(1);
            }
        }
    }
}

/// Has lines logged that an app said otherwise than on its standard error. Cheap to clone.
#[derive(Clone)]
pub(super) struct Says(mpsc::Sender<String>);

impl Says {
    /// Never waits: what comes too fast is lost.
    pub(super) fn say(&self, line: &str) {
        let _ = self.0.try_send(line.to_owned());
    }
}

/// Reads until the app closes it, and passes lines on at a bounded rate.
pub(super) fn forward(stderr: pipe::Receiver, log: Log) -> (LastWords, Says) {
    let last_words = LastWords::default();
    let (says, said) = mpsc::channel(WAITING);
    tokio::spawn(run(Some(stderr), said, log, last_words.clone()));
    (last_words, Says(says))
}

/// For an app that has no standard error here.
pub(super) fn elsewhere(log: Log) -> Says {
    let (says, said) = mpsc::channel(WAITING);
    tokio::spawn(run(None, said, log, LastWords::default()));
    Says(says)
}

async fn read(stderr: &mut Option<pipe::Receiver>, piece: &mut [u8]) -> usize {
    match stderr {
        Some(stderr) => stderr.read(piece).await.unwrap_or(0),
        None => 0,
    }
}

async fn run(
    mut stderr: Option<pipe::Receiver>,
    mut said: mpsc::Receiver<String>,
    log: Log,
    last_words: LastWords,
) {
    let mut waiting = Waiting::default();
    let mut next = Instant::now();
    let (mut open, mut more) = (true, true);
    while open || more || !waiting.lines.is_empty() {
        let mut piece = [0_u8; 512];
        tokio::select! {
            read = read(&mut stderr, &mut piece), if open => match read {
                0 => {
                    open = false;
                    waiting.end_of_line(&last_words);
                }
                length => waiting.take(piece.get(..length).unwrap_or_default(), &last_words),
            },
            line = said.recv(), if more => match line {
                Some(line) => waiting.line(printable(line.as_bytes())),
                None => more = false,
            },
            () = sleep_until(next), if !waiting.lines.is_empty() => {
                next = Instant::now() + PAUSE;
                let lines = Lines { lines: waiting.lines.drain(..).collect(), dropped: waiting.dropped };
                waiting.dropped = 0;
                // A log line that is lost is no reason to do anything.
                let _ = log.bus.publish(&log.subject, &lines, None).await;
            }
        }
    }
}

/// Lines that are not sent yet.
#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    begun: Vec<u8>,
    dropped: u64,
}

impl Waiting {
    fn take(&mut self, bytes: &[u8], last_words: &LastWords) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_of_line(last_words),
                byte if self.begun.len() < MAX_LINE => self.begun.push(*byte),
                _ => {}
            }
        }
    }

    fn end_of_line(&mut self, last_words: &LastWords) {
        let line = printable(&std::mem::take(&mut self.begun));
        if line.is_empty() {
            return;
        }
        last_words.set(&line);
        self.line(line);
    }

    fn line(&mut self, line: String) {
        if MAX_LINES <= self.lines.len() {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }
}

/// Without what could move a terminal's cursor.
fn printable(bytes: &[u8]) -> String {
    let text: String =
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(text.trim(), MAX_LINE - 8)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_fast_is_dropped_and_counted() {
        let (mut waiting, words) = (Waiting::default(), LastWords::default());
        for number in 0..120 {
            waiting.take(format!("line {number}\n").as_bytes(), &words);
        }
        assert_eq!((waiting.lines.len(), waiting.dropped), (MAX_LINES, 70));
        assert_eq!(waiting.lines[0], "line 70");
        assert_eq!(words.take().as_deref(), Some("line 119"));
    }

    #[test]
    fn the_reason_of_an_end_is_told_rather_than_what_a_program_says_after_it() {
        let said = |lines: &[&str]| {
            let words = LastWords::default();
            lines.iter().for_each(|line| words.set(line));
            words.take().unwrap_or_default()
        };
        assert_eq!(
            said(&["Error: ENOENT, open '/x'", "  at open", "Node.js v20"]),
            "Error: ENOENT, open '/x'"
        );
        assert_eq!(said(&["starting", "bye"]), "bye");
        let mut long = vec!["Error: once, long ago"];
        long.extend(["fine"; 20]);
        assert_eq!(said(&long), "fine");
    }

    #[test]
    fn a_line_is_cut_and_made_printable() {
        let (mut waiting, words) = (Waiting::default(), LastWords::default());
        waiting.take(&[b'x'; 1 << 20], &words);
        waiting.take(b"\n\x1b[2Jhello\r\n\xff\n", &words);
        assert!(waiting.begun.is_empty());
        assert!(waiting.lines[0].len() <= MAX_LINE);
        assert_eq!(waiting.lines[1], "[2Jhello");
        assert_eq!(waiting.lines[2], "\u{fffd}");
    }
}
