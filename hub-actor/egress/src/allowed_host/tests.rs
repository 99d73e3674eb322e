//! What `allowed_host.rs` promises, each promise a test.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::LazyLock;

use super::*;

fn suffixes() -> Suffixes {
    static SHIPPED: LazyLock<Suffixes> = LazyLock::new(|| Suffixes::shipped().unwrap());
    SHIPPED.clone()
}

#[track_caller]
fn check(key: &str, line: &str, expected: Result<(), &str>) {
    let lines = [line.to_owned()];
    let made = match key {
        "domains" => Rules::new(&suffixes(), &lines, &[], &[]),
        "hosts" => Rules::new(&suffixes(), &[], &lines, &[]),
        _ => Rules::new(&suffixes(), &[], &[], &[line.parse().unwrap()]),
    };
    let made = made.map(|_| ()).map_err(|error| error.what);
    match (made, expected) {
        (Ok(()), Ok(())) => {}
        (Err(what), Err(part)) if what.contains(part) => {}
        (made, _) => panic!("{key} {line:?}: {made:?}"),
    }
}

#[test]
fn a_domain_is_a_registrable_one() {
    check("domains", "example.com", Ok(()));
    check("domains", "Example.CO.UK", Ok(()));
    check("domains", "bücher.de", Ok(()));
    check("domains", "someone.github.io", Ok(()));
    check("domains", "api.example.com", Err("put it under hosts"));
    check("domains", "com", Err("without a dot"));
    check("domains", "co.uk", Err("strangers register"));
    check("domains", "github.io", Err("strangers register"));
    check("domains", "foo.kawasaki.jp", Err("strangers register"));
    check("domains", "city.kawasaki.jp", Ok(()));
    check("domains", "printer.internal", Err("under no public suffix"));
    check("domains", "*.example.com", Err("wildcards"));
    check("domains", "https://example.com", Err("schemes"));
    check("domains", "example.com:8443", Err("not a host name"));
}

#[test]
fn a_host_is_an_exact_name_with_a_port_at_most() {
    check("hosts", "api.github.com", Ok(()));
    check("hosts", "git.example.org:8443", Ok(()));
    check("hosts", "git.example.org:0", Err("port"));
    check("hosts", "git.example.org:x", Err("port"));
    check("hosts", "localhost", Err("without a dot"));
    check("hosts", "127.0.0.1", Err("under local"));
    check("hosts", "0x7f.1", Err("under local"));
    check("hosts", "a..b.com", Err("not a host name"));
    check("hosts", "example.com.", Err("dot at its end"));
    check("hosts", "user@example.com", Err("not a host name"));
    check("hosts", "", Err("not a host name"));
}

#[test]
fn a_local_address_is_one_program_on_one_machine() {
    check("local", "127.0.0.1:9000", Ok(()));
    check("local", "[::1]:9000", Ok(()));
    check("local", "10.0.0.5:443", Ok(()));
    check("local", "127.0.0.1:0", Err("one program"));
    check("local", "0.0.0.0:80", Err("one program"));
    check("local", "224.0.0.1:80", Err("one program"));
    check("local", "[::ffff:127.0.0.1]:80", Err("IPv4 address itself"));
}

#[test]
fn an_official_rule_of_each_kind_is_understood() {
    let list = suffixes();
    for (host, domain) in [
        ("example.com", Some("example.com")),
        ("a.b.example.com", Some("example.com")),
        ("com", None),
        ("b.test.ck", Some("b.test.ck")),
        ("test.ck", None),
        ("www.ck", Some("www.ck")),
        ("www.www.ck", Some("www.ck")),
        ("a.city.kobe.jp", Some("city.kobe.jp")),
        ("b.c.kobe.jp", Some("b.c.kobe.jp")),
        ("c.kobe.jp", None),
        ("食狮.com.cn", Some("食狮.com.cn")),
        ("xn--85x722f.com.cn", Some("xn--85x722f.com.cn")),
        ("xn--85x722f.xn--55qx5d.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ("xn--55qx5d.cn", None),
        ("someone.github.io", Some("someone.github.io")),
        ("github.io", None),
        ("printer.internal", None),
        ("localhost", None),
    ] {
        assert_eq!(list.registrable(host), domain, "{host}");
    }
}

#[test]
fn a_list_that_was_cut_off_is_not_used() {
    let whole = include_str!("../../data/public_suffix_list.dat");
    assert!(Suffixes::read(whole).is_ok());
    let end = whole.find("===BEGIN PRIVATE").unwrap();
    let cut = whole.get(..end).unwrap();
    assert!(matches!(Suffixes::read(cut), Err(SuffixError::Incomplete(_))));
    assert!(Suffixes::read("").is_err());
}

#[test]
fn empty_rules_name_nothing() {
    let rules = Rules::new(&suffixes(), &[], &[], &[]).unwrap();
    assert!(rules.is_empty());
    assert_eq!(rules.names("example.com", 443, true), Err(NotNamed::Host));
    assert!(!rules.names_address("127.0.0.1:9000".parse().unwrap()));
}

#[test]
fn a_name_that_only_ends_alike_is_not_within() {
    assert!(within("example.com", "example.com"));
    assert!(within("a.example.com", "example.com"));
    assert!(!within("badexample.com", "example.com"));
    assert!(!within("example.com.evil.org", "example.com"));
    assert!(!within("com", "example.com"));
}
