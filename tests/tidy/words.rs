//! Rules about words that have no place in the project.

use crate::tree::{files, none};

/// Everything that is text and ours; the lock file is cargo's.
const TEXTS: [&str; 11] =
    ["rs", "toml", "md", "sh", "json", "yaml", "yml", "service", "Makefile", "Dockerfile", "conf"];

#[test]
fn no_text_names_a_machine_or_a_registry() {
    // In pieces, so that this file does not offend itself.
    let forbidden = [
        ["/ro", "ot/"].concat(),
        ["/wo", "rk/"].concat(),
        ["/tmp/", "plan"].concat(),
        ["crates", ".io"].concat(),
        ["pypi", ".org"].concat(),
        ["pythonhosted", ".org"].concat(),
        ["npmjs", ".org"].concat(),
    ];
    let mut offences = Vec::new();
    for file in files(&TEXTS).iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = forbidden.iter().find(|word| names(line, word)) {
                offences.push(format!("{}:{}: {word} in {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none("no machine's path and no registry's host", &offences);
}

/// Does the line name it? A path counts from where it begins: `/proc/1/root/` is in every machine.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !word.starts_with('/') || before.is_none_or(|c| !c.is_alphanumeric() && c != '}' && c != '_')
    })
}

#[test]
fn no_private_key_lies_in_the_tree() {
    let forbidden = [["-----BEGIN ", "PRIVATE KEY"].concat(), ["-----BEGIN USER ", "NKEY SEED"].concat()];
    let mut offences = Vec::new();
    for file in files(&TEXTS).iter().filter(|file| !file.path.ends_with(".rs")) {
        if forbidden.iter().any(|word| file.text.contains(word.as_str())) {
            offences.push(file.path.clone());
        }
    }
    none("no private key lies in the tree", &offences);
}
