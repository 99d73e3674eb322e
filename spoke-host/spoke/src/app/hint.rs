//! What to do about an app that lacks something that its jail does not show it.
//!
//! Answers: which line of the manifest would give the app what its own words say is missing?
//! Never: proposes what no manifest can allow; takes the words for more than a proposal.

use bus::id::AppId;

/// How programs say that a file is not there, or not for them.
const NO_FILE: [&str; 7] = [
    "no such file",
    "enoent",
    "filenotfounderror",
    "permission denied",
    "eacces",
    "cannot open",
    "can't open",
];

/// How they say that they may not write.
const READ_ONLY: [&str; 2] = ["read-only file system", "erofs"];

/// Where the jail has what it has: its own folders, the system's programs, and what no manifest can name.
const NOT_MISSING: [&str; 17] = [
    "/app",
    "/bin",
    "/data",
    "/dev",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/var/run",
    "/etc/resolv.conf",
];

/// Longest path that is proposed, bytes.
const MAX_PATH: usize = 300;

/// A sentence for whoever installed the app, if its words name a file that it may not have.
pub(super) fn of(app: &AppId, words: &str) -> Option<String> {
    let lower = words.to_lowercase();
    if READ_ONLY.iter().any(|sign| lower.contains(sign)) {
        return Some(format!("{app} may write to its data folder /data and to /tmp only"));
    }
    if !NO_FILE.iter().any(|sign| lower.contains(sign)) {
        return None;
    }
    let path = paths(words).find(|path| !NOT_MISSING.iter().any(|place| is_within(path, place)))?;
    Some(format!("if {app} is to read it, name it in its manifest: `[filesystem] read = [\"{path}\"]`"))
}

fn is_within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Words that look like absolute paths.
fn paths(words: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "'\"`‘’“”()[]{}<>,;:=".contains(c);
    words.split(ends).map(|word| word.trim_end_matches(['.', '!', '?', '/'])).filter(|word| {
        word.starts_with('/') && 1 < word.len() && word.len() <= MAX_PATH && !word.contains("//")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hint(words: &str) -> Option<String> {
        of(&AppId::parse("notes").unwrap(), words)
    }

    #[test]
    fn a_file_that_is_outside_of_the_view_is_named_with_its_line_of_the_manifest() {
        for words in [
            "Error: ENOENT: no such file or directory, open '/home/ann/notes.md'",
            "FileNotFoundError: [Errno 2] No such file or directory: '/home/ann/notes.md'",
            "cat: /home/ann/notes.md: Permission denied",
            "open /home/ann/notes.md: no such file or directory.",
            "Cannot open \"/home/ann/notes.md\" with /usr/bin/cat",
        ] {
            let said = hint(words).unwrap_or_else(|| words.to_owned());
            assert!(said.contains("`[filesystem] read = [\"/home/ann/notes.md\"]`"), "{said}");
        }
    }

    #[test]
    fn nothing_is_proposed_for_what_the_jail_has_or_no_manifest_can_give() {
        for words in [
            "No such file or directory: '/data/new.txt'",
            "ENOENT: /proc/1/maps",
            "no such file: notes.md",
            "the station /home/ann is closed",
            "EACCES: https://a.example/x",
        ] {
            assert_eq!(hint(words), None, "{words}");
        }
    }

    #[test]
    fn where_an_app_may_write_is_said() {
        assert!(hint("OSError: [Errno 30] Read-only file system: '/app/cache'").unwrap().contains("/data"));
    }
}
