//! What is going on, while it goes on.
//!
//! Answers: is it planning, which step runs, does it wait for somebody?
//! Never: writes to standard output; that is for the answer.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::clean;

/// A line on standard error that moves, if that is a terminal; nothing otherwise.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    running: Vec<(String, String)>,
}

/// Often enough to look alive.
const TICK: Duration = Duration::from_millis(100);

impl Progress {
    /// A new one. With `quiet` it shows nothing.
    #[must_use]
    pub fn new(quiet: Quiet) -> Self {
        let target = match quiet {
            Quiet::Yes => ProgressDrawTarget::hidden(),
            Quiet::No => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar, running: Vec::new() }
    }

    /// Says what is going on.
    pub fn say(&self, what: &str) {
        self.bar.set_message(clean::line(what, 100));
    }

    /// A step began.
    pub fn begin(&mut self, step: &str, what: &str) {
        self.running.push((step.to_owned(), what.to_owned()));
        self.show();
    }

    /// A step came to its end.
    pub fn end(&mut self, step: &str) {
        self.running.retain(|(running, _)| running != step);
        self.show();
    }

    fn show(&self) {
        let names: Vec<&str> = self.running.iter().map(|(_, what)| what.as_str()).collect();
        self.say(
            if names.is_empty() { "putting the answer together".into() } else { names.join(", ") }.as_str(),
        );
    }

    /// Writes with the line out of the way.
    pub fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bar.suspend(write)
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Is progress unwanted?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Show nothing.
    Yes,
    /// Show what is going on.
    No,
}
