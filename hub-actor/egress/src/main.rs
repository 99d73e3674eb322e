//! The only way out. Started by `secgpt`; `egress-gateway credential …` is what `secgpt apps authorize` runs.

use std::process::ExitCode;

use bus::launch::{Child, EgressConfig};
use bus::subject::Auditor;
use clap::Parser;
use egress_gateway::allowed_host::Suffixes;
use egress_gateway::app_rules::Shelf;
use egress_gateway::command::{self, Command};
use egress_gateway::credential::Credentials;
use egress_gateway::dial::system_resolver;
use egress_gateway::fetch::{Web, trust};
use egress_gateway::limit::STANDARD;
use egress_gateway::serve::{Gateway, NAME};
use gateway::process::{NotStarted, begin, run, until_stopped};

/// What is logged unless `RUST_LOG` says otherwise.
const LOG: &str = "info";

/// What is never logged, whatever `RUST_LOG` says: these log headers, and headers hold credentials.
const SILENT: [&str; 4] = ["hyper=off", "hyper_util=off", "reqwest=off", "h2=off"];

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
    begin(LOG, &SILENT);
    match arguments.command {
        Some(command) => command::run(command),
        None => run(serve()),
    }
}

async fn serve() -> Result<(), NotStarted> {
    let mut child = Child::<EgressConfig>::begin().await?;
    let config = &child.config;
    let suffixes = match &config.suffix_list {
        None => Suffixes::shipped()?,
        Some(path) => {
            let wrong = |detail: String| {
                NotStarted::new(detail).hint("correct or remove the path of the suffix list in secgpt.toml")
            };
            let text = std::fs::read_to_string(path)
                .map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))?;
            Suffixes::read(&text).map_err(|error| wrong(format!("{}: {error}", path.display())))?
        }
    };
    let tls = trust(config.tls_ca.as_deref()).map_err(|error| {
        NotStarted::new(error.to_string()).hint("correct or remove the certificate authority in secgpt.toml")
    })?;
    let credentials =
        Credentials::open(&config.credentials, config.credentials_key.as_ref()).map_err(|error| {
            NotStarted::from(error)
                .hint("bring the right key, or remove the folder and authorize the apps anew")
        })?;
    let shelf = Shelf::read(config.apps.clone(), suffixes);
    let web = Web::new(system_resolver(), tls, STANDARD);
    let bus = child.connect(NAME.listed, Auditor::Egress).await?;
    let (gateway, ears) = Gateway::start(bus, shelf, web, credentials).await?;
    child.ready().await?;
    until_stopped(&mut child, gateway.serve(ears)).await;
    Ok(())
}
