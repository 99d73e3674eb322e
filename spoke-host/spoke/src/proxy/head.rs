//! The head of a request to the proxy.
//!
//! Answers: what does the program ask for?
//! Never: holds more than a bounded head; takes one that could be read in two ways.
//! Carries: I-16.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::answer::No;

/// The longest head, bytes. The gateway takes as much of headers.
const MOST: usize = 32 << 10;

/// Header lines. The gateway takes as many.
const LINES: usize = 64;

/// A head that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) method: String,
    /// As written: a URL, or `host:port` for CONNECT.
    pub(super) target: String,
    /// HTTP/1.0 knows no pieces.
    pub(super) old: bool,
    pub(super) headers: Vec<(String, String)>,
    /// What came behind the head already.
    pub(super) rest: BytesMut,
}

impl Asked {
    /// All values under a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a head; `None` if the connection was closed before its first byte.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Asked>, No> {
    let mut bytes = BytesMut::with_capacity(4 << 10);
    loop {
        let count = from.read_buf(&mut bytes).await.unwrap_or(0);
        if count == 0 && bytes.is_empty() {
            return Ok(None);
        }
        if let Some(asked) = parse(&bytes)? {
            return Ok(Some(asked));
        }
        if MOST <= bytes.len() {
            return Err(No::new(431, format!("the request has a head of more than {MOST} bytes")));
        }
        if count == 0 {
            return Err(No::new(400, "the request ended before its head".to_owned()));
        }
    }
}

/// A head at the beginning of these bytes; `None` while it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<Asked>, No> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut request = httparse::Request::new(&mut lines);
    let wrong = |error: httparse::Error| match error {
        httparse::Error::TooManyHeaders => No::new(431, format!("the request has more than {LINES} headers")),
        error => No::new(400, format!("this is no HTTP request: {error}")),
    };
    let length = match request.parse(bytes).map_err(wrong)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let headers = request
        .headers
        .iter()
        .map(|header| match std::str::from_utf8(header.value) {
            Ok(value) => Ok((header.name.to_owned(), value.to_owned())),
            Err(_) => Err(No::new(400, format!("the header {} is not text", header.name))),
        })
        .collect::<Result<_, _>>()?;
    Ok(Some(Asked {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        old: request.version == Some(0),
        headers,
        rest: BytesMut::from(bytes.get(length..).unwrap_or_default()),
    }))
}

/// Host and port of a CONNECT; whether they are good, the gateway says.
pub(super) fn authority(target: &str) -> Option<(String, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    let whole = !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (whole && plain).then(|| Some((host.to_owned(), port.parse().ok()?)))?
}

/// Reads a body of this length, of which a part may be here already.
pub(super) async fn body(
    from: &mut (impl AsyncRead + Unpin),
    mut have: BytesMut,
    length: usize,
) -> Result<Bytes, No> {
    have.truncate(length);
    while have.len() < length {
        let mut more = from.take((length - have.len()) as u64);
        if more.read_buf(&mut have).await.unwrap_or(0) == 0 {
            return Err(No::new(400, "the request ended before its body".to_owned()));
        }
    }
    Ok(have.copy_to_bytes(length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<Asked>, No> {
        parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_when_it_is_whole_and_what_follows_is_kept() {
        assert_eq!(of("CONNECT a.example:443 HTTP/1.1\r\nHost: a").unwrap(), None);
        let asked = of("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n\x16\x03").unwrap().unwrap();
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("CONNECT", "a.example:443"));
        assert_eq!(&asked.rest[..], b"\x16\x03");
        assert_eq!(asked.all("host").collect::<Vec<_>>(), ["a.example"]);
    }

    #[test]
    fn what_is_no_request_is_said_to_be_none() {
        for text in ["\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "GET / HTTP/1.1\r\na b: c\r\n\r\n"] {
            assert_eq!(of(text).unwrap_err().status, 400, "{text:?}");
        }
        let many = format!("GET http://a.example/ HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(LINES + 1));
        assert_eq!(of(&many).unwrap_err().status, 431);
    }

    #[test]
    fn a_target_is_a_host_with_a_port_or_nothing() {
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(authority("a.example:443"), some("a.example", 443));
        assert_eq!(authority("[::1]:8443"), some("[::1]", 8443));
        for wrong in
            ["", "a.example", ":443", "a.example:", "a.example:+443", "a.example:70000", "::1:443", "a:b:1"]
        {
            assert_eq!(authority(wrong), None, "{wrong}");
        }
    }
}
