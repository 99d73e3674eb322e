//! The bundled broker.
//!
//! Answers: how is nats-server started, and where does it listen?
//! Never: listens beyond loopback unless the settings say so in so many words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::client::Address;
use bus::identity::Realm;
use bus::server_config::{ENVIRONMENT, ServerConfig, ServerDirs, listening_at};
use tokio::sync::mpsc;

use super::child::{Running, Spec};
use super::log::Log;
use crate::config::BusConfig;
use crate::enrolled::Enrolled;
use crate::error::Error;
use crate::state::{State, write_private};

/// A broker on a slow disk with much JetStream data takes seconds.
const READY: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(3);

/// What the broker logs when it cannot write down its port.
const NO_PORTS: &str = "Error writing ports file";

/// All that is needed to start it, and to start it again on the same port.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    listen: SocketAddr,
    tls: Option<(PathBuf, PathBuf)>,
    tls_ca: Option<PathBuf>,
    dirs: ServerDirs,
    file: PathBuf,
    state: State,
}

impl Broker {
    /// Prepares its folders.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn new(program: PathBuf, config: &BusConfig, state: &State) -> Result<Self, Error> {
        let root = state.folder("nats")?;
        let dirs = ServerDirs::under(&root);
        for dir in dirs.all() {
            crate::state::make_private(dir)?;
        }
        let listen = config.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let tls_ca = config.tls_ca.clone().or_else(|| config.tls.as_ref().map(|(cert, _)| cert.clone()));
        Ok(Self {
            program,
            listen,
            tls: config.tls.clone(),
            tls_ca,
            dirs,
            file: root.join("nats.conf"),
            state: state.clone(),
        })
    }

    /// Starts it; from the second time on, at the port of the first.
    ///
    /// # Errors
    /// If it does not listen in time; with its last words.
    pub async fn start(
        &mut self,
        realm: &Realm,
        log: Log,
        told: mpsc::Sender<&'static str>,
    ) -> Result<(Running, Address), Error> {
        let config = ServerConfig {
            name: "secgpt",
            host: self.listen.ip(),
            port: Some(self.listen.port()).filter(|&port| port != 0),
            store_dir: &self.dirs.store,
            resolver_dir: &self.dirs.resolver,
            ports_dir: &self.dirs.ports,
            log_file: None,
        };
        // Read anew each time: what was revoked meanwhile stays so when the broker is started again.
        let revoked = Enrolled::load(&self.state)?.revoked();
        let mut text = config.render(&realm.claims(&revoked)?);
        if let Some((cert, key)) = &self.tls {
            text.push_str(&tls(cert, key));
        }
        write_private(&self.file, text.as_bytes())?;
        let spec = Spec {
            name: super::BROKER,
            program: self.program.clone(),
            args: vec!["-c".into(), self.file.clone().into()],
            env: &ENVIRONMENT,
            ours: false,
        };
        let running = Running::start(&spec, log, told)?;
        let waited = tokio::time::timeout(READY, async {
            loop {
                if let Some(url) = listening_at(&self.dirs.ports, running.pid) {
                    return Some(url);
                }
                // Without room on the disk it listens and cannot say where; waiting longer would not help.
                if running.has_ended() || running.last_words().contains(NO_PORTS) {
                    return None;
                }
                tokio::time::sleep(POLL).await;
            }
        });
        let Some(url) = waited.await.ok().flatten() else {
            let sentence = match running.has_ended() {
                true => format!("nats-server does not listen: it {}", running.how()),
                false => "nats-server did not say where it listens".to_owned(),
            };
            let hint = format!("it said: {}", running.last_words());
            running.stop().await;
            return Err(Error::failed(sentence).hint(hint));
        };
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        self.listen.set_port(port.unwrap_or(self.listen.port()));
        Ok((running, self.address()))
    }

    /// Where processes on this machine reach it.
    #[must_use]
    pub fn address(&self) -> Address {
        let ip = match self.listen.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        Address {
            url: format!("{scheme}://{}", SocketAddr::new(ip, self.listen.port())),
            tls_ca: self.tls.as_ref().and(self.tls_ca.clone()),
        }
    }
}

fn tls(cert: &Path, key: &Path) -> String {
    // Quoted as JSON, which the server's configuration language takes.
    let quote = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!("tls: {{ cert_file: {}, key_file: {}, timeout: 5 }}\n", quote(cert), quote(key))
}
