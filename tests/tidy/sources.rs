//! Rules about files of Rust.

use crate::tree::{files, none};

/// Files that may be longer than [`LONGEST`], each with its reason and its length. The list only shrinks.
const LONG: [(&str, usize, &str); 0] = [];

/// Lines at most.
const LONGEST: usize = 800;

#[test]
fn every_file_says_what_it_answers() {
    let without: Vec<String> = files(&["rs"])
        .into_iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path)
        .collect();
    none("every .rs file opens with a //! header", &without);
}

#[test]
fn files_stay_small() {
    let mut offences = Vec::new();
    for file in files(&["rs"]) {
        let lines = file.text.lines().count();
        let (limit, reason) = LONG
            .iter()
            .find(|(path, ..)| *path == file.path)
            .map_or((LONGEST, "the house's limit"), |(_, limit, reason)| (*limit, *reason));
        if limit < lines {
            offences.push(format!("{}: {lines} lines, {limit} allowed ({reason})", file.path));
        }
        if limit != LONGEST && lines <= LONGEST {
            offences.push(format!("{} is short now and leaves the list", file.path));
        }
    }
    none("no file is longer than 800 lines", &offences);
}

#[test]
fn files_are_named_for_one_idea() {
    const FORBIDDEN: [&str; 11] = [
        "util", "utils", "common", "helper", "helpers", "misc", "manager", "core", "base", "shared", "stuff",
    ];
    let mut offences = Vec::new();
    for file in files(&["rs"]) {
        let mut parts = file.path.trim_end_matches(".rs").rsplit('/');
        let name = parts.next().unwrap_or_default();
        if name == "mod" {
            offences.push(format!("{}: foo.rs beside foo/, never mod.rs", file.path));
        }
        if FORBIDDEN.contains(&name) || parts.clone().any(|folder| FORBIDDEN.contains(&folder)) {
            offences.push(format!("{}: a name that says nothing", file.path));
        }
        if parts.next() == Some(name) {
            offences.push(format!("{}: repeats the name of its folder", file.path));
        }
    }
    none("files are named for one idea", &offences);
}

#[test]
fn unsafe_code_is_in_one_file() {
    const HOME: &str = "spoke-host/jail/src/sys.rs";
    let mut offences = Vec::new();
    for file in files(&["rs"]).iter().filter(|file| file.path != HOME) {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let opens = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
            let allows = code.contains("(unsafe_code") && !code.contains('"');
            // A word within a text is no code; texts that speak of it are in quotes.
            let quoted = code.split('"').skip(1).step_by(2).any(|text| text.contains("unsafe"));
            if allows || (!quoted && opens.iter().any(|open| code.contains(open))) {
                offences.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(&format!("unsafe code is in {HOME} alone"), &offences);
}

#[test]
fn no_test_is_skipped_or_satisfied_by_any_panic() {
    let forbidden = [concat!("#[ig", "nore"), concat!("should_", "panic"), concat!("fn te", "st_")];
    let mut offences = Vec::new();
    for file in files(&["rs"]) {
        for (number, line) in file.text.lines().enumerate() {
            if forbidden.iter().any(|word| line.contains(word)) {
                offences.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none("no skipped test, no test that any panic satisfies, no test_ prefix", &offences);
}

#[test]
fn subjects_are_spelled_in_one_place() {
    const HOMES: [&str; 4] =
        ["bus/src/subject.rs", "bus/src/subject/pattern.rs", "bus/src/acl.rs", "bus/src/acl/matrix.rs"];
    let first = ["spoke", "host", "hub", "user", "audit"];
    let mut offences = Vec::new();
    for file in files(&["rs"]).iter().filter(|file| !file.is_test() && !HOMES.contains(&file.path.as_str())) {
        for (number, line) in file.code() {
            if first.iter().any(|token| line.contains(&format!("\"secgpt.{token}"))) {
                offences.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none("subjects are spelled in bus/src/subject.rs, and as rights in bus/src/acl.rs", &offences);
}

#[test]
fn the_way_to_a_panic_is_closed_in_every_crate() {
    let mut offences = Vec::new();
    for file in files(&["Cargo.toml"]) {
        if file.path != "Cargo.toml" && !file.text.contains("[lints]\nworkspace = true") {
            offences.push(file.path);
        }
    }
    none("every crate takes the lints of the workspace", &offences);
}
