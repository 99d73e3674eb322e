//! The verdict on every URL of a collection of disguises.
//!
//! Answers: did a change of the rules, of the URL parser or of the suffix list change what any of them may reach?
//! Never: accepts a change silently. `UPDATE_GOLDEN=1` writes the file anew; the difference is then reviewed.
//! Carries: I-12, I-13.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;
use std::path::Path;

use egress_gateway::allowed_host::{Rules, Suffixes};
use egress_gateway::url_rule::{permits, read};

#[path = "ssrf/corpus.rs"]
mod corpus;

fn rules() -> Rules {
    let text = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    Rules::new(
        &Suffixes::shipped().unwrap(),
        &text(corpus::DOMAINS),
        &text(corpus::HOSTS),
        &corpus::LOCAL.map(|address| address.parse().unwrap()),
    )
    .unwrap()
}

fn judged() -> String {
    let rules = rules();
    let mut text = String::from(
        "# verdict, then the URL as a Rust literal. Written by the test `ssrf` with UPDATE_GOLDEN=1.\n",
    );
    writeln!(
        text,
        "# domains {:?}\n# hosts   {:?}\n# local   {:?}",
        corpus::DOMAINS,
        corpus::HOSTS,
        corpus::LOCAL
    )
    .unwrap();
    for (title, urls) in corpus::URLS {
        writeln!(text, "\n# {title}").unwrap();
        for url in *urls {
            let verdict = match read(url).and_then(|url| permits(&rules, "GET", &url)) {
                Ok(permitted) => format!("ALLOWED {}:{}", permitted.host, permitted.port),
                Err(refusal) => refusal.word().to_owned(),
            };
            writeln!(text, "{verdict:<36} {url:?}").unwrap();
        }
    }
    text
}

#[test]
fn every_url_of_the_corpus_has_the_verdict_in_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ssrf.txt");
    let judged = judged();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &judged).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (now, then) in judged.lines().zip(golden.lines()) {
        assert_eq!(now, then, "UPDATE_GOLDEN=1 writes tests/golden/ssrf.txt anew");
    }
    assert_eq!(judged.lines().count(), golden.lines().count());
}

#[test]
fn the_corpus_is_large_and_holds_no_url_twice() {
    let mut all: Vec<&str> = corpus::URLS.iter().flat_map(|(_, urls)| urls.iter().copied()).collect();
    assert!(150 <= all.len(), "{}", all.len());
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn without_rules_every_url_of_the_corpus_is_refused() {
    let nothing = Rules::nothing(&Suffixes::shipped().unwrap());
    for url in corpus::URLS.iter().flat_map(|(_, urls)| urls.iter()) {
        assert!(read(url).and_then(|url| permits(&nothing, "GET", &url)).is_err(), "{url:?}");
    }
}
