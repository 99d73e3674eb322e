//! The log of a child: a file that stays small.
//!
//! Answers: what did a child write, and what were its last words?
//! Never: grows without bound; blocks the child.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Error;

/// A file is set aside at this size; one older file is kept.
const MAX_FILE: u64 = 4 << 20;

/// A longer line is cut; the rest counts as the next line.
const MAX_LINE: usize = 8 << 10;

/// As many lines are quoted when a child fails.
const LAST_LINES: usize = 3;

/// Told each line; must return at once.
pub type Watcher = Arc<dyn Fn(&str) + Send + Sync>;

/// Where a child's words go. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
    watcher: Option<Watcher>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("path", &self.path).finish_non_exhaustive()
    }
}

struct Inner {
    file: File,
    size: u64,
    last: VecDeque<String>,
}

impl Log {
    /// Opens `<dir>/<name>.log` for appending.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(dir: &Path, name: &str, watcher: Option<Watcher>) -> Result<Self, Error> {
        let path = dir.join(format!("{name}.log"));
        let file = open(&path)
            .map_err(|error| Error::failed(format!("{} cannot be written", path.display())).because(error))?;
        let size = file.metadata().map_or(0, |found| found.len());
        let inner = Arc::new(Mutex::new(Inner { file, size, last: VecDeque::new() }));
        Ok(Self { path, inner, watcher })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all that comes from `source`, until it ends.
    pub fn take(&self, mut source: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let (mut chunk, mut line) = (vec![0; 4 << 10], Vec::new());
            while let Ok(count @ 1..) = source.read(&mut chunk).await {
                for &byte in chunk.iter().take(count) {
                    if byte == b'\n' || line.len() == MAX_LINE {
                        log.line(&String::from_utf8_lossy(&line));
                        line.clear();
                    }
                    if byte != b'\n' {
                        line.push(byte);
                    }
                }
            }
            if !line.is_empty() {
                log.line(&String::from_utf8_lossy(&line));
            }
        });
    }

    fn line(&self, line: &str) {
        if let Some(watcher) = &self.watcher {
            watcher(line);
        }
        let Ok(mut inner) = self.inner.lock() else { return };
        inner.last.push_back(line.to_owned());
        if LAST_LINES < inner.last.len() {
            inner.last.pop_front();
        }
        if MAX_FILE < inner.size {
            // If it cannot be set aside it goes on growing, which is better than losing what is written.
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
            if let Ok(file) = open(&self.path) {
                (inner.file, inner.size) = (file, 0);
            }
        }
        // A full disk loses log lines and nothing else.
        if writeln!(inner.file, "{line}").is_ok() {
            inner.size = inner.size.saturating_add(line.len() as u64 + 1);
        }
    }

    /// The last lines, in one.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.inner.lock().map_or_else(
            |_| String::new(),
            |inner| inner.last.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" | "),
        )
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_log_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), "child", None).unwrap();
        let line = "x".repeat(1 << 20);
        for _ in 0..12 {
            log.line(&line);
        }
        let total: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(total < 12 << 20, "{total}");
    }

    #[tokio::test]
    async fn each_line_is_told_and_an_endless_one_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watcher: Watcher = {
            let seen = Arc::clone(&seen);
            Arc::new(move |line: &str| seen.lock().unwrap().push(line.len()))
        };
        let log = Log::open(dir.path(), "child", Some(watcher)).unwrap();
        let text = format!("one\n{}\n", "y".repeat(MAX_LINE + 10));
        log.take(std::io::Cursor::new(text.into_bytes()));
        while seen.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*seen.lock().unwrap(), vec![3, MAX_LINE, 10]);
    }
}
