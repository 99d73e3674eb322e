//! The verdict on every URL of a collection of disguises.
//!
//! Answers: did a change of the rules, of the URL parser or of the suffix list change what any of them may reach?
//! Never: accepts a change silently. `UPDATE_GOLDEN=1` writes the file anew; the difference is then reviewed.
//! Carries: I-12, I-13.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;
use std::net::Ipv6Addr;
use std::path::Path;

use egress_gateway::allowed_host::{Rules, Suffixes};
use egress_gateway::url_rule::{MAX_URL, permits, read};
use proptest::prelude::*;

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

/// The host as a reader takes it who knows nothing but where the parts of a URL end (RFC 3986, appendix B), and nothing
/// of what this program's parser repairs. `None` where that reader gives up.
fn plainly_read(text: &str) -> Option<(String, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, usual),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    // An IPv6 address may be written in more than one way.
    let host = host.parse::<Ipv6Addr>().map_or(host, |address| address.to_string());
    Some((host.strip_suffix('.').unwrap_or(&host).to_owned(), port))
}

fn corpus_urls() -> Vec<&'static str> {
    corpus::URLS.iter().flat_map(|(_, urls)| urls.iter().copied()).collect()
}

/// Two URLs of the corpus, cut and joined, with something wicked in between.
fn spliced() -> impl Strategy<Value = String> {
    let one = || proptest::sample::select(corpus_urls());
    let wicked = proptest::sample::select(vec![
        "",
        "@",
        "%40",
        ":",
        "::",
        "/",
        "//",
        "\\",
        "#",
        "?",
        ".",
        "..",
        "%2e",
        "%00",
        "\t",
        "\n",
        " ",
        "[",
        "]",
        "%25",
        "\u{ff0e}",
        "\u{3002}",
        "\u{200d}",
        "\u{ad}",
        "\u{2044}",
        "\u{202e}",
        "xn--",
        "0x7f",
        "0177",
        ":80",
        ":443",
        ":8443",
        ":65536",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "example.com",
        ".example.com",
        "user@",
    ]);
    (one(), any::<prop::sample::Index>(), wicked, one(), any::<prop::sample::Index>()).prop_map(
        |(first, cut, wicked, second, from)| {
            let (first, second): (Vec<char>, Vec<char>) = (first.chars().collect(), second.chars().collect());
            let (head, tail) =
                (&first[..cut.index(first.len() + 1)], &second[from.index(second.len() + 1)..]);
            head.iter().copied().chain(wicked.chars()).chain(tail.iter().copied()).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_permitted_is_what_any_other_reader_would_read(text in spliced()) {
        let Ok(permitted) = read(&text).and_then(|url| permits(&RULES, "GET", &url)) else { return Ok(()) };
        let host = permitted.host.to_string();
        // A name beyond ASCII is written in another way by whoever reads it; all others must be what is written.
        if text.is_ascii() {
            prop_assert_eq!(Some((host.clone(), permitted.port)), plainly_read(&text), "{}", text);
        }
        // And what goes on the wire is read in the same way by everybody.
        prop_assert!(permitted.url.as_str().is_ascii());
        prop_assert_eq!(Some((host, permitted.port)), plainly_read(permitted.url.as_str()), "{}", text);
    }

    #[test]
    fn a_reader_of_urls_never_panics_and_never_goes_beyond_its_length(text in "\\PC{0,60}", more in 0..3_usize) {
        let long = format!("https://example.com/{}{text}", "a".repeat(more * MAX_URL / 2));
        for text in [text.as_str(), long.as_str()] {
            if let Ok(permitted) = read(text).and_then(|url| permits(&RULES, "GET", &url)) {
                prop_assert!(text.len() <= MAX_URL && permitted.url.username().is_empty());
            }
        }
    }
}

static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(rules);
