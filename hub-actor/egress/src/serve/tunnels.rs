//! The far end of an app's CONNECT proxy.
//!
//! Answers: may this connection be made, is what the app sends first a TLS hello for the same host, what goes through?
//! Never: sends a byte of the app's before the hello is read whole; connects to an address that was not checked.
//! Carries: I-08, I-12, I-13, I-16. What follows the hello is encrypted and is not seen.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bus::client::Bus;
use bus::envelope::Incoming;
use bus::id::{SpokeAddr, WorkId};
use bus::message::audit::WebOutcome;
use bus::message::egress::{BODY_CHUNK, TunnelReply, WebError, WebFailure};
use bus::tunnel::Pieces;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::flow::{Place, Said, Sent, Up, room};
use super::{Gateway, Subjected};
use crate::fetch::refused;
use crate::hello::{self, Reading};
use crate::limit::Limits;
use crate::url_rule::{Permitted, Target, permits_tunnel};

/// How much went through.
#[derive(Default)]
struct Counted {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Gateway {
    pub(super) fn open_tunnel(
        &self,
        spoke: SpokeAddr,
        incoming: Incoming,
        mut place: Place,
        task: Option<WorkId>,
        host: String,
        port: u16,
    ) {
        let gateway = self.clone();
        tokio::spawn(async move {
            let said = Subjected { spoke, task, method: "CONNECT".to_owned() };
            let counted = Counted::default();
            let stopped = place.stopped();
            let result = tokio::select! {
                result = gateway.run_tunnel(&said, &incoming, &mut place, &host, port, &counted) => result,
                failure = stopped => match failure.code {
                    WebError::Stopped => Ok(()),
                    _ => Err(failure),
                },
            };
            let shown: String = host.chars().take(253).collect();
            let record = match &result {
                Ok(()) => {
                    let (sent, received) =
                        (counted.sent.load(Ordering::Relaxed), counted.received.load(Ordering::Relaxed));
                    said.record(shown, port, None, WebOutcome::Answered { status: 200, sent, received })
                }
                Err(failure) => said.failed(shown, port, failure),
            };
            // It is over either way; the log tells that it was not recorded.
            let _ = gateway.record(&said.spoke, said.task.as_ref(), record).await;
            drop(place);
            closed(&gateway.0.bus, &incoming, result.err()).await;
        });
    }

    async fn run_tunnel(
        &self,
        said: &Subjected,
        incoming: &Incoming,
        place: &mut Place,
        host: &str,
        port: u16,
        counted: &Counted,
    ) -> Result<(), WebFailure> {
        let book = self.0.shelf.book();
        let rules = &book.of(&said.spoke.app).rules;
        let permitted = permits_tunnel(rules, host, port).map_err(|refusal| refused(&refusal))?;
        let outcome = WebOutcome::Allowed { by: permitted.by.to_string() };
        let record = said.record(permitted.host.to_string(), permitted.port, None, outcome);
        self.record(&said.spoke, said.task.as_ref(), record).await?;
        let limits = *self.0.web.limits();
        let mut stream = self.0.web.check(rules, &permitted).await?.connect(&limits).await?;
        self.0.bus.respond(incoming, &TunnelReply::Opened).await;
        let (from, to) = stream.split();
        let moved = Mutex::new(Instant::now());
        let up = up(&self.0.bus, incoming, &permitted, &mut place.up, to, &moved, counted, &limits);
        let down = down(&self.0.bus, incoming, place.said.clone(), from, &moved, counted, &limits);
        tokio::select! {
            both = async { tokio::try_join!(up, down) } => both.map(|_| ()),
            () = idle(&moved, limits.tunnel_idle) => {
                Err(WebFailure::new(WebError::Timeout, "nothing moved for too long"))
            }
        }
    }
}

/// From the app to the server.
#[allow(clippy::too_many_arguments)]
async fn up(
    bus: &Bus,
    incoming: &Incoming,
    permitted: &Permitted,
    from: &mut mpsc::Receiver<Up>,
    mut to: WriteHalf<'_>,
    moved: &Mutex<Instant>,
    counted: &Counted,
    limits: &Limits,
) -> Result<(), WebFailure> {
    let mut chunks = 0_u32;
    if let Target::Name(name) = &permitted.host {
        let by = Instant::now() + limits.hello;
        let late = |_| WebFailure::new(WebError::Hello, "no complete TLS hello came in time");
        let hello = timeout_at(by, first_words(from, name, &mut chunks)).await.map_err(late)??;
        write(&mut to, &hello, limits).await?;
        counted.sent.fetch_add(hello.len() as u64, Ordering::Relaxed);
        bus.respond(incoming, &TunnelReply::Taken { chunks }).await;
    }
    while let Some(Up::Data(bytes)) = from.recv().await {
        write(&mut to, &bytes, limits).await?;
        touch(moved);
        counted.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        chunks = chunks.wrapping_add(1);
        // While more waits here already, the spoke has no need of the word.
        if from.is_empty() || chunks.is_multiple_of(4) {
            bus.respond(incoming, &TunnelReply::Taken { chunks }).await;
        }
    }
    // The server may have closed first; then there is nothing to say.
    let _ = to.shutdown().await;
    Ok(())
}

/// Collects what the app sends first, until it is a whole hello for this host.
async fn first_words(
    from: &mut mpsc::Receiver<Up>,
    name: &str,
    chunks: &mut u32,
) -> Result<Bytes, WebFailure> {
    let refuse = |detail: String| WebFailure::new(WebError::Hello, detail);
    let mut words = BytesMut::new();
    while let Some(Up::Data(bytes)) = from.recv().await {
        *chunks = chunks.wrapping_add(1);
        words.extend_from_slice(&bytes);
        match hello::read(&words) {
            Reading::More => {}
            Reading::For(said) if said == name => return Ok(words.freeze()),
            Reading::For(said) => {
                return Err(refuse(format!("the TLS hello is for {said}, the tunnel for {name}")));
            }
            Reading::Refused(why) => return Err(refuse(why.to_owned())),
        }
    }
    Err(refuse("the app ended before its TLS hello was complete".to_owned()))
}

async fn write(to: &mut WriteHalf<'_>, bytes: &[u8], limits: &Limits) -> Result<(), WebFailure> {
    match timeout(limits.idle, to.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(WebFailure::new(WebError::Cut, "the server ended the connection")),
        Err(_) => Err(WebFailure::new(WebError::Timeout, "the server took nothing for too long")),
    }
}

/// From the server to the app.
async fn down(
    bus: &Bus,
    incoming: &Incoming,
    mut said: watch::Receiver<Said>,
    mut from: ReadHalf<'_>,
    moved: &Mutex<Instant>,
    counted: &Counted,
    limits: &Limits,
) -> Result<(), WebFailure> {
    let (mut sent, mut pieces) = (Sent::default(), Pieces::up_to(BODY_CHUNK));
    loop {
        let bytes = pieces
            .next(&mut from)
            .await
            .map_err(|_| WebFailure::new(WebError::Cut, "the server broke the connection off"))?;
        if bytes.is_empty() {
            break;
        }
        room(&mut said, &mut sent, bytes.len(), limits.tunnel_idle).await?;
        touch(moved);
        counted.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let seq = sent.add(bytes.len());
        bus.respond(incoming, &TunnelReply::Data { seq, bytes }).await;
    }
    bus.respond(incoming, &TunnelReply::Finished).await;
    Ok(())
}

fn touch(moved: &Mutex<Instant>) {
    *moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
}

/// Returns when nothing has moved for so long.
async fn idle(moved: &Mutex<Instant>, limit: Duration) {
    loop {
        let until = *moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner) + limit;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

/// The last word.
pub(super) async fn closed(bus: &Bus, incoming: &Incoming, why: Option<WebFailure>) {
    bus.respond(incoming, &TunnelReply::Closed(why)).await;
}
