//! The scripted model: a server that speaks the OpenAI protocol and answers from rules in `data/scripts`.
//!
//! Answers: what would a model reply that obeys every instruction it is shown?
//! Never: pretends to be more than that. Its id is `scripted-1`, every answer carries it, and it says so when asked. It keeps no
//! conversation: like any model's server it knows only what stands in the request.

mod chat;
mod script;
mod view;

mod fault;
mod render;
mod reply;
mod stats;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use fault::{Fault, FaultKind};
pub use script::{Script, ScriptError};

/// The name of the model, in `GET /v1/models` and in every answer.
pub const MODEL_ID: &str = "scripted-1";

/// How the server is to run.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of the scripts.
    pub scripts: PathBuf,
    /// How long each answer takes before its first byte.
    pub delay: Duration,
    /// If given, a request must carry it as its bearer token.
    pub key: Option<String>,
    /// Faults to begin with; more can be asked for at `POST /faults`.
    pub faults: Vec<Fault>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The scripts cannot be used.
    #[error("the scripts of the scripted model cannot be used")]
    Script(#[from] ScriptError),
    /// The address cannot be listened on.
    #[error("the scripted model cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A running server. Dropping it stops it, too, but does not wait.
#[derive(Debug)]
pub struct Model {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Loads the scripts, checks their examples, and serves until stopped.
///
/// # Errors
/// If a script does not load or contradicts its own examples, or the address is not free.
pub async fn serve(config: ModelConfig) -> Result<Model, ModelError> {
    // Reading and checking takes a tenth of a second, in which the caller may start other things.
    let folder = config.scripts.clone();
    let loaded = tokio::task::spawn_blocking(move || Script::load(&folder)).await;
    let lost = |error: tokio::task::JoinError| ScriptError {
        file: config.scripts.clone(),
        line: 0,
        why: error.to_string(),
    };
    let script = loaded.map_err(lost)??;
    let failed = |source| ModelError::Listen { addr: config.listen, source };
    let listener = tokio::net::TcpListener::bind(config.listen).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let router = chat::router(Arc::new(chat::Server::new(script, config)));
    let task = tokio::spawn(async move {
        // An error means that the sender is gone, and with it whoever wanted the server.
        let until = async move { stopped.await.unwrap_or_default() };
        tokio::select! {
            served = axum::serve(listener, router) => {
                if let Err(error) = served { tracing::error!(%error, "the scripted model stopped"); }
            }
            () = until => {}
        }
    });
    Ok(Model { addr, stop, task })
}

impl Model {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What an OpenAI client takes as its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Stops it and waits for the end.
    pub async fn stop(self) {
        // Refused only when the task has ended already.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }

    /// Returns when it ends by itself, which it does only by failing.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

#[cfg(test)]
mod tests;
