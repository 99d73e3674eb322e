//! A key, from a person or a program.
//!
//! Answers: which key is it?
//! Never: shows it, takes it as an argument, or keeps it.
//! Carries: I-15.

use std::io::{IsTerminal, Read, Write};

use bus::secret::Secret;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read as next_event};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use crate::environment;
use crate::error::Error;

/// The longest key that is read, bytes. It has to go into a header.
const LONGEST: u64 = 16 << 10;

/// From the variable, if one is named; typed, at a terminal; else from standard input, all of it.
///
/// # Errors
/// If there is none, or it could not be sent.
pub async fn read(question: &str, variable: Option<&str>, quiet: bool) -> Result<Secret, Error> {
    let text = match variable {
        Some(name) => {
            environment::text(name).ok_or_else(|| Error::usage(format!("the variable {name} is not set")))?
        }
        None => {
            let question = question.to_owned();
            let typed = tokio::task::spawn_blocking(move || {
                if std::io::stdin().is_terminal() { typed(&question) } else { given(quiet, &question) }
            });
            typed.await.map_err(|error| Error::failed("nothing could be read").because(error))??
        }
    };
    check(text.trim())
}

fn check(text: &str) -> Result<Secret, Error> {
    if text.is_empty() {
        return Err(Error::usage("the key is empty"));
    }
    // What is wrong with it is told without repeating it.
    if !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(Error::usage("the key holds a character that no header takes; was more than it pasted?"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn given(quiet: bool, question: &str) -> Result<String, Error> {
    if !quiet {
        super::say(&format!("{question}: from standard input"));
    }
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| Error::failed("standard input cannot be read").because(error))?;
    Ok(text)
}

/// Gives the terminal back, however the typing ends.
struct Raw;

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}

/// Typed by a person; nothing of it is shown, not even how long it is.
fn typed(question: &str) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::failed("the terminal cannot be used").because(error);
    let mut out = std::io::stderr();
    write!(out, "{question} (not shown): ").and_then(|()| out.flush()).map_err(failed)?;
    enable_raw_mode().map_err(failed)?;
    let raw = Raw;
    let mut text = String::new();
    let done = loop {
        let Event::Key(key) = next_event().map_err(failed)? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => break true,
            KeyCode::Esc => break false,
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => break false,
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => text.clear(),
            KeyCode::Backspace => _ = text.pop(),
            KeyCode::Char(letter) if (text.len() as u64) < LONGEST => text.push(letter),
            _ => {}
        }
    };
    drop(raw);
    // The line that the person's Enter did not end on the screen.
    let _ = writeln!(out);
    if done { Ok(text) } else { Err(Error::failed("nothing was given")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::check;

    #[test]
    fn a_key_that_no_header_takes_is_refused_without_being_repeated() {
        assert!(check("sk-abc 123").is_ok());
        for key in ["", "planted\nkey", "planted\u{7f}", "plänted", "planted\tkey"] {
            let error = check(key).unwrap_err();
            assert!(!error.line().contains("plant"), "{error}");
        }
    }
}
