//! What strangers say of themselves, honest and not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn named(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn honest() -> Value {
    json!({
        "issuer": "https://login.a.example", "authorization_endpoint": "https://login.a.example/authorize",
        "token_endpoint": "https://tokens.a.example/token?v=1", "registration_endpoint": "https://login.a.example/reg",
        "code_challenge_methods_supported": ["plain", "S256"],
    })
}

fn of_issuer(issuer: &str) -> Resource {
    Resource { name: "https://mcp.a.example/mcp".into(), issuer: url(issuer), scopes: vec!["read".into()] }
}

fn judged(value: &Value) -> Result<SignIn, String> {
    server(&value.to_string(), of_issuer("https://login.a.example"), &[])
}

#[test]
fn only_an_address_of_the_web_or_one_that_a_person_named_is_taken() {
    let local = named(&["10.0.0.5:9000", "127.0.0.1:9000", "[::1]:9000", "127.0.0.2:9000", "127.0.0.1:80"]);
    for text in [
        "https://login.a.example",
        "https://login.a.example:8443/x?y=z",
        "https://10.0.0.5:9000/x",
        "http://127.0.0.1:9000/x",
        "http://[::1]:9000/x",
    ] {
        assert!(address(text, &local).is_ok(), "{text}");
    }
    for (text, why) in [
        ("http://login.a.example/", "begins with https://"),
        ("ftp://login.a.example/", "begins with https://"),
        ("javascript:alert(1)", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("login.a.example", "begins with https://"),
        ("", "begins with https://"),
        ("https://", "begins with https://"),
        ("https://a.example/#x", "begins with https://"),
        ("https://a.example/\n", "begins with https://"),
        ("https://a.example/\u{1b}[2J", "begins with https://"),
        ("https://a.example/\"\nlocal = [\"x\"]", "begins with https://"),
        ("https://a\\.example/", "begins with https://"),
        ("https://äpfel.example/", "begins with https://"),
        ("https://me:word@a.example/", "begins with https://"),
        ("https://localhost/", "no host of the web"),
        ("https://intranet/", "no host of the web"),
        ("https://a_b.example/", "no host of the web"),
        // What is escaped in a host is undone by the parser.
        ("https://a%22%2C%22b.example/", "no host of the web"),
        // Nobody named these; the last two are named in another way, or with another port.
        ("https://169.254.169.254/", "nobody has named"),
        ("http://169.254.169.254/latest/meta-data/", "begins with https://"),
        ("https://10.0.0.1/", "nobody has named"),
        ("https://127.0.0.1/", "nobody has named"),
        ("https://2130706433/", "nobody has named"),
        ("https://0x7f.1/", "nobody has named"),
        ("https://[::ffff:169.254.169.254]/", "nobody has named"),
        ("https://[fd00::1]/", "nobody has named"),
        ("https://8.8.8.8/", "nobody has named"),
        ("https://[::ffff:10.0.0.5]:9000/", "nobody has named"),
        ("https://10.0.0.5:9001/", "nobody has named"),
        // In the clear only within this machine.
        ("http://10.0.0.5:9000/", "begins with https://"),
        ("http://127.0.0.1:9001/", "begins with https://"),
        ("http://127.0.0.2:9000/", "begins with https://"),
        ("http://127.0.0.1/", "begins with https://"),
    ] {
        let said = address(text, &local).unwrap_err();
        assert!(said.contains(why), "{text:?}: {said}");
    }
    assert!(address(&format!("https://a.example/{}", "x".repeat(LONGEST)), &[]).is_err());
}

#[test]
fn metadata_is_looked_for_where_the_standards_put_it() {
    let resource = |text: &str| places_of_resource(&url(text)).iter().map(Url::to_string).collect::<Vec<_>>();
    let at = "https://a.example/.well-known/oauth-protected-resource";
    assert_eq!(resource("https://a.example/mcp/v1"), [format!("{at}/mcp/v1"), at.to_owned()]);
    assert_eq!(resource("https://a.example/mcp/?x=1"), [format!("{at}/mcp?x=1"), at.to_owned()]);
    assert_eq!(resource("https://a.example"), [at]);
    assert_eq!(resource("https://a.example/"), [at]);
    let server = |text: &str| places_of_server(&url(text)).iter().map(Url::to_string).collect::<Vec<_>>();
    let at = "https://a.example/.well-known";
    let plain = [format!("{at}/oauth-authorization-server"), format!("{at}/openid-configuration")];
    assert_eq!(server("https://a.example"), plain);
    assert_eq!(
        server("https://a.example/one/"),
        [
            format!("{at}/oauth-authorization-server/one"),
            format!("{at}/openid-configuration/one"),
            "https://a.example/one/.well-known/openid-configuration".to_owned(),
        ]
    );
}

#[test]
fn nobody_speaks_for_a_server_but_its_own_host() {
    let own = url("https://mcp.a.example/mcp");
    assert!(of_its_own("https://mcp.a.example/any/where", &own).is_ok());
    for text in [
        "https://a.example/",
        "https://mcp.a.example:8443/",
        "https://evil.example/.well-known/oauth-protected-resource",
        "http://mcp.a.example/",
        "https://169.254.169.254/",
        "https://me@mcp.a.example/",
        "https://mcp.a.example/\n",
        "/relative",
    ] {
        assert!(of_its_own(text, &own).is_err(), "{text}");
    }
    let words = |resource: &str| {
        let said = json!({"resource": resource, "authorization_servers": ["https://login.a.example"]});
        super::resource(&said.to_string(), &own, &[])
    };
    for text in ["https://mcp.a.example/mcp", "https://mcp.a.example/", "https://mcp.a.example"] {
        assert_eq!(words(text).unwrap().name, text, "as it is written");
    }
    let long = url(&format!("https://mcp.a.example/{}", "x".repeat(LONGEST_NAME)));
    let said = json!({"resource": long.as_str(), "authorization_servers": ["https://login.a.example"]});
    assert!(super::resource(&said.to_string(), &long, &[]).unwrap_err().contains("too long"));
    for text in [
        "https://a.example/mcp",
        "https://mcp.a.example/mc",
        "https://mcp.a.example/mcp/other",
        "https://mcp.a.example:8443/mcp",
        "https://mcp.a.example/mcp?x=1",
        "https://evil.example/mcp",
        "mcp",
        "",
    ] {
        assert!(words(text).unwrap_err().contains("of another server"), "{text}");
    }
}

#[test]
fn a_server_names_its_authorization_server_and_what_it_wants_leave_for() {
    let own = url("https://mcp.a.example/mcp");
    let said = |servers: Value, scopes: Value| {
        let words = json!({"resource": "https://mcp.a.example/mcp", "authorization_servers": servers,
            "scopes_supported": scopes, "resource_name": "\u{1b}[2J"});
        resource(&words.to_string(), &own, &[])
    };
    let two = json!(["https://login.a.example/one", "https://other.example"]);
    let found = said(two.clone(), json!(["read", "a b", "read", "x\"y", "", "wr\u{1b}ite", "z".repeat(300)]))
        .unwrap();
    assert_eq!(
        (found.issuer.as_str(), found.scopes),
        ("https://login.a.example/one", vec!["read".to_owned()])
    );
    let many: Vec<String> = (0..1000).map(|n| format!("s{n}")).collect();
    assert_eq!(said(two.clone(), json!(many)).unwrap().scopes.len(), MOST_SCOPES);
    assert!(said(json!([]), json!([])).unwrap_err().contains("no authorization server"));
    assert!(said(json!("https://login.a.example"), json!([])).unwrap_err().contains("RFC 9728"));
    assert!(said(two, json!([1])).unwrap_err().contains("RFC 9728"));
    for place in
        ["https://169.254.169.254/", "http://login.a.example", "https://10.0.0.1", "https://localhost"]
    {
        let why = said(json!([place]), json!([])).unwrap_err();
        assert!(why.starts_with("the authorization server that it names"), "{why}");
    }
    for text in
        ["", "[]", "null", "<html>", "{", "{}", r#"["https://mcp.a.example/mcp",["https://b.example"],[]]"#]
    {
        assert!(resource(text, &own, &[]).is_err(), "{text}");
    }
    assert!(resource(&"[".repeat(100_000), &own, &[]).is_err());
    assert!(resource(&format!("{{\"resource\":{}", "[".repeat(60_000)), &own, &[]).is_err());
}

#[test]
fn an_authorization_server_is_believed_about_itself_alone() {
    let found = judged(&honest()).unwrap();
    assert_eq!(found.authorize_url.as_deref(), Some("https://login.a.example/authorize"));
    assert_eq!(found.token_url, "https://tokens.a.example/token?v=1");
    assert_eq!(found.registration_url.as_deref(), Some("https://login.a.example/reg"));
    assert_eq!((found.device_url, found.issuer.as_str()), (None, "https://login.a.example"));
    let with = |name: &str, value: Value| {
        let mut all = honest();
        all[name] = value;
        judged(&all)
    };
    for issuer in ["https://evil.example", "https://login.a.example/x", "http://login.a.example", "x", ""] {
        assert!(with("issuer", json!(issuer)).unwrap_err().contains("for another"), "{issuer}");
    }
    assert!(with("issuer", json!("https://login.a.example/")).is_ok(), "the same address");
    assert!(with("token_endpoint", Value::Null).unwrap_err().contains("no place where tokens"));
    for name in
        ["token_endpoint", "authorization_endpoint", "device_authorization_endpoint", "registration_endpoint"]
    {
        for bad in [
            "https://169.254.169.254/",
            "https://127.0.0.1:631/",
            "http://login.a.example/",
            "javascript:alert(1)",
            "https://a.example/\"\n[network]",
            "/relative",
        ] {
            let said = with(name, json!(bad)).unwrap_err();
            assert!(said.starts_with("login.a.example names a place for"), "{name} {bad}: {said}");
            assert!(!said.contains('\n') && !said.contains("alert"), "{said}");
        }
        assert!(with(name, json!(5)).unwrap_err().contains("RFC 8414"));
    }
    for text in ["", "[]", "{}", "<html>", "null"] {
        let said = server(text, of_issuer("https://login.a.example"), &[]).unwrap_err();
        assert!(said.contains("RFC 8414"), "{text}: {said}");
    }
}

#[test]
fn without_a_proof_no_browser_is_sent_there() {
    for methods in [json!(["plain"]), json!([])] {
        let mut all = honest();
        all["code_challenge_methods_supported"] = methods;
        assert!(judged(&all).unwrap_err().contains("PKCE"));
        all.as_object_mut().unwrap().remove("code_challenge_methods_supported");
        assert!(judged(&all).unwrap_err().contains("PKCE"));
        // By a code that is typed there is none that another program could bring.
        all["device_authorization_endpoint"] = json!("https://login.a.example/device");
        let found = judged(&all).unwrap();
        assert_eq!((found.authorize_url, found.device_url.is_some()), (None, true));
    }
}

proptest! {
    #[test]
    fn no_words_become_an_address_that_is_not_plain(text in any::<String>(), tail in "[ -~]{0,40}") {
        for text in [text.clone(), format!("https://{text}"), format!("https://{tail}"), format!("https://a.example/{tail}")] {
            if let Ok(url) = address(&text, &[]) {
                prop_assert_eq!(url.scheme(), "https");
                let host = url.host_str().unwrap();
                prop_assert!(host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)), "{}", host);
                prop_assert!(host.parse::<std::net::IpAddr>().is_err());
                prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\#".contains(&byte)));
            }
        }
    }

    #[test]
    fn no_words_about_another_issuer_are_believed(issuer in "https://[a-z.]{1,12}(/[a-z]{0,4})?") {
        let mut all = honest();
        all["issuer"] = json!(issuer);
        prop_assume!(issuer.trim_end_matches('/') != "https://login.a.example");
        prop_assert!(judged(&all).is_err());
    }
}
