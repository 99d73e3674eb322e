//! The local supervisor: starts every process of the system, keeps it running, stops it in reverse order.
//!
//! Answers: is the whole system up, and if not, which part is not and why?
//! Never: leaves a process behind; restarts for ever; runs twice on one state folder.
//! Carries: I-10, I-15.

pub mod child;

mod bundle;
pub mod log;
mod parts;

mod broker;
mod store;

mod intensity;
mod refusal;

use std::time::Instant;

use bus::client::Address;
use bus::message::audit::{Record, What};
use bus::subject::Op;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use bundle::{Server, find as find_server, version as server_version};
pub use parts::{host_config, program};

use self::child::Running;
use self::intensity::Intensity;
use self::parts::Parts;
use crate::config::Config;
use crate::error::Error;
use crate::provider::Choice;
use crate::state::{self, Lock, State};

/// Name of a part: the broker.
pub const BROKER: &str = "nats-server";
/// The conversation memory.
pub const STORE: &str = "redis-server";
/// The hub.
pub const HUB: &str = "hub";
/// The model's gateway.
pub const LLM: &str = "llm-gateway";
/// The gateway to the web.
pub const EGRESS: &str = "egress-gateway";
/// The local host of spokes.
pub const HOST: &str = "spoke-host";

/// The running system. Dropping it kills all; [`Supervisor::stop`] stops it in order.
#[derive(Debug)]
pub struct Supervisor {
    address: Address,
    model: String,
    note: Option<String>,
    state: State,
    keeper: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    gave_up: watch::Receiver<Option<String>>,
    _lock: Lock,
}

impl Supervisor {
    /// Starts everything, in order, and returns when all of it is ready. `told` hears which part is being started.
    ///
    /// # Errors
    /// Names the part that did not start, and why; what was started before it is stopped again.
    pub async fn start(
        config: &Config,
        state: State,
        lock: Lock,
        choice: Choice,
        command: &str,
        told: impl Fn(&str),
    ) -> Result<Self, Error> {
        // A file that a child makes is for nobody else either.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let (ends, mut ended) = mpsc::channel(16);
        let (model, note) = (choice.model.clone(), choice.note.clone());
        let mut parts = Parts::new(config, &state, choice, ends).await?;
        let running = match parts.start_all(&mut ended, told).await {
            Ok(running) => running,
            Err((error, running)) => {
                stop_all(running).await;
                parts.stop_model().await;
                return Err(error);
            }
        };
        let address = parts.address().clone();
        state.set_running(&state::Running {
            pid: std::process::id(),
            url: address.url.clone(),
            tls_ca: address.tls_ca.clone(),
            command: command.to_owned(),
            model: model.clone(),
            note: note.clone(),
        })?;
        let (stop, stopped) = oneshot::channel();
        let (tell, gave_up) = watch::channel(None);
        let keeper = tokio::spawn(keep(parts, running, ended, stopped, tell));
        Ok(Self { address, model, note, state, keeper, stop: Some(stop), gave_up, _lock: lock })
    }

    /// The bus's address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The model that answers, and what must be said about it.
    #[must_use]
    pub fn model(&self) -> (&str, Option<&str>) {
        (&self.model, self.note.as_deref())
    }

    /// Returns when the supervisor has given up on a part, with the reason.
    pub async fn gave_up(&mut self) -> Error {
        let reason = match self.gave_up.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        Error::failed(reason.unwrap_or_else(|| "the supervisor ended".to_owned()))
            .hint(format!("the logs are in {}", self.state.path("log").display()))
    }

    /// Stops everything in reverse order, and waits.
    pub async fn stop(mut self) {
        self.state.clear_running();
        if let Some(stop) = self.stop.take() {
            // Refused only when the keeper has given up and stopped everything already.
            let _ = stop.send(());
        }
        let _ = (&mut self.keeper).await;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.state.clear_running();
        self.keeper.abort();
    }
}

/// Restarts what ends, until told to stop or a part ends too often.
async fn keep(
    mut parts: Parts,
    mut running: Vec<Running>,
    mut ended: mpsc::Receiver<&'static str>,
    mut stopped: oneshot::Receiver<()>,
    gave_up: watch::Sender<Option<String>>,
) {
    let mut intensity = Intensity::default();
    'keep: loop {
        let name = tokio::select! {
            _ = &mut stopped => break,
            Some(name) = ended.recv() => name,
            () = parts.model_ended() => {
                gave_up.send_replace(Some("the scripted model ended, which it never should".to_owned()));
                break;
            }
        };
        let Some(index) = running.iter().position(|part| part.name == name && part.has_ended()) else {
            continue;
        };
        let part = running.remove(index);
        let (how, words) = (part.how(), part.last_words());
        tracing::warn!(name, how, "a part ended");
        parts.note(What::Stopped { who: name.to_owned(), detail: how.clone() }).await;
        loop {
            if intensity.exceeded(Instant::now()) {
                let why = format!(
                    "{name} {how} and more than {} did not help; its last words: {words}",
                    Intensity::allowed()
                );
                gave_up.send_replace(Some(why));
                break 'keep;
            }
            match parts.start(name).await {
                Ok(part) => {
                    running.insert(index.min(running.len()), part);
                    parts.note(What::Started { who: name.to_owned(), detail: "again".to_owned() }).await;
                    break;
                }
                Err(error) => tracing::error!(name, error = error.line(), "did not start again"),
            }
        }
    }
    parts.leave();
    stop_all(running).await;
    parts.stop_model().await;
}

/// The hub first, while all that it needs to take in what was just said is still there; then the others in reverse
/// order.
async fn stop_all(mut running: Vec<Running>) {
    if let Some(hub) = running.iter().position(|part| part.name == HUB) {
        running.remove(hub).stop().await;
    }
    while let Some(part) = running.pop() {
        part.stop().await;
    }
}

/// A record of the supervisor's own.
fn record(what: What) -> (Op, Record) {
    let op = match &what {
        What::Refused { .. } => Op::REFUSED,
        _ => Op::LIFECYCLE,
    };
    (op, Record { work: None, user: None, what })
}
