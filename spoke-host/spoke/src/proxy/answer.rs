//! The proxy's own answers.
//!
//! Answers: how is a program told that its connection or request did not work out?
//! Never: says that a server said it; waits long for a program that does not read.
//! Carries: I-16.

use std::time::Duration;

use bus::message::egress::{WebError, WebFailure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a program has to take the answer.
const TO_HEAR: Duration = Duration::from_secs(2);

/// The longest sentence, characters. Most programs show the line of the status, and nothing else of a proxy's answer.
const SENTENCE: usize = 300;

/// An answer of the proxy's own.
#[derive(Debug, PartialEq)]
pub(super) struct No {
    pub(super) status: u16,
    /// One sentence.
    why: String,
}

impl No {
    pub(super) fn new(status: u16, why: String) -> Self {
        Self { status, why }
    }

    /// What the gateway said: 403 if the rules are against it, 502 if it failed.
    pub(super) fn of(failure: &WebFailure) -> Self {
        let status = match failure.code {
            WebError::Rules | WebError::Address | WebError::Request | WebError::Hello => 403,
            WebError::Busy => 503,
            _ => 502,
        };
        Self::new(status, failure.detail.clone())
    }

    fn text(&self) -> String {
        let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let why: String = self.why.chars().take(SENTENCE).map(plain).collect();
        let Self { status, .. } = self;
        format!(
            "HTTP/1.1 {status} {why}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}\n",
            why.len() + 1
        )
    }
}

/// Says it, and closes in good order.
pub(super) async fn refuse(mut stream: TcpStream, no: &No) {
    let said = async {
        stream.write_all(no.text().as_bytes()).await?;
        stream.shutdown().await?;
        // What is unread when a connection is closed breaks it off, and the answer with it.
        let mut rest = [0; 4096];
        while 0 < stream.read(&mut rest).await? {}
        std::io::Result::Ok(())
    };
    // Whoever does not listen need not be told.
    let _ = timeout(TO_HEAR, said).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_in_the_line_of_the_status_and_cannot_add_to_the_head() {
        let detail = "a.example is not named\r\nX-Evil: 1";
        let text = No::of(&WebFailure::new(WebError::Rules, detail)).text();
        assert!(text.starts_with("HTTP/1.1 403 a.example is not named??X-Evil: 1\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\na.example is not named??X-Evil: 1\n"), "{text}");
    }

    #[test]
    fn a_refusal_and_a_failure_are_told_apart() {
        let status = |code| No::of(&WebFailure::new(code, "")).status;
        assert_eq!([WebError::Rules, WebError::Address].map(status), [403, 403]);
        assert_eq!([WebError::Name, WebError::Connect, WebError::Timeout].map(status), [502, 502, 502]);
        assert_eq!(status(WebError::Busy), 503);
    }
}
