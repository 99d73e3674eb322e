//! Holds the model key; speaks to the model for hub and spokes. Started by `secgpt`.

use std::process::ExitCode;

use bus::launch::{Child, LlmConfig, failed};
use bus::subject::Auditor;
use llm_gateway::provider::Provider;
use llm_gateway::serve::{Gateway, NAME};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. The protocol's library logs whole answers when it does not
/// understand them, and those are the user's.
const LOG: &str = "info,async_openai=off";

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    // It writes a line for each message that a flood costs, beside our own.
    let filter = match "async_nats=warn".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Whoever started this may be killed without a word; then this ends too.
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM) {
        tracing::warn!(%error, "this process would outlive its parent");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // Reading from standard input cannot be interrupted; its thread is left behind.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err((detail, hint)) => {
            tracing::error!(detail, "not started");
            failed(detail, hint).await;
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), (String, Option<String>)> {
    let plain = |error: &dyn std::error::Error| (chain(error), None);
    let mut child = Child::<LlmConfig>::begin().await.map_err(|error| plain(&error))?;
    let provider = Provider::new(&child.config).map_err(|error| {
        (
            error.to_string(),
            Some("correct [model] in secgpt.toml, or its SECGPT_MODEL_… variables".to_owned()),
        )
    })?;
    let bus = child.connect(NAME, Auditor::Llm).await.map_err(|error| plain(&error))?;
    let model = child.config.model.clone();
    let (gateway, ears) = Gateway::start(bus, provider, model).await.map_err(|error| plain(&error))?;
    child.ready().await.map_err(|error| plain(&error))?;
    tokio::select! {
        () = gateway.serve(ears) => tracing::warn!("the bus is closed"),
        () = child.stopped() => tracing::info!("the parent wants it to stop"),
    }
    Ok(())
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
