//! A tunnel: the app's `CONNECT`.
//!
//! Answers: how do bytes get from the program's connection to the gateway's, and back?
//! Never: sends beyond the window; holds more of a tunnel than its window; looks into what goes through.
//! Carries: I-12, I-16. Whether the first bytes are a TLS hello for the host, the gateway says.

use std::convert::Infallible;
use std::time::Duration;

use bus::client::{Answers, BusError};
use bus::id::WorkId;
use bus::message::egress::{CHUNK, TunnelReply, TunnelSay, Untold, WINDOW, WebError, WebFailure};
use bus::subject::{Op, Service, Subject};
use bus::tunnel::Pieces;
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::Proxy;
use super::answer::{No, refuse};

/// For the gateway to look a name up and connect; its own clocks are shorter.
const TO_OPEN: Duration = Duration::from_secs(20);

/// Without a word of the gateway's. Its own clock for a tunnel on which nothing moves is shorter: it may be gone.
const SILENCE: Duration = Duration::from_secs(330);

const OPENED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Over, without the gateway's having said so.
struct Over;

/// From CONNECT to the end of the connection. `early` is what the program sent without waiting for the answer.
pub(super) async fn run(proxy: &Proxy, mut stream: TcpStream, host: String, port: u16, early: BytesMut) {
    let subject = Subject::SpokeOut { spoke: proxy.addr.clone(), service: Service::Egress, op: Op::TUNNEL };
    let tunnel = Tunnel { proxy, subject, id: WorkId::fresh() };
    let mut answers = match tunnel.open(host, port).await {
        Ok(answers) => answers,
        Err(failure) => return refuse(stream, &No::of(&failure)).await,
    };
    let (from, mut to) = stream.split();
    let (tell, taken) = watch::channel(0);
    let moved = async {
        to.write_all(OPENED).await.map_err(|_| Over)?;
        tokio::select! {
            closed = tunnel.down(&mut answers, to, tell) => closed,
            Err(over) = tunnel.up(from, early, taken) => Err(over),
        }
    };
    if moved.await.is_err() {
        tunnel.say(&TunnelSay::Close { id: tunnel.id.clone() }).await;
    }
}

struct Tunnel<'a> {
    proxy: &'a Proxy,
    subject: Subject,
    id: WorkId,
}

impl Tunnel<'_> {
    async fn open(&self, host: String, port: u16) -> Result<Answers, WebFailure> {
        let open = TunnelSay::Open { id: self.id.clone(), task: None, host, port };
        let mut answers = self.proxy.bus.request_many(&self.subject, &open, None).await.map_err(unheard)?;
        match answers.next(TO_OPEN).await {
            Ok(TunnelReply::Opened) => Ok(answers),
            Ok(TunnelReply::Closed(Some(failure))) => Err(failure),
            Ok(_) => Err(WebFailure::new(WebError::Flow, "the egress-gateway spoke out of turn")),
            Err(error) => {
                self.say(&TunnelSay::Close { id: self.id.clone() }).await;
                Err(unheard(error))
            }
        }
    }

    /// From the gateway to the program; returns when the gateway has closed the tunnel.
    async fn down(
        &self,
        answers: &mut Answers,
        mut to: WriteHalf<'_>,
        tell: watch::Sender<u32>,
    ) -> Result<(), Over> {
        let (mut next, mut untold) = (0_u32, Untold::default());
        loop {
            match answers.next(SILENCE).await.map_err(|_| Over)? {
                TunnelReply::Data { seq, bytes } if seq == next => {
                    to.write_all(&bytes).await.map_err(|_| Over)?;
                    next = next.wrapping_add(1);
                    if untold.took(bytes.len()) {
                        self.say(&TunnelSay::Taken { id: self.id.clone(), chunks: next }).await;
                    }
                }
                TunnelReply::Taken { chunks } => tell.send_modify(|taken| *taken = chunks),
                TunnelReply::Finished => to.shutdown().await.map_err(|_| Over)?,
                TunnelReply::Closed(_) => return Ok(()),
                TunnelReply::Opened | TunnelReply::Data { .. } => return Err(Over),
            }
        }
    }

    /// From the program to the gateway; after its end there is only the other direction.
    async fn up(
        &self,
        mut from: ReadHalf<'_>,
        early: BytesMut,
        mut taken: watch::Receiver<u32>,
    ) -> Result<Infallible, Over> {
        let mut seq = 0_u32;
        let (mut rest, mut pieces) = (early.freeze(), Pieces::up_to(CHUNK));
        loop {
            // Not further ahead of the gateway than a window.
            taken.wait_for(|taken| seq.wrapping_sub(*taken) < WINDOW).await.map_err(|_| Over)?;
            let bytes = if rest.is_empty() {
                pieces.next(&mut from).await.map_err(|_| Over)?
            } else {
                rest.split_to(rest.len().min(CHUNK))
            };
            if bytes.is_empty() {
                self.say(&TunnelSay::Finish { id: self.id.clone() }).await;
                return std::future::pending().await;
            }
            self.say(&TunnelSay::Data { id: self.id.clone(), seq, bytes }).await;
            seq = seq.wrapping_add(1);
        }
    }

    async fn say(&self, what: &TunnelSay) {
        self.proxy.keep_pace().await;
        // A bus that takes nothing more is lost, and the spoke ends with it.
        let _ = self.proxy.bus.publish(&self.subject, what, None).await;
    }
}

fn unheard(error: BusError) -> WebFailure {
    match error {
        BusError::NoResponder(_) => WebFailure::new(WebError::Stopped, "the egress-gateway does not run"),
        BusError::Timeout { .. } => {
            WebFailure::new(WebError::Timeout, "the egress-gateway did not connect in time")
        }
        error => WebFailure::new(WebError::Stopped, format!("the egress-gateway was not asked: {error}")),
    }
}
