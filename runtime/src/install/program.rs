//! A program that was put into an app's folder, or stands on this machine already.
//!
//! Answers: how is it started inside the jail, and what of the machine must be visible there?
//! Never: shows the app more of the machine than the interpreter's own folder and what the person named.
//! Carries: I-12.

use std::path::{Path, PathBuf};

use super::tool;
use crate::error::Error;

/// What is known about how to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments, as seen inside the jail.
    pub command: Vec<String>,
    /// What must be visible besides the system's own folders.
    pub read: Vec<PathBuf>,
    /// Where it came from, with its version.
    pub from: String,
}

/// Folders that every app sees.
const VISIBLE: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"];

/// Is it visible to every app?
#[must_use]
pub fn is_visible(path: &Path) -> bool {
    VISIBLE.iter().any(|dir| path.starts_with(dir))
}

/// A command as the person gave it. A first word without a slash is looked for in `PATH`; a program and files that lie
/// outside of the system's own folders are shown to the app, each alone.
///
/// # Errors
/// If there is no such program.
pub fn of_command(words: &[String]) -> Result<Program, Error> {
    let (first, rest) = words.split_first().ok_or_else(|| Error::usage("the command is empty"))?;
    let found = if first.contains('/') { Some(PathBuf::from(first)) } else { tool::on_path(first) };
    let program = found
        .and_then(|path| path.canonicalize().ok())
        .filter(|path| path.is_file())
        .ok_or_else(|| Error::failed(format!("there is no program {first:?}")).hint("give its full path"))?;
    let mut read = Vec::new();
    let mut shown = |path: PathBuf| {
        let text = path.to_string_lossy().into_owned();
        if !is_visible(&path) {
            read.push(path);
        }
        text
    };
    let mut command = vec![shown(program)];
    for word in rest {
        // A file that is named relative to here would not be found from the app's folder.
        let file = word.contains(['/', '.']).then(|| Path::new(word).canonicalize().ok()).flatten();
        command.push(match file.filter(|path| path.is_file()) {
            Some(path) => shown(path),
            None => word.clone(),
        });
    }
    Ok(Program { command, read, from: format!("command {}", words.join(" ")) })
}

/// An interpreter as the app is to start it: by its name where every app sees it, else by its path, with the folder
/// that it was installed in.
pub(super) fn interpreter(name: &str, real: &Path, home: &Path) -> (String, Vec<PathBuf>) {
    if is_visible(real) && is_visible(home) {
        return (name.to_owned(), Vec::new());
    }
    let mut read = Vec::new();
    if !is_visible(home) {
        read.push(home.to_owned());
    }
    if !is_visible(real) && !real.starts_with(home) {
        read.push(real.to_owned());
    }
    (real.to_string_lossy().into_owned(), read)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_files_by_their_full_path_and_shows_each_alone() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("server.py");
        std::fs::write(&script, "").unwrap();
        let script = script.canonicalize().unwrap().to_string_lossy().into_owned();
        let words = ["sh".to_owned(), script.clone(), "--port".to_owned(), "1.5".to_owned()];
        let program = of_command(&words).unwrap();
        assert!(program.command.first().unwrap().starts_with("/usr/"), "{program:?}");
        assert_eq!(program.command.get(1..).unwrap(), &words[1..]);
        assert_eq!(program.read, [PathBuf::from(script)]);
    }

    #[test]
    fn a_program_that_is_not_there_is_said_so() {
        let error = of_command(&["no-such-program-anywhere".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("there is no program"));
    }

    #[test]
    fn an_interpreter_elsewhere_comes_with_its_own_folder_only() {
        let check = |real: &str, home: &str, command: &str, read: &[&str]| {
            let read: Vec<PathBuf> = read.iter().map(PathBuf::from).collect();
            assert_eq!(interpreter("python3", Path::new(real), Path::new(home)), (command.to_owned(), read));
        };
        check("/usr/bin/python3.11", "/usr", "python3", &[]);
        check("/home/a/py/bin/python3.11", "/home/a/py", "/home/a/py/bin/python3.11", &["/home/a/py"]);
    }
}
