//! The app's standard input and output as frames of its protocol: a JSON object a line.
//!
//! Answers: what is the app's next message?
//! Never: holds more than one line of bounded length; lets an app that writes garbage, or talks without being asked,
//! go on for ever.
//! Carries: I-16.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::model::{JsonRpcMessage, ServerRequest};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::Mutex;

use super::Undertaker;

/// The longest line, bytes: no message on the bus is larger.
const MAX_LINE: usize = 1 << 20;

/// Lines that are no messages: some programs greet the world on the wrong channel.
const MAX_GARBAGE: u32 = 100;

/// Requests from the app over its whole life. All are answered, so they cost.
const MAX_REQUESTS: u32 = 10_000;

/// Room that is kept between messages, bytes.
const KEPT: usize = 16 << 10;

/// The two pipes.
pub(crate) struct Frames {
    stdout: pipe::Receiver,
    /// What came in and is not a whole line yet.
    pending: Vec<u8>,
    /// How much of `pending` was looked through for a line's end.
    seen: usize,
    garbage: u32,
    requests: u32,
    stdin: Arc<Mutex<pipe::Sender>>,
    undertaker: Undertaker,
}

impl Frames {
    pub(super) fn new(stdout: pipe::Receiver, stdin: pipe::Sender, undertaker: Undertaker) -> Self {
        let stdin = Arc::new(Mutex::new(stdin));
        Self { stdout, pending: Vec::new(), seen: 0, garbage: 0, requests: 0, stdin, undertaker }
    }

    /// The next whole line that is buffered, without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.pending.get(self.seen..)?.iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.seen + end) else {
            self.seen = self.pending.len();
            return None;
        };
        let rest = self.pending.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.pending, rest);
        self.seen = 0;
        line.pop();
        Some(line)
    }

    /// What a line says; `None` for what is passed over.
    fn read(&mut self, line: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        match serde_json::from_slice(line) {
            // Nobody here wants to be notified of anything.
            Ok(JsonRpcMessage::Notification(_)) => None,
            Ok(JsonRpcMessage::Request(request)) => {
                self.requests += 1;
                // Only the protocol's sign of life is answered; an app has nothing to ask of us.
                matches!(request.request, ServerRequest::PingRequest(_))
                    .then_some(JsonRpcMessage::Request(request))
            }
            Ok(message) => Some(message),
            Err(_) => {
                self.garbage += 1;
                None
            }
        }
    }

    fn broken(&self) -> Option<String> {
        if MAX_GARBAGE < self.garbage {
            return Some(format!("wrote more than {MAX_GARBAGE} lines that are not its protocol"));
        }
        if MAX_REQUESTS < self.requests {
            return Some(format!("made more than {MAX_REQUESTS} requests of its own"));
        }
        (MAX_LINE < self.pending.len()).then(|| format!("wrote a line of more than {MAX_LINE} bytes"))
    }
}

impl Transport<RoleClient> for Frames {
    type Error = Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let stdin = Arc::clone(&self.stdin);
        async move {
            let mut line =
                serde_json::to_vec(&message).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            line.push(b'\n');
            stdin.lock().await.write_all(&line).await
        }
    }

    /// May be dropped at any await without losing a byte.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            while let Some(line) = self.line() {
                let message = self.read(&line);
                if let Some(how) = self.broken() {
                    self.undertaker.nonsense(&how);
                    return None;
                }
                if message.is_some() {
                    return message;
                }
            }
            if let Some(how) = self.broken() {
                self.undertaker.nonsense(&how);
                return None;
            }
            if self.pending.is_empty() && KEPT < self.pending.capacity() {
                self.pending = Vec::new();
            }
            self.pending.reserve(4 << 10);
            match self.stdout.read_buf(&mut self.pending).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
