//! How a service wants to be shown who asks, as lines of a manifest.
//!
//! Answers: which `[credentials]` are proposed, and what is left to the person?
//! Never: holds a credential; sends one to another host than the app's own; proposes two for one host.
//! Carries: I-06, I-17.

use manifest::openapi::{Flow, Scheme, SchemeKind};

use super::discovery::SignIn;
use super::propose::{list, one_line, quoted};

/// The lines, and the name of the entry that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// As they stand in the manifest; empty if nothing is known.
    pub text: String,
    /// What the app does not work without.
    pub wanted: Option<String>,
}

/// What an API's description says. `host` gets the credential: a name, or an address with its port.
#[must_use]
pub fn of_api(schemes: &[Scheme], host: &str) -> Access {
    let mut access = Access::default();
    for scheme in schemes {
        let name = bare(&scheme.name);
        let shown = one_line(&scheme.name);
        match entry(&name, scheme, host) {
            Ok(lines) if scheme.wanted && access.wanted.is_none() => {
                access.text.push_str(&format!("\n# It wants {shown}. {HOW}\n{lines}"));
                access.wanted = Some(name);
            }
            Ok(lines) => {
                let lines = commented(&lines);
                access
                    .text
                    .push_str(&format!("\n# It also takes {shown}. If you want that, and no other entry for this host, take the # away:\n{lines}"));
            }
            Err(why) => access.text.push_str(&format!("\n# It also knows {shown}: {why}.\n")),
        }
    }
    access
}

/// A server on the web that answers to nobody whom it does not know: with the sign-in that was found, or why there is none.
#[must_use]
pub fn of_server(host: &str, found: Result<&SignIn, &str>) -> Access {
    let name = "token";
    let token = key(name, "Authorization", Some("Bearer"), host);
    let text = match found {
        Ok(sign_in) => {
            let client = match sign_in.registration_url {
                Some(_) => {
                    "# client_id = \"…\"   if you registered a client yourself; otherwise one is registered when you authorize\n"
                }
                None => CLIENT,
            };
            format!(
                "\n# It wants a sign-in at {}, which names these addresses. {HOW}\n{}{}{client}\
                 # If you have a token of its own, this instead:\n{}",
                one_line(&sign_in.issuer),
                opening(name, host),
                sign_in.lines(),
                commented(&token)
            )
        }
        Err(why) => {
            let flow = Flow {
                authorize_url: Some("https://login.example.org/authorize".to_owned()),
                device_url: None,
                token_url: Some("https://login.example.org/token".to_owned()),
            };
            let lines = oauth2(name, &flow, &[], host).unwrap_or_default();
            format!(
                "\n# How one signs in is not known: {}.\n# It wants a token. {HOW}\n{token}\
                 # If it wants a sign-in in a browser, this instead, with the addresses that its documentation names:\n{}",
                one_line(why),
                commented(&lines)
            )
        }
    };
    Access { text, wanted: Some(name.to_owned()) }
}

fn commented(lines: &str) -> String {
    lines.lines().map(|line| format!("# {line}\n")).collect()
}

/// What follows the sentence that says what is wanted.
const HOW: &str = "`secgpt apps authorize` asks you for it; the gateway keeps it, and the app never sees it.";

/// Who asks, where nobody has said it.
const CLIENT: &str = "# client_id = \"…\"   as you registered a client with the service; or --client-id\n";

/// One entry, or why there can be none.
fn entry(name: &str, scheme: &Scheme, host: &str) -> Result<String, String> {
    match &scheme.kind {
        SchemeKind::Header(header) if is_header(header) => Ok(key(name, header, None, host)),
        SchemeKind::Header(_) => Err("a key in what is no header".to_owned()),
        SchemeKind::Query(_) => {
            Err("a key in the address ends in logs of servers and proxies, so it is not supported".to_owned())
        }
        SchemeKind::Cookie(_) => Err("a key in a cookie is not supported".to_owned()),
        SchemeKind::Bearer => Ok(key(name, "Authorization", Some("Bearer"), host)),
        SchemeKind::Basic => Ok(format!(
            "# The key is base64 of NAME:PASSWORD, as printf '%s' NAME:PASSWORD | base64 prints it.\n{}",
            key(name, "Authorization", Some("Basic"), host)
        )),
        SchemeKind::Oauth2(flow) => oauth2(name, flow, &scheme.scopes, host),
        SchemeKind::Other(word) => Err(format!("{} is not supported", one_line(word))),
    }
}

fn key(name: &str, header: &str, prefix: Option<&str>, host: &str) -> String {
    let prefix = prefix.map(|prefix| format!("prefix = {}\n", quoted(prefix))).unwrap_or_default();
    format!(
        "[credentials.{name}]\nkind = \"api_key\"\nheader = {}\n{prefix}for = {}\n",
        quoted(header),
        list([host].into_iter())
    )
}

/// How an entry begins whose token a server gives.
fn opening(name: &str, host: &str) -> String {
    format!(
        "[credentials.{name}]\nkind = \"oauth2\"\nheader = \"Authorization\"\nfor = {}\n",
        list([host].into_iter())
    )
}

fn oauth2(name: &str, flow: &Flow, scopes: &[String], host: &str) -> Result<String, String> {
    let Flow { authorize_url, device_url, token_url } = flow;
    if token_url.is_none() || (authorize_url.is_none() && device_url.is_none()) {
        return Err(
            "its tokens are had in no way that a person gives leave in; a token that you have goes as an \
                    api_key with prefix = \"Bearer\""
                .to_owned(),
        );
    }
    let mut text = opening(name, host);
    for (field, url) in
        [("authorize_url", authorize_url), ("device_url", device_url), ("token_url", token_url)]
    {
        let Some(url) = url else { continue };
        if !url.starts_with("https://")
            || !url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#".contains(&byte))
        {
            return Err(format!("its {field} is no address that begins with https://"));
        }
        text.push_str(&format!("{field} = {}\n", quoted(url)));
    }
    let plain: Vec<&str> = scopes.iter().map(String::as_str).filter(|scope| is_word(scope)).collect();
    if !plain.is_empty() {
        text.push_str(&format!("scopes = {}\n", list(plain.into_iter())));
    }
    text.push_str(CLIENT);
    Ok(text)
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// As a manifest takes a scope.
pub(super) fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    !text.is_empty() && text.len() <= 400 && text.bytes().all(plain)
}

/// A name that needs no quotes.
fn bare(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().take(40).map(plain).collect();
    if name.is_empty() { "key".to_owned() } else { name }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn scheme(name: &str, kind: SchemeKind, wanted: bool) -> Scheme {
        Scheme { name: name.to_owned(), kind, wanted, scopes: vec!["read".to_owned(), "b\"c".to_owned()] }
    }

    fn parsed(access: &Access) -> toml::Table {
        toml::from_str(&access.text).unwrap()
    }

    #[test]
    fn what_an_api_insists_on_is_proposed_once_and_the_rest_as_a_comment() {
        let flow = Flow {
            authorize_url: Some("https://login.a.example/a".into()),
            device_url: None,
            token_url: Some("https://login.a.example/t".into()),
        };
        let schemes = [
            scheme("in query", SchemeKind::Query("k".into()), true),
            scheme("leave", SchemeKind::Oauth2(flow), true),
            scheme("key", SchemeKind::Header("X-Key".into()), true),
        ];
        let access = of_api(&schemes, "api.a.example");
        assert_eq!(access.wanted.as_deref(), Some("leave"));
        let all = parsed(&access);
        let entries = all["credentials"].as_table().unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["leave"], "one credential for one host");
        assert_eq!(entries["leave"]["for"].as_array().unwrap().len(), 1);
        assert_eq!(entries["leave"]["scopes"].as_array().unwrap(), &[toml::Value::from("read")]);
        assert!(
            access.text.contains("# header = \"X-Key\"") && access.text.contains("ends in logs"),
            "{}",
            access.text
        );
        // As comments they are as good as any.
        let uncommented = of_api(&[scheme("key", SchemeKind::Header("X-Key".into()), false)], "a.example");
        assert_eq!((&uncommented.wanted, parsed(&uncommented).len()), (&None, 0));
    }

    #[test]
    fn nothing_that_a_description_says_breaks_out_of_its_place() {
        let evil = "a]\n[network]\ndomains = [\"evil.example\"]";
        let url = Flow {
            authorize_url: Some(format!("https://a.example/{evil}")),
            device_url: None,
            token_url: Some("https://a.example/t".into()),
        };
        let schemes = [
            scheme(evil, SchemeKind::Bearer, true),
            scheme("b", SchemeKind::Header(evil.into()), true),
            scheme("c", SchemeKind::Oauth2(url), true),
            scheme("d", SchemeKind::Other(evil.into()), true),
        ];
        let all = parsed(&of_api(&schemes, "a.example"));
        assert_eq!(all.keys().collect::<Vec<_>>(), ["credentials"]);
        assert_eq!(all["credentials"].as_table().unwrap().len(), 1);
    }

    #[test]
    fn a_server_that_wants_a_sign_in_gets_an_entry_that_can_be_given_a_token() {
        let evil = "it says \u{1b}[2J\n[network]\ndomains = [\"evil.example\"]";
        let access = of_server("127.0.0.1:9000", Err(evil));
        let all = parsed(&access);
        assert_eq!(all["credentials"]["token"]["for"][0].as_str(), Some("127.0.0.1:9000"));
        assert_eq!((all["credentials"]["token"]["kind"].as_str(), all.len()), (Some("api_key"), 1));
        assert!(access.text.contains("# How one signs in is not known: it says"), "{}", access.text);
    }

    #[test]
    fn a_sign_in_that_was_found_becomes_an_entry_and_its_token_goes_to_the_server_alone() {
        let mut sign_in = SignIn {
            issuer: "https://login.a.example".to_owned(),
            authorize_url: Some("https://login.a.example/a".to_owned()),
            device_url: None,
            token_url: "https://tokens.a.example/t".to_owned(),
            registration_url: Some("https://login.a.example/r".to_owned()),
            resource: "https://mcp.a.example/mcp".to_owned(),
            scopes: vec!["read".to_owned(), "a\"]\n[network]".to_owned()],
        };
        let access = of_server("mcp.a.example", Ok(&sign_in));
        let all = parsed(&access);
        let token = &all["credentials"]["token"];
        assert_eq!((all.len(), token["for"].as_array().unwrap().len()), (1, 1));
        assert_eq!(token["for"][0].as_str(), Some("mcp.a.example"));
        assert_eq!(token["token_url"].as_str(), Some("https://tokens.a.example/t"));
        assert_eq!(token["resource"].as_str(), Some("https://mcp.a.example/mcp"));
        assert!(token.get("client_id").is_none() && access.text.contains("one is registered"));
        assert!(access.text.contains("a sign-in at https://login.a.example"), "{}", access.text);
        // With the mark before it taken away, the other entry is as good.
        let bare = access.text.split_once("this instead:\n").unwrap().1.replace("# ", "");
        assert_eq!(
            toml::from_str::<toml::Table>(&bare).unwrap()["credentials"]["token"]["kind"].as_str(),
            Some("api_key")
        );
        sign_in.registration_url = None;
        let by_hand = of_server("mcp.a.example", Ok(&sign_in));
        assert!(by_hand.text.contains("or --client-id") && parsed(&by_hand).len() == 1, "{}", by_hand.text);
    }
}
