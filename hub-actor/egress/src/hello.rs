//! The first bytes of a tunnel: for which host is this TLS connection?
//!
//! Answers: is it a complete TLS hello for exactly that host?
//! Never: takes what a server could read otherwise: two names, a fragment too many, an encrypted name.
//! Carries: I-12. Reads bytes from an app: bounded, without allocation by what the bytes claim, tried on arbitrary input.

/// The longest hello that is read, bytes. With post-quantum keys they take about 1.8 KiB.
pub const LONGEST: usize = 16 << 10;

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The beginning of a hello; more is needed.
    More,
    /// A hello for this name, lower case.
    For(String),
    /// Nothing that may pass.
    Refused(&'static str),
}

/// Reads what an app sent first.
#[must_use]
pub fn read(bytes: &[u8]) -> Reading {
    match handshake(bytes) {
        Ok(hello) => match name(&hello) {
            Some(Ok(name)) => Reading::For(name),
            Some(Err(why)) => Reading::Refused(why),
            None => Reading::Refused("the TLS hello is damaged"),
        },
        Err(reading) => reading,
    }
}

/// The hello's body, put together from the records that carry it.
fn handshake(bytes: &[u8]) -> Result<Vec<u8>, Reading> {
    let refuse = |why| Err(Reading::Refused(why));
    let (mut rest, mut message) = (Bytes(bytes), Vec::new());
    loop {
        match rest.0.first() {
            None => {}
            Some(22) => {}
            Some(_) => return refuse("it is not TLS"),
        }
        if rest.0.get(1).is_some_and(|&major| major != 3) || rest.0.get(2).is_some_and(|&minor| 4 < minor) {
            return refuse("it is not TLS");
        }
        let record = match (rest.take(3), rest.block16()) {
            (Some(_), Some(record)) => record,
            _ if bytes.len() < LONGEST => return Err(Reading::More),
            _ => return refuse("the TLS hello is too long"),
        };
        if record.0.is_empty() {
            return refuse("the TLS hello has an empty record");
        }
        message.extend_from_slice(record.0);
        if message.first() != Some(&1) {
            return refuse("it does not begin with a TLS hello");
        }
        if LONGEST < message.len() {
            return refuse("the TLS hello is too long");
        }
        let mut body = Bytes(&message);
        if let (Some(_), Some(length)) = (body.take(1), body.u24()) {
            if LONGEST < length {
                return refuse("the TLS hello is too long");
            }
            if body.0.len() == length {
                return Ok(body.0.to_vec());
            }
            if length < body.0.len() {
                return refuse("more than a TLS hello comes before the server's answer");
            }
        }
    }
}

/// The one server name of a hello. `None` if it is damaged.
fn name(hello: &[u8]) -> Option<Result<String, &'static str>> {
    let mut hello = Bytes(hello);
    hello.take(2 + 32)?; // version, random
    hello.block8()?; // session
    hello.block16()?; // cipher suites
    hello.block8()?; // compression
    if hello.0.is_empty() {
        return Some(Err("the TLS hello names no server"));
    }
    let mut extensions = hello.block16()?;
    if !hello.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let (kind, mut body) = (extensions.u16()?, extensions.block16()?);
        match kind {
            0 if found.is_some() => return Some(Err("the TLS hello names two servers")),
            0 => {
                let mut list = body.block16()?;
                let (kind, text) = (list.take(1)?, list.block16()?);
                if kind.first() != Some(&0) || !list.0.is_empty() || !body.0.is_empty() {
                    return Some(Err("the TLS hello names two servers, or one in another form"));
                }
                found = Some(text.0);
            }
            0xfe0d | 0xffce => {
                return Some(Err("the TLS hello may hide the server's name (ECH); switch it off in the app"));
            }
            _ => {}
        }
    }
    let Some(text) = found else { return Some(Err("the TLS hello names no server")) };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.is_empty() || 253 < text.len() || !text.iter().all(plain) {
        return Some(Err("the server's name in the TLS hello is none"));
    }
    Some(Ok(String::from_utf8_lossy(text).to_ascii_lowercase()))
}

/// A reader that never reads beyond its end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, count: usize) -> Option<usize> {
        Some(self.take(count)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn u16(&mut self) -> Option<usize> {
        self.number(2)
    }

    fn u24(&mut self) -> Option<usize> {
        self.number(3)
    }

    fn block8(&mut self) -> Option<Bytes<'a>> {
        let length = self.number(1)?;
        self.take(length).map(Bytes)
    }

    fn block16(&mut self) -> Option<Bytes<'a>> {
        let length = self.u16()?;
        self.take(length).map(Bytes)
    }
}

#[cfg(test)]
mod tests;
