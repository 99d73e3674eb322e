//! What a spoke writes to its standard error.
//!
//! Answers: which lines reach the host's log, and which system call was a spoke killed for?
//! Never: lets a spoke that has gone bad fill the log; takes its word for how it ended, which the kernel tells.

use std::time::{Duration, Instant};

use bus::id::SpokeAddr;
use serde::Deserialize;
use tokio::process::ChildStderr;

use crate::lines::Lines;

/// Longest line, bytes.
const MAX_LINE: usize = 1000;

/// Lines in a [`PERIOD`]; what comes faster is counted.
const MAX_LINES: u32 = 50;

/// Over which the rate is bounded.
const PERIOD: Duration = Duration::from_secs(10);

/// The standard error of one spoke.
pub(crate) struct Log {
    spoke: SpokeAddr,
    lines: Option<Lines<ChildStderr>>,
    begun: Instant,
    count: u32,
    refused: Option<Refused>,
    last: Option<String>,
}

/// What a spoke says right before it dies of a system call, see `jail::confine::REFUSED_EVENT`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Refused {
    syscall: u32,
    name: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "system call {}, {}", self.syscall, self.name)
    }
}

impl Log {
    pub(crate) fn new(spoke: SpokeAddr, stderr: Option<ChildStderr>) -> Self {
        let lines = stderr.map(|stderr| Lines::new(stderr, MAX_LINE));
        Self { spoke, lines, begun: Instant::now(), count: 0, refused: None, last: None }
    }

    /// Takes the next line; waits for ever when there are no more.
    pub(crate) async fn take_next(&mut self) {
        let Some(lines) = &mut self.lines else { return std::future::pending().await };
        match lines.next().await {
            Some(line) => self.take(&line),
            None => self.lines = None,
        }
    }

    /// Takes what is left after the spoke's end, within a moment: an app may still hold the other end.
    pub(crate) async fn take_rest(&mut self) {
        let rest = async {
            while self.lines.is_some() {
                self.take_next().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(100), rest).await;
    }

    /// The system call that the spoke said it would die of.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// The last line, for a spoke that did not come far.
    pub(crate) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    fn take(&mut self, line: &[u8]) {
        if line.starts_with(jail::confine::REFUSED_EVENT.as_bytes()) {
            self.refused = serde_json::from_slice(line).ok();
            return;
        }
        let text: String =
            String::from_utf8_lossy(line).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if PERIOD < self.begun.elapsed() {
            if MAX_LINES < self.count {
                tracing::warn!(spoke = %self.spoke, lines = self.count - MAX_LINES, "lines of a spoke not shown");
            }
            (self.begun, self.count) = (Instant::now(), 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= MAX_LINES {
            tracing::info!(spoke = %self.spoke, "{text}");
        }
        self.last = Some(text);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::id::{AppId, SpokeId};

    use super::*;

    #[test]
    fn the_call_that_killed_a_spoke_is_read() {
        let spoke = SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::fresh() };
        let mut log = Log::new(spoke, None);
        log.take(br#"{"event":"refused","syscall":41,"name":"socket"}"#);
        assert_eq!(log.refused().unwrap().to_string(), "system call 41, socket");
        log.take(b"hello");
        assert_eq!(log.last(), Some("hello"));
    }
}
