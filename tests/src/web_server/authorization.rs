//! An authorization server for the tests: the endpoints of RFC 6749, 7591, 7636, 8414 and 8628, over TLS, as strict as a real one.
//!
//! Answers: does a program that asks for leave keep to the protocol, and what does it do when the server does not?
//! Never: gives a token without the proof that the protocol asks for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Act, Authority, Seen, Server, answer, ok, redirect};

/// Who may ask.
pub const CLIENT: &str = "secgpt-test";
/// The password of that client.
pub const SECRET: &str = "planted-client-secret";
/// Every access token begins so.
pub const ACCESS: &str = "planted-access-token";
/// Every refresh token begins so.
pub const REFRESH: &str = "planted-refresh-token";

/// The name of a service for which tokens are asked.
pub const RESOURCE: &str = "https://api.example.com/mcp";

/// What the server does out of the ordinary.
#[derive(Default)]
pub struct Manner {
    /// The person says no.
    pub denies: bool,
    /// The browser comes back with another state than it went with.
    pub other_state: bool,
    /// Said to a device that asks, one after the other, before the token.
    pub words: Vec<&'static str>,
    /// The body of a good answer with a token, instead of its own; with this status.
    pub token_answer: Option<(&'static str, &'static str)>,
    /// The body of a good answer with a device code, instead of its own.
    pub device_answer: Option<String>,
    /// Answers a question for a token with a redirect.
    pub redirects: bool,
    /// Refresh tokens that are taken no more.
    pub revoked: HashSet<String>,
    /// Codes given out, with the questions they are answers to.
    pub codes: HashMap<String, HashMap<String, String>>,
    /// For this service alone it gives tokens; who does not name it is refused (RFC 8707).
    pub resource: Option<String>,
    /// Instead of a client, with this status.
    pub register_answer: Option<(&'static str, &'static str)>,
    /// Clients that registered themselves, with what they said.
    pub registered: HashMap<String, Value>,
    /// Tokens given out.
    pub given: u32,
}

/// It.
pub struct AuthorizationServer {
    /// What was asked.
    pub server: Server,
    /// What it does.
    pub manner: Arc<Mutex<Manner>>,
}

impl AuthorizationServer {
    /// A new one, with a certificate for its address.
    ///
    /// # Panics
    /// If a test's answer panicked.
    pub async fn new(authority: &Authority, manner: Manner) -> Self {
        let manner = Arc::new(Mutex::new(manner));
        let own = Arc::clone(&manner);
        let server =
            Server::tls(authority, &["127.0.0.1"], move |seen| own.lock().unwrap().answer(seen)).await;
        Self { server, manner }
    }

    /// The address of an endpoint: `/authorize`, `/device` or `/token`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address)
    }

    /// How often a path was asked for.
    ///
    /// # Panics
    /// If an answer panicked.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        let seen = self.server.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.path().split('?').next() == Some(path)).count()
    }
}

fn fields(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// What a browser does with an address of the authorization server: goes there, and where it is sent; the page comes back.
///
/// # Panics
/// If it is not sent to a port of this machine.
pub async fn browse(authority: &Authority, url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let stream = TcpStream::connect(host).await.unwrap();
    let sent = if scheme == "https" {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(authority.trusted()));
        get(connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap(), host, path).await
    } else {
        get(stream, host, path).await
    };
    let location = |line: &str| {
        Some(line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("location"))?.1.to_owned())
    };
    let to = sent.lines().find_map(location).expect(&sent);
    let (host, path) = to.strip_prefix("http://").unwrap().split_once('/').unwrap();
    get(TcpStream::connect(host).await.unwrap(), host, path).await
}

/// The head of the answer, and as much of its body as comes with it before the server closes.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> String {
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // One that keeps the connection has said all with the end of its head.
    while stream.read_buf(&mut answer).await.unwrap_or(0) != 0 {
        if answer.windows(4).any(|four| four == b"\r\n\r\n")
            && answer.windows(9).any(|nine| nine.eq_ignore_ascii_case(b"location:"))
        {
            break;
        }
    }
    String::from_utf8(answer).unwrap()
}

/// What it says of itself (RFC 8414).
#[must_use]
pub fn metadata(host: &str) -> Value {
    let at = |path: &str| format!("https://{host}{path}");
    json!({
        "issuer": format!("https://{host}"), "authorization_endpoint": at("/authorize"),
        "device_authorization_endpoint": at("/device"), "token_endpoint": at("/token"),
        "registration_endpoint": at("/register"), "code_challenge_methods_supported": ["S256"],
        "response_types_supported": ["code"], "scopes_supported": ["read", "write", "everything"],
    })
}

fn says(status: &str, value: &Value) -> Vec<Act> {
    answer(status, &[("Content-Type", "application/json")], &value.to_string())
}

fn refuse(word: &str) -> Vec<Act> {
    answer(
        "400 Bad Request",
        &[("Content-Type", "application/json")],
        &format!(r#"{{"error":"{word}","error_description":"<b>call 555-1234</b>"}}"#),
    )
}

impl Manner {
    fn answer(&mut self, seen: &Seen) -> Vec<Act> {
        let (path, query) = seen.path().split_once('?').unwrap_or((seen.path(), ""));
        let form = fields(&String::from_utf8_lossy(&seen.body));
        let host = seen.header("host").unwrap_or_default();
        match (seen.line.split(' ').next(), path) {
            (Some("GET"), "/authorize") => self.authorize(fields(query)),
            (Some("POST"), "/device") => self.device(&form),
            (Some("POST"), "/token") => self.token(&form),
            (Some("POST"), "/register") => self.register(&seen.body),
            (Some("GET"), "/.well-known/oauth-authorization-server") => says("200 OK", &metadata(host)),
            _ => answer("404 Not Found", &[], ""),
        }
    }

    /// Is it who may ask, and may its browser come back there?
    fn knows(&self, client: Option<&String>, back: Option<&str>) -> bool {
        let Some(client) = client else { return false };
        let registered = |said: &Value| back.is_none_or(|back| said["redirect_uris"] == json!([back]));
        client == CLIENT || self.registered.get(client).is_some_and(registered)
    }

    fn is_for(&self, asked: &HashMap<String, String>) -> bool {
        self.resource.is_none() || self.resource.as_ref() == asked.get("resource")
    }

    fn register(&mut self, body: &[u8]) -> Vec<Act> {
        if let Some((status, text)) = self.register_answer {
            return answer(status, &[("Content-Type", "application/json")], text);
        }
        let Ok(said) = serde_json::from_slice::<Value>(body) else {
            return refuse("invalid_client_metadata");
        };
        let id = format!("registered-{}", self.registered.len() + 1);
        self.registered.insert(id.clone(), said);
        says("201 Created", &json!({"client_id": id, "client_id_issued_at": 1, "client_name": "secgpt"}))
    }

    fn authorize(&mut self, asked: HashMap<String, String>) -> Vec<Act> {
        let is = |name: &str, value: &str| asked.get(name).is_some_and(|given| given == value);
        let known = self.knows(asked.get("client_id"), asked.get("redirect_uri").map(String::as_str));
        if !known
            || !self.is_for(&asked)
            || !is("response_type", "code")
            || !is("code_challenge_method", "S256")
        {
            return answer("400 Bad Request", &[], "not a request for a code with PKCE");
        }
        let state = if self.other_state { "another" } else { &asked["state"] };
        let mut to = url::Url::parse(&asked["redirect_uri"]).unwrap();
        assert_eq!(to.host_str(), Some("127.0.0.1"));
        let (name, value) = if self.denies { ("error", "access_denied") } else { ("code", "code-1") };
        to.query_pairs_mut().append_pair(name, value).append_pair("state", state);
        self.codes.insert("code-1".into(), asked);
        redirect(302, to.as_str())
    }

    fn device(&mut self, form: &HashMap<String, String>) -> Vec<Act> {
        match (&self.device_answer, form.get("client_id").map(String::as_str)) {
            (Some(text), _) => ok(text),
            (None, Some(_)) if !self.is_for(form) => refuse("invalid_target"),
            (None, Some(_)) if self.knows(form.get("client_id"), None) => ok(
                r#"{"device_code":"planted-device-code","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device",
                    "verification_uri_complete":"https://example.com/device?user_code=WDJB-MJHT","expires_in":900,"interval":1}"#,
            ),
            _ => refuse("invalid_client"),
        }
    }

    fn token(&mut self, form: &HashMap<String, String>) -> Vec<Act> {
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if self.redirects {
            return redirect(307, "/elsewhere");
        }
        if !self.is_for(form) {
            return refuse("invalid_target");
        }
        let known = self.knows(form.get("client_id"), None);
        if !known || form.get("client_secret").is_some_and(|secret| secret != SECRET) {
            return refuse("invalid_client");
        }
        match field("grant_type") {
            "authorization_code" => {
                // A code is good once, for whoever has the verifier.
                let Some(asked) = self.codes.remove(field("code")) else { return refuse("invalid_grant") };
                let proof =
                    BASE64URL_NOPAD.encode(digest(&SHA256, field("code_verifier").as_bytes()).as_ref());
                if field("client_id") != asked["client_id"] {
                    return refuse("invalid_grant");
                }
                if proof != asked["code_challenge"] || field("redirect_uri") != asked["redirect_uri"] {
                    return refuse("invalid_grant");
                }
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                if field("device_code") != "planted-device-code" {
                    return refuse("invalid_grant");
                }
                if !self.words.is_empty() {
                    return refuse(self.words.remove(0));
                }
            }
            "refresh_token" => {
                let token = field("refresh_token");
                if !token.starts_with(REFRESH) || self.revoked.contains(token) {
                    return refuse("invalid_grant");
                }
            }
            _ => return refuse("unsupported_grant_type"),
        }
        self.given += 1;
        let given = self.given;
        match self.token_answer {
            Some((status, text)) => answer(status, &[("Content-Type", "application/json")], text),
            None => ok(&format!(
                r#"{{"access_token":"{ACCESS}-{given}","token_type":"bearer","expires_in":3600,"refresh_token":"{REFRESH}-{given}","scope":"read"}}"#
            )),
        }
    }
}
