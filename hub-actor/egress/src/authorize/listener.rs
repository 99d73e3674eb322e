//! The port of this machine that a browser comes back to.
//!
//! Answers: which code did it bring, if it is the answer to our question?
//! Never: listens on another address than loopback; takes a second answer; shows a page with words of a stranger.
//! Carries: I-15, I-16. The first request for the callback's path decides, good or bad. Others are answered `404`.

use std::io;
use std::time::Duration;

use bus::secret::Secret;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::form_urlencoded;

use super::{AuthorizeError, refused};
use crate::credential::oauth::protocol_word;

/// Where the browser comes back to.
const PATH: &str = "/callback";

/// The largest head of a request, bytes. A code and a state have some hundred.
const HEAD: usize = 16 << 10;

/// The longest code that is taken, bytes.
const LONGEST_CODE: usize = 4 << 10;

/// How long a browser may take to say what it wants. Some open connections that they may not use.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections at once. A browser opens a handful.
const CONNECTIONS: usize = 16;

/// A free port of loopback.
pub(super) struct Listener(TcpListener);

/// A request for the callback's path, not yet answered.
struct Came {
    stream: TcpStream,
    query: String,
}

impl Listener {
    pub(super) async fn bind() -> io::Result<Self> {
        Ok(Self(TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?))
    }

    /// The URL that the server is told. An address, since `localhost` may be another (RFC 8252, section 8.3).
    pub(super) fn address(&self) -> io::Result<String> {
        Ok(format!("http://{}{PATH}", self.0.local_addr()?))
    }

    /// Waits for the one request that counts. The caller has the deadline.
    pub(super) async fn code(self, state: &str) -> Result<Secret, AuthorizeError> {
        let own = self.0.local_addr().map_err(AuthorizeError::Listen)?.to_string();
        let mut reading = FuturesUnordered::new();
        let mut came = loop {
            tokio::select! {
                accepted = self.0.accept(), if reading.len() < CONNECTIONS => {
                    let (stream, _) = accepted.map_err(AuthorizeError::Listen)?;
                    reading.push(timeout(PATIENCE, read(stream, &own)));
                }
                Some(done) = reading.next() => if let Ok(Some(came)) = done {
                    break came;
                }
            }
        };
        let code = judge(&came.query, state);
        let page = if code.is_ok() { GOOD } else { BAD };
        // A browser that does not wait for the page has brought its answer all the same.
        let _ = timeout(PATIENCE, answer(&mut came.stream, "200 OK", page)).await;
        code
    }
}

/// Reads a request; `None` for one that does not count, which is answered here.
async fn read(mut stream: TcpStream, own: &str) -> Option<Came> {
    let mut head = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let host = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
                // A page elsewhere whose name was made to lead here would have its own name in it.
                let here = host.is_some_and(|host| host.value == own.as_bytes());
                let path = request.path.unwrap_or_default().to_owned();
                let (path, query) = path.split_once('?').unwrap_or((&path, ""));
                if here && request.method == Some("GET") && path == PATH {
                    return Some(Came { query: query.to_owned(), stream });
                }
                let _ = answer(&mut stream, "404 Not Found", NOTHING).await;
                return None;
            }
            Ok(httparse::Status::Partial) if head.len() < HEAD => {}
            _ => return None,
        }
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
}

/// The code, if it is the answer to our question.
fn judge(query: &str, state: &str) -> Result<Secret, AuthorizeError> {
    let one = |wanted: &str| {
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.into_owned())),
            (_, Some(_)) => Err(AuthorizeError::Callback("it says one thing twice")),
        }
    };
    // Before anything else is believed.
    if one("state")?.as_deref() != Some(state) {
        return Err(AuthorizeError::State);
    }
    if let Some(word) = one("error")? {
        return Err(refused(protocol_word(&word, 400)));
    }
    match one("code")? {
        Some(code) if !code.is_empty() && code.len() <= LONGEST_CODE => Ok(Secret::new(code)),
        _ => Err(AuthorizeError::Callback("it has no code")),
    }
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>secgpt</title><p>{text}</p></html>"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

const GOOD: &str = "Leave was given. You can close this page; the terminal says how it went on.";
const BAD: &str = "Nothing was stored; the terminal says why. You can close this page.";
const NOTHING: &str = "There is nothing here.";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(query: &str) -> String {
        match judge(query, "right") {
            Ok(code) => format!("code {}", code.expose()),
            Err(error) => error.to_string().split([':', '(']).next().unwrap_or_default().trim().to_owned(),
        }
    }

    #[test]
    fn only_the_answer_to_our_question_is_taken() {
        let other = "what came back from the browser was not the answer to this question";
        let none = "what came back from the browser is no answer";
        for (query, expected) in [
            ("state=right&code=abc", "code abc"),
            ("code=a%2Fb&state=right&scope=x", "code a/b"),
            ("state=wrong&code=abc", other),
            ("code=abc", other),
            ("", other),
            ("state=&code=abc", other),
            ("state=right&state=wrong&code=abc", none),
            ("state=right&code=abc&code=def", none),
            ("state=right", none),
            ("state=right&code=", none),
            ("state=wrong&error=access_denied", other),
            ("state=right&error=access_denied", "it was refused at the authorization server"),
            ("state=right&error=server_error&code=abc", "the authorization server answers server_error"),
            (
                "state=right&error=<script>alert(1)</script>",
                "the authorization server answers 400, and no known word",
            ),
        ] {
            assert_eq!(word(query), expected, "{query}");
        }
        assert_eq!(word(&format!("state=right&code={}", "a".repeat(LONGEST_CODE + 1))), none);
    }

    proptest! {
        #[test]
        fn no_query_without_our_state_is_taken(query in "[a-z0-9=&%+;]{0,60}") {
            prop_assert!(judge(&query, "a state that was not guessed").is_err());
        }
    }
}
