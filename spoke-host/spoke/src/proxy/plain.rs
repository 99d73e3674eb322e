//! A request that is no tunnel: the program names a whole URL to its proxy.
//!
//! Answers: how does it become a fetch, and the fetch an answer?
//! Never: hands on what belongs to the program's own connection; says that a body is whole that was cut.
//! Carries: I-12, I-16.

use std::time::Duration;

use bus::message::egress::{MAX_REQUEST_BODY, WebFailure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{No, refuse};
use super::head::{self, Asked};
use super::{Proxy, TO_ASK};
use crate::web::{Answer, Ask};

/// All of an answer; the gateway's own limit is the same.
const WHOLE: Duration = Duration::from_secs(180);

/// For the program to take a piece.
const TO_TAKE: Duration = Duration::from_secs(30);

/// What belongs to the connection, or is the gateway's to write: taken out, because every program sends some of it.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) async fn run(proxy: &Proxy, mut stream: TcpStream, mut asked: Asked) {
    let ask = match timeout(TO_ASK, to_ask(&mut stream, &mut asked)).await {
        Ok(Ok(ask)) => ask,
        Ok(Err(no)) => return refuse(stream, &no).await,
        Err(_) => {
            let no = No::new(408, format!("the body did not come within {TO_ASK:?}"));
            return refuse(stream, &no).await;
        }
    };
    let bodiless = ask.method == "HEAD";
    match proxy.web.fetch(None, ask, WHOLE).await {
        // A connection that breaks off tells the program that the body is not whole.
        Ok(answer) => _ = hand_on(&mut stream, answer, bodiless, asked.old).await,
        Err(failure) => refuse(stream, &No::of(&failure)).await,
    }
}

/// What the gateway is asked for.
async fn to_ask(stream: &mut TcpStream, asked: &mut Asked) -> Result<Ask, No> {
    if asked.all("transfer-encoding").next().is_some() {
        return Err(No::new(411, "this proxy takes a body with its length only".to_owned()));
    }
    let length = match asked.all("content-length").collect::<Vec<_>>().as_slice() {
        [] => 0,
        [one] => one.parse().map_err(|_| No::new(400, "the length of the body is no number".to_owned()))?,
        _ => return Err(No::new(400, "the request has several lengths".to_owned())),
    };
    if MAX_REQUEST_BODY < length {
        return Err(No::new(413, format!("a body of more than {MAX_REQUEST_BODY} bytes is not taken")));
    }
    if 0 < length && asked.all("expect").any(|what| what.eq_ignore_ascii_case("100-continue")) {
        // If it is not heard, the body does not come either.
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
    let body = head::body(stream, std::mem::take(&mut asked.rest), length).await?;
    Ok(Ask { method: asked.method.clone(), url: asked.target.clone(), headers: kept(asked), body })
}

/// The headers that are for the server.
fn kept(asked: &Asked) -> Vec<(String, String)> {
    let also: Vec<String> = asked
        .all("connection")
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    asked
        .headers
        .iter()
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !OURS.contains(&name.as_str()) && !name.starts_with("proxy-") && !also.contains(&name)
        })
        .cloned()
        .collect()
}

/// Head and body to the program: in pieces, so that a body that was cut is not taken for a whole one.
async fn hand_on(stream: &mut TcpStream, mut answer: Answer, bodiless: bool, old: bool) -> Result<(), Cut> {
    let pieces = !bodiless && !old && !matches!(answer.status, 204 | 304);
    write(stream, start(&answer, pieces, bodiless).as_bytes()).await?;
    while let Some(bytes) = answer.chunk().await? {
        if pieces {
            write(stream, format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
        }
        write(stream, &bytes).await?;
        if pieces {
            write(stream, b"\r\n").await?;
        }
    }
    if pieces {
        write(stream, b"0\r\n\r\n").await?;
    }
    stream.shutdown().await?;
    Ok(())
}

fn start(answer: &Answer, pieces: bool, bodiless: bool) -> String {
    let mut text = format!("HTTP/1.1 {} \r\n", answer.status);
    for (name, value) in answer.headers() {
        let length = name.eq_ignore_ascii_case("content-length");
        let framing = ["connection", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own));
        if !framing && (!length || bodiless) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if pieces {
        text.push_str("Transfer-Encoding: chunked\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Cut> {
    Ok(timeout(TO_TAKE, stream.write_all(bytes)).await.map_err(|_| Cut)??)
}

/// The program or the server did not come to its end.
struct Cut;

impl From<std::io::Error> for Cut {
    fn from(_: std::io::Error) -> Self {
        Cut
    }
}

impl From<WebFailure> for Cut {
    fn from(_: WebFailure) -> Self {
        Cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_stays_here() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let asked = Asked {
            method: "GET".to_owned(),
            target: "http://a.example/".to_owned(),
            old: false,
            headers: vec![
                header("Host", "a.example"),
                header("Accept", "*/*"),
                header("Accept-Encoding", "gzip"),
                header("Connection", "keep-alive, X-Hop"),
                header("x-hop", "1"),
                header("Proxy-Connection", "keep-alive"),
                header("Proxy-Authorization", "Basic eA=="),
                header("Authorization", "Bearer x"),
            ],
            rest: Default::default(),
        };
        assert_eq!(kept(&asked), [header("Accept", "*/*"), header("Authorization", "Bearer x")]);
    }
}
