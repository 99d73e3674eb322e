//! What the jail tells the spoke about its app.
//!
//! Answers: did the program start, and why did it end?
//! Never: carries a word of the program's own.

use crate::error::{Error, Layer};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::net::UnixStream;

/// One line on the control channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AppEvent {
    /// The program runs.
    Started,
    /// It never ran: a layer could not be had, or the command is wrong.
    Failed {
        /// The layer.
        layer: Layer,
        /// What went wrong.
        message: String,
        /// What a person can do.
        hint: Option<String>,
    },
    /// It ran and is no more, nor is anything it started.
    Ended(AppEnd),
}

/// Why an app is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum AppEnd {
    /// It left by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// It was ended by a signal, its own or another's.
    Signalled {
        /// The number.
        signal: i32,
        /// The name.
        name: String,
    },
    /// It made a call that the policy does not have.
    Refused {
        /// The number, unless an outer sandbox keeps it from us.
        syscall: Option<u32>,
        /// The name, if the policy has one.
        name: Option<String>,
    },
    /// Its data folder grew past the limit.
    OverData {
        /// What it held.
        used_mb: u64,
        /// What it may hold.
        limit_mb: u64,
    },
    /// Its processes together used more memory than the limit.
    OverMemory {
        /// What they used.
        used_mb: u64,
        /// What they may use.
        limit_mb: u64,
    },
    /// It used its processor time up.
    CpuTime,
    /// It wrote a file larger than the limit.
    FileSize,
    /// It was told to: the control channel was closed.
    Stopped,
}

impl AppEvent {
    /// From an error before the program ran.
    pub(crate) fn failed(error: &Error) -> AppEvent {
        AppEvent::Failed {
            layer: error.layer(),
            message: error.text(),
            hint: error.hint().map(str::to_owned),
        }
    }

    /// Writes the line. Nobody listening is not an error of ours: then everything ends anyway.
    pub(crate) fn tell(&self, control: Option<&UnixStream>) {
        let Ok(mut line) = serde_json::to_string(self) else {
            return;
        };
        line.push('\n');
        match control {
            Some(mut control) => drop(control.write_all(line.as_bytes())),
            // Started by hand: the only place left is standard error.
            None => drop(std::io::stderr().write_all(line.as_bytes())),
        }
    }
}
