//! The app's standard input and output as frames of its protocol: a JSON object a line.
//!
//! Answers: what is the app's next message?
//! Never: holds more than one line of bounded length; lets an app that writes garbage, or talks without being asked,
//! go on for ever; lets a call wait for an answer that came and cannot be read.
//! Carries: I-16.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::RoleClient;
use rmcp::model::{ErrorData, JsonRpcMessage, RequestId, ServerNotification};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::Mutex;

use super::Undertaker;
use super::stderr::Says;

/// The longest line, bytes: no message on the bus is larger.
const MAX_LINE: usize = 1 << 20;

/// Lines that are no messages, in one [`WHILE`]: some programs greet the world on the wrong channel.
const MAX_GARBAGE: u32 = 100;

/// Notifications in one [`WHILE`]: a server that is at work tells of it some times a second.
const MAX_NOTICES: u32 = 20_000;

/// For how long garbage and notifications are counted together.
const WHILE: Duration = Duration::from_secs(10);

/// Requests from the app over its whole life. All are answered, so they cost.
const MAX_REQUESTS: u32 = 10_000;

/// Times that an app may say that its tools have changed, over its whole life. Each is looked at.
const MAX_CHANGES: u32 = 1000;

/// Room that is kept between messages, bytes.
const KEPT: usize = 16 << 10;

/// The two pipes.
pub(crate) struct Frames {
    stdout: pipe::Receiver,
    /// What came in and is not a whole line yet.
    pending: Vec<u8>,
    /// How much of `pending` was looked through for a line's end.
    seen: usize,
    /// Messages of a line that held several.
    batch: VecDeque<RxJsonRpcMessage<RoleClient>>,
    counted: Counted,
    stdin: Arc<Mutex<pipe::Sender>>,
    says: Option<Says>,
    undertaker: Undertaker,
}

/// How much the app says unasked.
struct Counted {
    since: Instant,
    garbage: u32,
    notices: u32,
    requests: u32,
    changes: u32,
}

impl Counted {
    fn broken(&self) -> Option<String> {
        let over = [
            (self.garbage, MAX_GARBAGE, "wrote more than {} lines in 10 s that are not its protocol"),
            (self.notices, MAX_NOTICES, "wrote more than {} notifications in 10 s"),
            (self.requests, MAX_REQUESTS, "made more than {} requests of its own"),
            (self.changes, MAX_CHANGES, "changed its tools more than {} times"),
        ];
        let (_, most, how) = over.into_iter().find(|(count, most, _)| most < count)?;
        Some(how.replace("{}", &most.to_string()))
    }
}

/// What an answer that cannot be read still says: whose it is.
#[derive(Deserialize)]
struct Whose {
    id: RequestId,
    #[serde(default)]
    method: Option<serde::de::IgnoredAny>,
}

impl Frames {
    pub(super) fn new(stdout: pipe::Receiver, stdin: pipe::Sender, undertaker: Undertaker) -> Self {
        let counted = Counted { since: Instant::now(), garbage: 0, notices: 0, requests: 0, changes: 0 };
        Self {
            stdout,
            pending: Vec::new(),
            seen: 0,
            batch: VecDeque::new(),
            counted,
            stdin: Arc::new(Mutex::new(stdin)),
            says: None,
            undertaker,
        }
    }

    /// Has lines logged that are none of the protocol's: some programs speak on the wrong channel.
    pub(super) fn logging(mut self, says: Says) -> Self {
        self.says = Some(says);
        self
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

    /// What a line says; `None` for what is passed over. An older version of the protocol has several messages a line.
    fn read(&mut self, line: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return None;
        }
        if line.starts_with(b"[")
            && let Ok(messages) = serde_json::from_slice::<Vec<RxJsonRpcMessage<RoleClient>>>(line)
        {
            let wanted: Vec<_> = messages.into_iter().filter_map(|message| self.wanted(message)).collect();
            self.batch.extend(wanted);
            return self.batch.pop_front();
        }
        match serde_json::from_slice(line) {
            Ok(message) => self.wanted(message),
            Err(error) => self.unreadable(line, &error),
        }
    }

    /// Counts what the app says unasked, and leaves out what nobody wants to know.
    fn wanted(&mut self, message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        let counted = &mut self.counted;
        match &message {
            JsonRpcMessage::Request(_) => counted.requests = counted.requests.saturating_add(1),
            JsonRpcMessage::Notification(notice) => {
                counted.notices = counted.notices.saturating_add(1);
                match &notice.notification {
                    ServerNotification::ToolListChangedNotification(_) => {
                        counted.changes = counted.changes.saturating_add(1);
                    }
                    ServerNotification::CancelledNotification(_)
                    | ServerNotification::LoggingMessageNotification(_) => {}
                    _ => return None,
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        Some(message)
    }

    /// A line that is no message. If it is an answer to a call, the call need not wait for another.
    fn unreadable(&mut self, line: &[u8], error: &serde_json::Error) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.counted.garbage = self.counted.garbage.saturating_add(1);
        let text = String::from_utf8_lossy(line);
        if let Ok(Whose { id, method: None }) = serde_json::from_str(&text) {
            let why = if std::str::from_utf8(line).is_err() {
                "its answer is not UTF-8".to_owned()
            } else {
                format!("its answer is not one that MCP knows: {error}")
            };
            return Some(JsonRpcMessage::error(ErrorData::internal_error(why, None), Some(id)));
        }
        if let Some(says) = &self.says {
            says.say(&text);
        }
        None
    }

    fn broken(&mut self) -> Option<String> {
        let broken = self.counted.broken();
        if WHILE <= self.counted.since.elapsed() {
            self.counted = Counted { since: Instant::now(), garbage: 0, notices: 0, ..self.counted };
        }
        broken.or_else(|| {
            (MAX_LINE < self.pending.len()).then(|| format!("wrote a line of more than {MAX_LINE} bytes"))
        })
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
            if let Some(message) = self.batch.pop_front() {
                return Some(message);
            }
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
