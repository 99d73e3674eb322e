//! A person's word, at a terminal.
//!
//! Answers: yes, no, or something to be changed first?
//! Never: takes silence, the end of input or a pipe for a yes.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::command::interrupted;
use crate::environment;
use crate::error::Error;

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Yes,
    No,
    Edit,
}

/// Is there somebody to be asked?
pub(super) fn anybody() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Nobody can be asked, and nobody has agreed beforehand.
pub(super) fn nobody(what: &str) -> Error {
    Error::usage(format!("{what} needs your word, and there is no terminal to ask at"))
        .hint("agree beforehand with --yes")
}

/// Asks until there is an answer.
///
/// # Errors
/// If it is interrupted.
pub(super) async fn ask(question: &str, editable: bool) -> Result<Word, Error> {
    let choices = if editable { "[y]es, [e]dit, [n]o" } else { "[y]es, [n]o" };
    loop {
        eprint!("{question} {choices}: ");
        let _ = std::io::stderr().flush();
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|length| (length, line))
        });
        let line = tokio::select! {
            line = read => line,
            () = interrupted() => return Err(Error::failed("interrupted; nothing was changed")),
        };
        let Ok(Ok((1.., line))) = line else { return Ok(Word::No) };
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Word::Yes),
            "n" | "no" | "" => return Ok(Word::No),
            "e" | "edit" if editable => return Ok(Word::Edit),
            _ => {}
        }
    }
}

/// Opens a file in the person's editor, and returns when it is closed.
///
/// # Errors
/// If there is no editor.
pub(super) async fn edit(file: &Path) -> Result<(), Error> {
    let editor = environment::text("VISUAL")
        .or_else(|| environment::text("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned());
    // As a shell reads it, so that it may have arguments; the file is one word.
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file)
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| Error::failed(format!("the editor {editor} cannot be started")).because(error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::failed(format!("the editor {editor} ended with {status}")).hint("name another one in EDITOR"))
}
