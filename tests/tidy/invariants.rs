//! The register of invariants, held against headers and tests, both ways.

use std::collections::BTreeSet;

use crate::tree::{File, files, none};

const REGISTER: &str = "tests/INVARIANTS.md";

/// A row of the register. A file stands for its module: for `a.rs` and all that is in `a/`.
#[derive(Debug)]
struct Row {
    id: String,
    enforced_in: Vec<String>,
    tests: Vec<String>,
    pending: bool,
}

impl Row {
    /// Does the row name this file, or its module? A crate's first file sums up those below it.
    fn names(&self, path: &str) -> bool {
        let first = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        first || self.enforced_in.iter().any(|module| is_of_module(module, path))
    }
}

/// Is the file `module` (`a.rs`), or in its folder (`a/`)?
fn is_of_module(module: &str, path: &str) -> bool {
    let below = module.strip_suffix(".rs").and_then(|module| path.strip_prefix(module));
    module == path || below.is_some_and(|rest| rest.starts_with('/'))
}

fn register() -> Vec<Row> {
    let register =
        files(&["INVARIANTS.md"]).into_iter().find(|file| file.path == REGISTER).expect("the register");
    let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let rows: Vec<Row> = register
        .text
        .lines()
        .filter(|line| line.starts_with("| I-"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [id, _sentence, enforced_in, tests] = cells.as_slice() else {
                panic!("not four cells: {line}")
            };
            Row {
                id: (*id).to_owned(),
                enforced_in: ticked(enforced_in),
                tests: ticked(tests),
                pending: tests.contains("pending"),
            }
        })
        .collect();
    assert!(17 <= rows.len(), "the register is shorter than the design");
    rows
}

/// The ids that a header carries: `//! Carries: I-01, I-03. …`.
fn carried(file: &File) -> BTreeSet<String> {
    let header: Vec<&str> = file.header().skip_while(|line| !line.contains("Carries:")).collect();
    let mut ids = BTreeSet::new();
    for (at, _) in header.join(" ").match_indices("I-") {
        let joined = header.join(" ");
        let digits: String = joined[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        if digits.len() == 2 {
            ids.insert(format!("I-{digits}"));
        }
    }
    ids
}

/// Names of all test functions, those of `proptest!` included.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files(&["rs"]) {
        let mut marked = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[test]")
                || line.starts_with("#[tokio::test")
                || line.starts_with("#[actix::test")
            {
                marked = true;
            } else if marked && let Some(rest) = line.strip_prefix("async fn ").or(line.strip_prefix("fn ")) {
                names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
                marked = false;
            }
        }
    }
    names
}

#[test]
fn the_register_and_the_headers_say_the_same() {
    let rows = register();
    let sources = files(&["rs"]);
    let mut offences = Vec::new();
    for row in &rows {
        for path in &row.enforced_in {
            let of_module = sources.iter().filter(|file| is_of_module(path, &file.path) && !file.is_test());
            let mut ids = of_module.map(carried).peekable();
            if ids.peek().is_none() {
                offences.push(format!("{}: {path} does not exist", row.id));
            } else if !ids.any(|ids| ids.contains(&row.id)) {
                offences.push(format!("{}: no header in {path} carries it", row.id));
            }
        }
    }
    for file in sources.iter().filter(|file| !file.is_test()) {
        for id in carried(file) {
            match rows.iter().find(|row| row.id == id) {
                None => offences.push(format!("{}: carries {id}, which is not in the register", file.path)),
                Some(row) if !row.names(&file.path) => {
                    offences.push(format!(
                        "{}: carries {id}, but the register does not name this file",
                        file.path
                    ));
                }
                Some(_) => {}
            }
        }
    }
    none("the register and the headers say the same", &offences);
}

#[test]
fn every_promise_names_the_tests_that_keep_it() {
    let (rows, tests) = (register(), tests());
    let mut offences = Vec::new();
    for row in &rows {
        if row.tests.is_empty() && !row.pending {
            offences.push(format!("{} names no test and is not marked as pending", row.id));
        }
        for test in row.tests.iter().filter(|test| !tests.contains(*test)) {
            offences.push(format!("{}: there is no test {test}", row.id));
        }
    }
    let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    for file in files(&["rs"]).iter().filter(|file| file.is_test()) {
        for id in carried(file) {
            if !known.contains(id.as_str()) {
                offences.push(format!("{}: carries {id}, which is not in the register", file.path));
            }
        }
    }
    none("every promise names the tests that keep it", &offences);
}
