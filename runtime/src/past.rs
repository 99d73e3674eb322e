//! Queries of the past, as their clients were told of them.
//!
//! Answers: what was asked in this conversation, and what became of each flow?
//! Never: keeps a private query; keeps more than a bound; decides anything by what it holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bus::id::{SessionId, UserId};
use bus::message::user::Outcome;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::state::{make_private, write_private};

/// A query and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Past {
    /// For whom.
    pub user: UserId,
    /// The words.
    pub query: String,
    /// Was somebody there to be asked?
    pub attended: bool,
    /// As `ask --json` prints it.
    pub outcome: Outcome,
    /// Was it played, and not asked by anybody? Nothing is learned from what nobody wanted.
    #[serde(default)]
    pub played: bool,
}

/// Conversations that are kept; of more the oldest go.
const SESSIONS: usize = 100;

/// Queries of one that are kept.
const QUERIES: usize = 20;

fn folder(state: &Path) -> PathBuf {
    state.join("past")
}

/// Keeps one, beside the earlier ones of its conversation.
///
/// # Errors
/// If it cannot be written.
pub fn keep(state: &Path, past: Past) -> Result<(), Error> {
    let dir = folder(state);
    make_private(&dir)?;
    let file = dir.join(format!("{}.json", past.outcome.session));
    let mut all = if file.is_file() { read(&file)? } else { Vec::new() };
    all.push(past);
    let surplus = all.len().saturating_sub(QUERIES);
    all.drain(..surplus);
    let text =
        serde_json::to_vec(&all).map_err(|error| Error::failed("the query cannot be kept").because(error))?;
    write_private(&file, &text)?;
    for (_, oldest) in by_age(&dir).into_iter().rev().skip(SESSIONS) {
        // It is one too many; whether it goes now or at the next query is the same.
        let _ = fs::remove_file(oldest);
    }
    Ok(())
}

/// The queries of this conversation, or of the last one; oldest first.
///
/// # Errors
/// If there are none.
pub fn of_session(state: &Path, session: Option<&SessionId>) -> Result<Vec<Past>, Error> {
    let dir = folder(state);
    let file = match session {
        Some(session) => Some(dir.join(format!("{session}.json"))),
        None => by_age(&dir).pop().map(|(_, file)| file),
    };
    match file.filter(|file| file.is_file()) {
        Some(file) => read(&file),
        None => Err(Error::failed("no query of that conversation is kept")
            .hint("ask something first; private queries and those of other machines are not kept here")),
    }
}

/// All queries of all conversations, the oldest conversation first.
#[must_use]
pub fn all(state: &Path) -> Vec<Past> {
    by_age(&folder(state)).into_iter().filter_map(|(_, file)| read(&file).ok()).flatten().collect()
}

/// The conversations that are kept, the oldest first: each by its name, and with its queries.
#[must_use]
pub fn sessions(state: &Path) -> Vec<(SystemTime, Vec<Past>)> {
    let files = by_age(&folder(state)).into_iter();
    files.filter_map(|(when, file)| Some((when, read(&file).ok()?))).collect()
}

fn read(file: &Path) -> Result<Vec<Past>, Error> {
    let wrong = || Error::failed(format!("{} cannot be read", file.display()));
    let bytes = fs::read(file).map_err(|error| wrong().because(error))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong().because(error))
}

fn by_age(dir: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "json"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    files
}
