//! A bare connection to a broker: the NATS protocol by hand.
//!
//! Answers: what exactly does the broker say to this line?
//! Never: holds back what a client library would; a hostile program has no manners.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bus::identity::Credential;
use nkeys::KeyPair;

/// How long the broker has for an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// A connection.
pub struct Raw {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// Messages that came in and were not looked at yet.
    messages: Vec<RawMessage>,
}

/// A message as the broker delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Where it was sent to.
    pub subject: String,
    /// The subscription's number.
    pub sid: u64,
    /// Headers and body.
    pub bytes: Vec<u8>,
}

impl Raw {
    /// Connects, with a credential or without.
    ///
    /// # Errors
    /// What the broker says when it does not let it in; `closed` if it says nothing.
    pub fn connect(url: &str, credential: Option<&Credential>) -> Result<Self, String> {
        let address = url.strip_prefix("nats://").unwrap_or(url);
        let writer = TcpStream::connect(address).map_err(|error| error.to_string())?;
        // Lines are small and each waits for its answer: without this, each also waits for a timer of the kernel.
        writer.set_nodelay(true).map_err(|error| error.to_string())?;
        writer.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
        let reader = BufReader::new(writer.try_clone().map_err(|error| error.to_string())?);
        let mut raw = Self { reader, writer, messages: Vec::new() };
        let info = raw.line()?;
        let info: serde_json::Value =
            serde_json::from_str(info.strip_prefix("INFO ").unwrap_or_default()).unwrap_or_default();
        let mut connect = serde_json::json!({
            "verbose": false, "pedantic": false, "lang": "test", "version": "0", "protocol": 1,
            "headers": true, "no_responders": true, "echo": true,
        });
        if let Some(credential) = credential {
            let key = KeyPair::from_seed(credential.seed.expose()).expect("a key");
            let nonce = info["nonce"].as_str().unwrap_or_default();
            let signature = key.sign(nonce.as_bytes()).expect("a signature");
            connect["jwt"] = credential.jwt.clone().into();
            connect["sig"] = data_encoding::BASE64URL_NOPAD.encode(&signature).into();
        }
        raw.send(format!("CONNECT {connect}\r\n").as_bytes());
        let errors = raw.settle()?;
        match errors.into_iter().next() {
            None => Ok(raw),
            Some(error) => Err(error),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        // A connection that the broker has closed shows in what is read next.
        let _ = self.writer.write_all(bytes);
    }

    /// Sends bytes as they are, and says whether the connection took them.
    ///
    /// # Errors
    /// If the broker has closed it.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Publishes, and says what the broker has against it.
    pub fn publish(&mut self, subject: &str, reply: Option<&str>, body: &[u8]) -> Result<(), String> {
        let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
        let mut line = format!("PUB {subject} {reply}{}\r\n", body.len()).into_bytes();
        line.extend_from_slice(body);
        line.extend_from_slice(b"\r\n");
        self.send(&line);
        self.verdict()
    }

    /// Subscribes, and says what the broker has against it.
    pub fn subscribe(&mut self, pattern: &str, queue: Option<&str>, sid: u64) -> Result<(), String> {
        let queue = queue.map(|queue| format!("{queue} ")).unwrap_or_default();
        self.send(format!("SUB {pattern} {queue}{sid}\r\n").as_bytes());
        self.verdict()
    }

    /// Gives up a subscription.
    pub fn unsubscribe(&mut self, sid: u64) {
        self.send(format!("UNSUB {sid}\r\n").as_bytes());
    }

    /// Waits for the broker to close the connection, and returns its last complaint, or `closed`.
    ///
    /// # Panics
    /// If it does not within ten seconds.
    pub fn closed(&mut self) -> String {
        let mut last = "closed".to_owned();
        loop {
            match self.line() {
                Ok(line) if line == "PING" => self.send(b"PONG\r\n"),
                Ok(line) => {
                    if let Some(error) = line.strip_prefix("-ERR ") {
                        last = error.trim_matches('\'').to_owned();
                    }
                }
                Err(closed) if closed == "closed" => return last,
                Err(other) => panic!("the broker did not close the connection: {other}"),
            }
        }
    }

    fn verdict(&mut self) -> Result<(), String> {
        match self.settle()?.into_iter().next() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Waits until the broker has handled all that was sent, and returns its complaints, in order.
    ///
    /// # Errors
    /// If the broker closed the connection: with its last complaint, or `closed`.
    pub fn settle(&mut self) -> Result<Vec<String>, String> {
        self.send(b"PING\r\n");
        let mut errors = Vec::new();
        loop {
            let line = match self.line() {
                Ok(line) => line,
                Err(closed) => return Err(errors.pop().unwrap_or(closed)),
            };
            if line == "PONG" {
                return Ok(errors);
            } else if line == "PING" {
                self.send(b"PONG\r\n");
            } else if let Some(error) = line.strip_prefix("-ERR ") {
                errors.push(error.trim_matches('\'').to_owned());
            } else if line.starts_with("MSG ") || line.starts_with("HMSG ") {
                self.message(&line)?;
            }
        }
    }

    /// The messages that came in until the broker has handled all that was sent.
    ///
    /// # Errors
    /// As [`Raw::settle`].
    pub fn messages(&mut self) -> Result<Vec<RawMessage>, String> {
        self.settle()?;
        Ok(std::mem::take(&mut self.messages))
    }

    fn message(&mut self, line: &str) -> Result<(), String> {
        let tokens: Vec<&str> = line.split_ascii_whitespace().collect();
        let size: usize =
            tokens.last().and_then(|size| size.parse().ok()).ok_or("a message without a size")?;
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        bytes.truncate(size);
        let sid = tokens.get(2).and_then(|sid| sid.parse().ok()).ok_or("a message without a number")?;
        self.messages.push(RawMessage { subject: tokens[1].to_owned(), sid, bytes });
        Ok(())
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Err("closed".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Err("closed".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
