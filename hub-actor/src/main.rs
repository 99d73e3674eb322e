//! The hub's process.
//!
//! Answers: how does the hub start, when is it ready, and how does it stop?
//! Never: says that it is ready before it hears; leaves a query without an end when it stops.
//! Carries: I-15.

use std::process::ExitCode;

use bus::launch::{Child, HubConfig, chain};
use hub_actor::hub::Hub;
use tracing_subscriber::EnvFilter;

/// The hub is one thread that makes and drops small things for every flow: with the allocator of the C library a quarter
/// of its time goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // It writes a line for each message that a flood costs, beside our own.
    let filter = match "async_nats=warn".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    hub_actor::process::harden();
    actix::System::new().block_on(run())
}

async fn run() -> ExitCode {
    let mut child = match Child::<HubConfig>::begin().await {
        Ok(child) => child,
        Err(error) => return failed(chain(&error), None).await,
    };
    let hub = match Hub::start(&child).await {
        Ok(hub) => hub,
        Err(error) => return failed(chain(&error), error.hint()).await,
    };
    if let Err(error) = child.ready().await {
        tracing::error!(%error, "nobody heard that the hub is ready");
        hub.stop().await;
        return ExitCode::FAILURE;
    }
    let asked = hub_actor::process::asked_to_stop();
    tokio::select! {
        () = child.stopped() => tracing::info!("the parent wants the hub to stop, or is gone"),
        () = asked => tracing::info!("the hub was asked to stop"),
    }
    hub.stop().await;
    ExitCode::SUCCESS
}

async fn failed(detail: String, hint: Option<String>) -> ExitCode {
    tracing::error!(detail, hint, "the hub does not start");
    bus::launch::failed(detail, hint).await;
    ExitCode::FAILURE
}
