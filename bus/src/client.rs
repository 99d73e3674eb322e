//! A connection to the bus.
//!
//! Answers: how does a process send, ask, hear and answer?
//! Never: answers outside the caller's own inbox; lets a malformed message end the process.
//! Carries: I-02, I-16.

mod ear;
mod echo;
mod inbound;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, Event};
use futures_util::StreamExt;
use nkeys::KeyPair;
use tokio::sync::{mpsc, watch};

use self::ear::Way;
pub use self::ear::{Ear, Flood};
pub use self::inbound::Inbound;
use crate::envelope::{self, Incoming, Malformed, Message, Reply};
use crate::id::{SpokeAddr, WorkId};
use crate::identity::Credential;
use crate::limits::SUBSCRIPTION_QUEUE;
use crate::message::audit::{Record, What};
use crate::message::host::Stop;
use crate::subject::{Auditor, Leaf, Op, Subject};

/// What is needed to come on the bus.
#[derive(Clone, Debug)]
pub struct Address {
    /// `nats://host:port` or `tls://host:port`; several, comma-separated, for a cluster.
    pub url: String,
    /// The certificate authority to trust besides the system's, for TLS.
    pub tls_ca: Option<PathBuf>,
}

/// What to do when the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLost {
    /// Try again for ever, with a pause of up to a second: the core processes.
    Reconnect,
    /// Give up: a spoke, whose host starts another.
    End,
}

/// A connection. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    client: async_nats::Client,
    auditor: Option<Auditor>,
    dropped: Arc<AtomicU64>,
    connected: watch::Receiver<bool>,
    /// For a second connection.
    way: Option<Arc<Way>>,
}

/// Why a connection or a message did not work out.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No connection.
    #[error("cannot connect to the bus at {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The credential is damaged.
    #[error("the credential is damaged")]
    Credential(#[source] nkeys::error::Error),
    /// A message could not be packed, or the answer not be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nobody is there to answer.
    #[error("nobody answers on {0}")]
    NoResponder(String),
    /// No answer in time.
    #[error("no answer on {subject} within {limit:?}")]
    Timeout {
        /// Where it was asked.
        subject: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection is gone or the subscription not allowed.
    #[error("the bus did not take it: {0}")]
    Refused(String),
}

impl Bus {
    /// Comes on the bus. `inbox` is the role's own, see [`crate::subject::inbox`]; `auditor` writes drops to the
    /// audit in this role's name.
    ///
    /// # Errors
    /// If the server cannot be reached within 5 s or does not accept the credential.
    pub async fn connect(
        address: &Address,
        credential: &Credential,
        name: &str,
        inbox: &str,
        auditor: Option<Auditor>,
        when_lost: WhenLost,
    ) -> Result<Self, BusError> {
        let (options, connected) = options(credential, name, inbox, SUBSCRIPTION_QUEUE)?;
        let options = match when_lost {
            WhenLost::Reconnect => for_ever(options),
            WhenLost::End => once(options, address.url.matches(',').count() == 0),
        };
        let client = dial(address, options).await?;
        // Who writes to the audit is of the core, and may hear spokes.
        let way = auditor.as_ref().map(|_| Arc::new(Way::new(address, credential, name, inbox)));
        Ok(Self { client, auditor, dropped: Arc::default(), connected, way })
    }

    /// Says something. Returns when the message is queued, not when it was sent.
    ///
    /// # Errors
    /// If it cannot be packed or the connection is closed.
    pub async fn publish<M: Message>(
        &self,
        subject: &Subject,
        message: &M,
        work: Option<&WorkId>,
    ) -> Result<(), BusError> {
        self.client
            .publish_with_headers(subject.to_string(), envelope::headers::<M>(work), envelope::pack(message)?)
            .await
            .map_err(|error| BusError::Refused(error.to_string()))
    }

    /// As [`Bus::publish`], with where its data came from beside it, for the tap.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn publish_labelled<M: Message>(
        &self,
        subject: &Subject,
        message: &M,
        work: Option<&WorkId>,
        labels: &[String],
    ) -> Result<(), BusError> {
        let mut headers = envelope::headers::<M>(work);
        headers.insert(envelope::LABELS, envelope::labels_line(labels));
        self.client
            .publish_with_headers(subject.to_string(), headers, envelope::pack(message)?)
            .await
            .map_err(|error| BusError::Refused(error.to_string()))
    }

    /// Asks, and waits for the one answer.
    ///
    /// # Errors
    /// If nobody is there, no answer comes within `limit`, or it is malformed.
    pub async fn request<M: Message, R: Message>(
        &self,
        subject: &Subject,
        message: &M,
        work: Option<&WorkId>,
        limit: Duration,
    ) -> Result<R, BusError> {
        let request = async_nats::Request::new()
            .headers(envelope::headers::<M>(work))
            .payload(envelope::pack(message)?)
            .timeout(Some(limit));
        match self.client.send_request(subject.to_string(), request).await {
            Ok(answer) => Ok(envelope::unpack(answer.headers.as_ref(), &answer.payload)?),
            Err(error) => Err(match error.kind() {
                async_nats::RequestErrorKind::NoResponders => BusError::NoResponder(subject.to_string()),
                async_nats::RequestErrorKind::TimedOut => {
                    BusError::Timeout { subject: subject.to_string(), limit }
                }
                _ => BusError::Refused(error.to_string()),
            }),
        }
    }

    /// Asks, and takes as many answers as come.
    ///
    /// # Errors
    /// If it cannot be packed or the connection is closed.
    pub async fn request_many<M: Message>(
        &self,
        subject: &Subject,
        message: &M,
        work: Option<&WorkId>,
    ) -> Result<Answers, BusError> {
        let refused = |error: &dyn std::fmt::Display| BusError::Refused(error.to_string());
        let inbox = self.client.new_inbox();
        let subscriber = self.client.subscribe(inbox.clone()).await.map_err(|error| refused(&error))?;
        self.client
            .publish_with_reply_and_headers(
                subject.to_string(),
                inbox,
                envelope::headers::<M>(work),
                envelope::pack(message)?,
            )
            .await
            .map_err(|error| refused(&error))?;
        Ok(Answers { subject: subject.to_string(), subscriber })
    }

    /// Hears all that matches a pattern of [`crate::subject::pattern`].
    ///
    /// # Errors
    /// If the connection is closed. A pattern that the role may not hear is refused by the broker, silently.
    pub async fn subscribe(&self, pattern: &str) -> Result<Inbound, BusError> {
        let subscriber = self
            .client
            .subscribe(pattern.to_owned())
            .await
            .map_err(|error| BusError::Refused(error.to_string()))?;
        Ok(Inbound::new(self.clone(), subscriber))
    }

    /// As [`Bus::subscribe`], but each message goes to one of the group only.
    ///
    /// # Errors
    /// As [`Bus::subscribe`].
    pub async fn queue_subscribe(&self, pattern: &str, group: &str) -> Result<Inbound, BusError> {
        let subscriber = self
            .client
            .queue_subscribe(pattern.to_owned(), group.to_owned())
            .await
            .map_err(|error| BusError::Refused(error.to_string()))?;
        Ok(Inbound::new(self.clone(), subscriber))
    }

    /// Answers a request: into the caller's own inbox, or not at all. A foreign reply subject is recorded.
    pub async fn respond<M: Message>(&self, to: &Incoming, message: &M) {
        self.respond_with(to, message, envelope::headers::<M>(None)).await;
    }

    /// As [`Bus::respond`], with where the answer's data came from beside it, for the tap.
    pub async fn respond_labelled<M: Message>(
        &self,
        to: &Incoming,
        message: &M,
        work: &WorkId,
        labels: &[String],
    ) {
        let mut headers = envelope::headers::<M>(Some(work));
        headers.insert(envelope::LABELS, envelope::labels_line(labels));
        self.respond_with(to, message, headers).await;
    }

    async fn respond_with<M: Message>(&self, to: &Incoming, message: &M, headers: async_nats::HeaderMap) {
        match &to.reply {
            Reply::None => {}
            Reply::Foreign(reply) => {
                self.drop_message(
                    &to.subject.to_string(),
                    &format!("the reply subject {reply:?} is not the caller's own"),
                )
                .await;
            }
            Reply::Own(reply) => match envelope::pack(message) {
                Ok(payload) => {
                    let sent = self.client.publish_with_headers(reply.clone(), headers, payload).await;
                    if let Err(error) = sent {
                        tracing::warn!(%error, "an answer was not sent");
                    }
                }
                Err(error) => {
                    self.drop_message(&to.subject.to_string(), &format!("its answer: {error}")).await
                }
            },
        }
    }

    /// Reads a body; if it is malformed, drops, counts and records it.
    pub async fn body<M: Message>(&self, incoming: &Incoming) -> Option<M> {
        match incoming.body() {
            Ok(message) => Some(message),
            Err(error) => {
                self.drop_message(&incoming.subject.to_string(), &error.to_string()).await;
                None
            }
        }
    }

    /// Counts and records a message that is not handled.
    pub async fn drop_message(&self, subject: &str, why: &str) {
        let count = self.dropped.fetch_add(1, Ordering::Relaxed);
        // A flood of bad messages must not become a flood of records: after a thousand, one in a thousand is written.
        if count < 1000 || count.is_multiple_of(1000) {
            tracing::warn!(subject, why, count, "message dropped");
            let what = What::Dropped { subject: subject.chars().take(120).collect(), why: why.to_owned() };
            self.audit(Op::DROPPED, Record { work: None, user: None, what }).await;
        }
    }

    /// Counts a message that is not handled, and records nothing.
    fn count_drop(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes to the audit, in this role's own name. Roles without such a name write nothing.
    pub async fn audit(&self, op: Op, record: Record) {
        let Some(by) = self.auditor.clone() else { return };
        let work = record.work.clone();
        if let Err(error) = self.publish(&Subject::Audit { by, op }, &record, work.as_ref()).await {
            tracing::error!(%error, "an audit record was not written");
        }
    }

    /// Makes known what comes out of an [`Ear`], until that is dropped.
    pub async fn tell_floods(&self, mut floods: mpsc::Receiver<Flood>) {
        while let Some(Flood { spoke, why }) = floods.recv().await {
            self.flooded(&spoke, why).await;
        }
    }

    /// Has the hub stop a spoke that sends far more than this gateway takes. Recorded first.
    async fn flooded(&self, spoke: &SpokeAddr, why: String) {
        tracing::warn!(%spoke, why, "flooded");
        let what = What::Flood { spoke: spoke.clone(), why: why.clone() };
        self.audit(Op::KILL, Record { work: None, user: None, what }).await;
        let stop = Stop { spoke: spoke.clone(), why };
        if let Err(error) = self.publish(&Subject::HubIn(Leaf::Stop), &stop, None).await {
            tracing::error!(%spoke, %error, "the hub was not told of a flood");
        }
    }

    /// How many messages were dropped by this process.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends what is queued. It does not wait for the server to have it.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn flush(&self) -> Result<(), BusError> {
        self.client.flush().await.map_err(|error| BusError::Refused(error.to_string()))
    }

    /// Returns when the connection is lost.
    pub async fn lost(&self) {
        let mut connected = self.connected.clone();
        // A closed channel means that the client is gone, and the connection with it.
        let _ = connected.wait_for(|connected| !connected).await;
    }

    /// Is there a connection now?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// The connection itself, for JetStream and the micro-service protocol.
    #[must_use]
    pub fn nats(&self) -> &async_nats::Client {
        &self.client
    }
}

/// What all connections of a role have in common; and whether it is connected.
fn options(
    credential: &Credential,
    name: &str,
    inbox: &str,
    queue: usize,
) -> Result<(ConnectOptions, watch::Receiver<bool>), BusError> {
    let (tell, connected) = watch::channel(true);
    let (begun, overrun) = (Instant::now(), AtomicU64::new(0));
    let options = signing(credential)?
        .name(name)
        .custom_inbox_prefix(inbox)
        .connection_timeout(Duration::from_secs(5))
        .subscription_capacity(queue)
        .ignore_discovered_servers()
        .event_callback(move |event| {
            // One comes with each message that finds the queue full: a flood must not become one of lines.
            let second = begun.elapsed().as_secs().saturating_add(1);
            let again =
                matches!(event, Event::SlowConsumer(_)) && overrun.swap(second, Ordering::Relaxed) == second;
            match &event {
                Event::Connected => _ = tell.send(true),
                Event::Disconnected | Event::Closed => _ = tell.send(false),
                _ => {}
            }
            async move {
                match event {
                    Event::Connected => tracing::debug!("connected to the bus"),
                    _ if again => {}
                    other => tracing::warn!(event = %other, "bus"),
                }
            }
        });
    Ok((options, connected))
}

/// Tries again with a pause of up to a second.
fn for_ever(options: ConnectOptions) -> ConnectOptions {
    options.max_reconnects(None).reconnect_delay_callback(|attempt| {
        Duration::from_millis(u64::try_from(attempt).unwrap_or(20).saturating_mul(50).min(1000))
    })
}

/// Signs what the server asks with the credential's own key.
pub(crate) fn signing(credential: &Credential) -> Result<ConnectOptions, BusError> {
    let key = Arc::new(KeyPair::from_seed(credential.seed.expose()).map_err(BusError::Credential)?);
    Ok(ConnectOptions::with_jwt(credential.jwt.clone(), move |nonce| {
        let key = Arc::clone(&key);
        async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
    }))
}

/// Connects, by TLS alone where the address names an authority.
pub(crate) async fn dial(
    address: &Address,
    mut options: ConnectOptions,
) -> Result<async_nats::Client, BusError> {
    if let Some(ca) = &address.tls_ca {
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    let servers: Vec<String> = address.url.split(',').map(|url| url.trim().to_owned()).collect();
    options.connect(servers).await.map_err(|source| BusError::Connect { url: address.url.clone(), source })
}

/// One connection and never another: a confined spoke that tried would be ended by the kernel as an intruder.
fn once(options: ConnectOptions, one_server: bool) -> ConnectOptions {
    let begun = Arc::new(AtomicBool::new(false));
    options.max_reconnects(None).reconnect_delay_callback(|_| Duration::ZERO).reconnect_to_server_callback(
        move |servers, _| {
            let again = begun.swap(true, Ordering::Relaxed);
            async move {
                if again {
                    std::future::pending::<()>().await;
                }
                // Named here, a single server is called at once; the ordinary way waits for a tick of the clock.
                let server = servers.into_iter().next().filter(|_| one_server)?;
                Some(async_nats::ReconnectToServer { addr: server.addr, delay: Some(Duration::ZERO) })
            }
        },
    )
}

/// Several answers to one request.
pub struct Answers {
    subject: String,
    subscriber: async_nats::Subscriber,
}

impl Answers {
    /// The next answer.
    ///
    /// # Errors
    /// If none comes within `limit`, nobody is there, or it is malformed.
    pub async fn next<R: Message>(&mut self, limit: Duration) -> Result<R, BusError> {
        match tokio::time::timeout(limit, self.subscriber.next()).await {
            Err(_) => Err(BusError::Timeout { subject: self.subject.clone(), limit }),
            Ok(None) => Err(BusError::Refused("the connection was closed".into())),
            Ok(Some(answer)) if answer.status == Some(async_nats::StatusCode::NO_RESPONDERS) => {
                Err(BusError::NoResponder(self.subject.clone()))
            }
            Ok(Some(answer)) => Ok(envelope::unpack(answer.headers.as_ref(), &answer.payload)?),
        }
    }
}
