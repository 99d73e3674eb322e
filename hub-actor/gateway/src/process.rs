//! A gateway as a process.
//!
//! Answers: what does it log, what ends it, and what does its parent hear of a start that failed?
//! Never: outlives its parent; logs what a library would say of headers or bodies.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use bus::launch::{Child, chain, failed};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tracing_subscriber::EnvFilter;

/// A line for each message that a flood costs, beside our own.
const OF_A_FLOOD: &str = "async_nats=warn";

/// Why a gateway does not start, for its parent to show.
#[derive(Debug)]
pub struct NotStarted {
    detail: String,
    hint: Option<String>,
}

impl NotStarted {
    /// In a sentence.
    #[must_use]
    pub fn new(detail: String) -> Self {
        Self { detail, hint: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}

/// With all its causes.
impl<E: Error> From<E> for NotStarted {
    fn from(error: E) -> Self {
        Self::new(chain(&error))
    }
}

/// Logs to standard error, and ends with whoever started this process. `usual` is logged unless `RUST_LOG` says otherwise;
/// `always` holds whatever it says.
pub fn begin(usual: &str, always: &[&str]) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    for directive in always.iter().chain([&OF_A_FLOOD]) {
        if let Ok(directive) = directive.parse() {
            filter = filter.add_directive(directive);
        }
    }
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Whoever started this may be killed without a word; then this ends too.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGTERM) {
        tracing::warn!(%error, "this process would outlive its parent");
    }
}

/// Runs a gateway to its end, on this thread. Its parent is told why if it does not start.
pub fn run(gateway: impl Future<Output = Result<(), NotStarted>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        // An error means that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match gateway.await {
            Ok(()) => ExitCode::SUCCESS,
            Err(NotStarted { detail, hint }) => {
                tracing::error!(detail, "not started");
                failed(detail, hint).await;
                ExitCode::FAILURE
            }
        }
    });
    // Reading from standard input cannot be interrupted; its thread is left behind.
    runtime.shutdown_background();
    code
}

/// Serves until the parent wants it to stop, or the connection is closed for good.
pub async fn until_stopped<C>(child: &mut Child<C>, serving: impl Future<Output = ()>)
where
    C: serde::de::DeserializeOwned,
{
    tokio::select! {
        () = serving => tracing::warn!("the bus is closed"),
        () = child.stopped() => tracing::info!("the parent wants it to stop"),
    }
}
