//! The proxy on the app's loopback.
//!
//! Answers: what becomes of a connection that the app's program makes to its proxy?
//! Never: connects anywhere itself; decides where an app may go, which is the gateway's; reads more of a request than the
//! bounds below; outlives the app.
//! Carries: I-12, I-16.
//!
//! The connections come from the jail as descriptors (`jail::app::take`). `CONNECT` becomes a tunnel, anything else a
//! fetch; both end at the egress-gateway, which knows the app's manifest.

mod answer;
mod head;
mod plain;
mod tunnel;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus::bucket::Bucket;
use bus::client::Bus;
use bus::id::SpokeAddr;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::web::Web;
use answer::{No, refuse};
use head::Asked;

/// Connections at once: the gateway has room for so many tunnels of a spoke, and a spoke for sixty-four descriptors.
const AT_ONCE: usize = 32;

/// Of those beyond, so many at once are told why they are closed.
const TOLD: usize = 8;

/// For a head to be complete, and for a request's body. The program is on the same machine.
const TO_ASK: Duration = Duration::from_secs(10);

/// Words to the gateway a second, and at once: half of what it takes, so that no program that writes a byte at a time has
/// its spoke ended for it.
const PACE: (u32, u32) = (2_000, 1_000);

/// What a connection is answered with.
#[derive(Clone)]
pub(crate) struct Proxy {
    bus: Bus,
    addr: SpokeAddr,
    web: Web,
    pace: Arc<Mutex<Bucket>>,
}

impl Proxy {
    pub(crate) fn new(bus: Bus, addr: SpokeAddr, web: Web) -> Self {
        let pace = Arc::new(Mutex::new(Bucket::new(PACE, Instant::now())));
        Self { bus, addr, web, pace }
    }

    /// Waits until one more word to the gateway is within the pace.
    async fn keep_pace(&self) {
        while !self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Serves until the jail is no more.
    pub(crate) async fn serve(self, door: UnixStream) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                next = next(&door) => match next {
                    Some(stream) if connections.len() < AT_ONCE => {
                        let proxy = self.clone();
                        connections.spawn(async move { proxy.talk(stream).await });
                    }
                    Some(stream) if connections.len() < AT_ONCE + TOLD => {
                        let no = No::new(503, format!("{AT_ONCE} connections of this app are open already"));
                        connections.spawn(async move { refuse(stream, &no).await });
                    }
                    Some(_) => {}
                    None => break,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        // The app's ends were closed with its processes; what is left says so to the gateway.
        while connections.join_next().await.is_some() {}
    }

    async fn talk(&self, mut stream: TcpStream) {
        let asked = match timeout(TO_ASK, head::read(&mut stream)).await {
            Ok(Ok(Some(asked))) => asked,
            // It was closed without a word.
            Ok(Ok(None)) => return,
            Ok(Err(no)) => return refuse(stream, &no).await,
            Err(_) => {
                let no = No::new(408, format!("no complete request came within {TO_ASK:?}"));
                return refuse(stream, &no).await;
            }
        };
        let Asked { method, target, .. } = &asked;
        if method == "CONNECT" {
            match head::authority(target) {
                Some((host, port)) => tunnel::run(self, stream, host, port, asked.rest).await,
                None => refuse(stream, &No::new(400, "CONNECT takes a host and a port".to_owned())).await,
            }
        } else if target.starts_with("http://") || target.starts_with("https://") {
            plain::run(self, stream, asked).await;
        } else {
            let no = "this is the app's proxy to the web; it takes CONNECT and whole URLs".to_owned();
            refuse(stream, &No::new(400, no)).await;
        }
    }
}

/// The next connection; `None` when the jail is no more.
async fn next(door: &UnixStream) -> Option<TcpStream> {
    loop {
        door.readable().await.ok()?;
        match door.try_io(Interest::READABLE, || jail::app::take(door)) {
            Ok(Some(stream)) => match TcpStream::from_std(stream) {
                Ok(stream) => return Some(stream),
                Err(_) => continue,
            },
            Ok(None) => return None,
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::InvalidData => continue,
                _ => return None,
            },
        }
    }
}
