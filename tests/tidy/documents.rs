//! Documents must not drift from the tree.

use std::path::Path;

use system_tests::bundle::workspace;

use crate::tree::{files, none};

#[test]
fn every_path_that_a_document_names_exists() {
    let all: Vec<String> = files(&["md", "rs", "sh"]).into_iter().map(|file| file.path).collect();
    let mut offences = Vec::new();
    for file in files(&["md"]) {
        // Prompts are texts for a model, not about the tree.
        if file.path.starts_with("data/prompts/") {
            continue;
        }
        let folder = Path::new(&file.path).parent().unwrap();
        // A bare name may stand for a file anywhere below the document.
        let named: Vec<&String> = all.iter().filter(|path| Path::new(path).starts_with(folder)).collect();
        let mut fenced = false;
        for (number, line) in file.text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            if fenced {
                continue;
            }
            for path in line.split('`').skip(1).step_by(2).chain(links(line)).filter(|text| is_path(text)) {
                let path = path.trim_end_matches('/');
                let known = [folder.join(path), folder.join("src").join(path), path.into()]
                    .iter()
                    .any(|path| workspace().join(path).exists())
                    || (!path.contains('/') && named.iter().any(|have| have.ends_with(&format!("/{path}"))));
                if !known {
                    offences.push(format!("{}:{}: {path}", file.path, number + 1));
                }
            }
        }
    }
    none("every path that a document names exists", &offences);
}

/// The targets of links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|link| link.split('#').next().unwrap_or(link))
}

/// Does the text look like a file or folder of ours?
fn is_path(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if !plain || text.starts_with('/') || text.starts_with("target/") {
        return false;
    }
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let first = text.split('/').next().unwrap_or_default();
    let ours = workspace().join(first).is_dir() || first == "src";
    match text.contains('/') {
        true => ours || matches!(ending, "rs" | "md" | "sh"),
        false => matches!(ending, "rs" | "md" | "sh") && !text.starts_with('.'),
    }
}

#[test]
fn every_crate_has_a_readme() {
    let without: Vec<String> = files(&["Cargo.toml"])
        .into_iter()
        .map(|file| file.path.replace("Cargo.toml", "README.md"))
        .filter(|readme| !workspace().join(readme).is_file())
        .collect();
    none("every crate has a README that says what it answers for", &without);
}
