//! The only way out. Started by `secgpt`; `egress-gateway credential …` is what `secgpt apps authorize` runs.

use std::process::ExitCode;

use bus::launch::{Child, EgressConfig, failed};
use bus::subject::Auditor;
use clap::Parser;
use egress_gateway::allowed_host::Suffixes;
use egress_gateway::app_rules::Book;
use egress_gateway::command::{self, Command};
use egress_gateway::credential::Credentials;
use egress_gateway::dial::system_resolver;
use egress_gateway::fetch::{Web, trust};
use egress_gateway::limit::STANDARD;
use egress_gateway::serve::{Gateway, NAME};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const LOG: &str = "info";

/// What is never logged, whatever `RUST_LOG` says: the first ones log headers, and those hold credentials; the last writes
/// a line for each message that a flood costs, beside our own.
const SILENT: [&str; 5] = ["hyper=off", "hyper_util=off", "reqwest=off", "h2=off", "async_nats=warn"];

/// The only way out of the system for apps' requests.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Without a command it is a part of the system and is started by `secgpt`.
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    for directive in SILENT {
        if let Ok(directive) = directive.parse() {
            filter = filter.add_directive(directive);
        }
    }
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Whoever started this may be killed without a word; then this ends too.
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM) {
        tracing::warn!(%error, "this process would outlive its parent");
    }
    if let Some(command) = arguments.command {
        return command::run(command);
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
            failed(detail, hint.map(str::to_owned)).await;
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), (String, Option<&'static str>)> {
    let plain = |error: &dyn std::error::Error| (command::chain(error), None);
    let mut child = Child::<EgressConfig>::begin().await.map_err(|error| plain(&error))?;
    let config = &child.config;
    let suffixes = match &config.suffix_list {
        None => Suffixes::shipped().map_err(|error| plain(&error))?,
        Some(path) => {
            let hint = Some("correct or remove the path of the suffix list in secgpt.toml");
            let text = std::fs::read_to_string(path)
                .map_err(|error| (format!("{} cannot be read: {error}", path.display()), hint))?;
            Suffixes::read(&text).map_err(|error| (format!("{}: {error}", path.display()), hint))?
        }
    };
    let tls = trust(config.tls_ca.as_deref()).map_err(|error| {
        (error.to_string(), Some("correct or remove the certificate authority in secgpt.toml"))
    })?;
    let credentials =
        Credentials::open(&config.credentials, config.credentials_key.as_ref()).map_err(|error| {
            (
                command::chain(&error),
                Some("bring the right key, or remove the folder and authorize the apps anew"),
            )
        })?;
    let book = Book::load(&config.apps, &suffixes);
    let web = Web::new(system_resolver(), tls, STANDARD);
    let bus = child.connect(NAME, Auditor::Egress).await.map_err(|error| plain(&error))?;
    let (gateway, ears) = Gateway::start(bus, book, web, credentials).await.map_err(|error| plain(&error))?;
    child.ready().await.map_err(|error| plain(&error))?;
    gateway
        .serve(ears, async {
            child.stopped().await;
            tracing::info!("the parent wants it to stop");
        })
        .await;
    Ok(())
}
