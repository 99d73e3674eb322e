//! The commands, one file each.
//!
//! Answers: which command does what, and with which exit code does it end?
//! Never: prints an error in two places; what went wrong comes back here.

mod acl;
mod apps;
mod ask;
pub mod authorize;
mod case_study;
mod chat;
mod defaults;
mod doctor;
mod grants;
mod host;
mod memory;
mod model;
mod policy;
mod stats;
mod take_up;
mod tap;
mod up;

use std::io::Write;

use bus::id::UserId;
use clap::CommandFactory;

use crate::cli::{Chat, Cli, Command};
use crate::config::{self, Config};
use crate::environment;
use crate::error::Error;

pub use ask::{exit_of, failed_outcome};

/// Does what was asked for; the result is the exit code.
///
/// # Errors
/// What went wrong, to be printed.
pub async fn run(cli: Cli) -> Result<u8, Error> {
    let global = &cli.global;
    let config = || config::load(&global.sources());
    match cli.command.unwrap_or_else(|| Command::Chat(Chat::default())) {
        Command::Chat(chat) => chat::run(&config()?, global, &chat).await,
        Command::Ask(ask) => ask::run(config(), global, &ask).await,
        Command::Up => up::run(&config()?, global).await,
        Command::Tap(tap) => tap::run(&config()?, global, &tap).await,
        Command::Apps(apps) => apps::run(&config()?, global, &apps).await,
        Command::Grants(grants) => grants::run(&config()?, global, &grants).await,
        Command::Stats(stats) => stats::run(&config()?, global, &stats).await,
        Command::Policy(policy) => policy::run(config, global, &policy),
        Command::Memory(memory) => memory::run(&config()?, global, &memory).await,
        Command::Acl => acl::run(global),
        Command::Doctor => doctor::run(&config()?, global).await,
        Command::CaseStudy(study) => case_study::run(&config()?, global, &study).await,
        Command::Host(host) => host::run(&config()?, global, &host).await,
        Command::Model(model) => model::run(&config()?, global, &model).await,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "secgpt", &mut text);
            print(&String::from_utf8_lossy(&text));
            Ok(0)
        }
    }
}

/// For whom: as given, else the login name, else `me`.
fn user(given: Option<&UserId>) -> Result<UserId, Error> {
    match given {
        Some(user) => Ok(user.clone()),
        None => {
            let login = environment::login_name().and_then(|name| UserId::parse(&name).ok());
            login.map_or_else(|| Ok(UserId::parse("me")?), Ok)
        }
    }
}

/// Writes to standard output. A reader that has gone away, as `head` does, is no error.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Keeps a query for `policy explain`. That it could not be kept does not change what was answered.
pub fn remember(config: &Config, past: crate::past::Past) {
    if let Err(error) = crate::past::keep(&config.state_dir, past) {
        tracing::warn!(error = error.line(), "the query is not kept for `policy explain`");
    }
}

/// Writes to standard error, for the person beside the pipe.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// One JSON object on a line.
fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value)
        .map_err(|error| Error::failed("the answer cannot be written as JSON").because(error))?;
    print(&format!("{text}\n"));
    Ok(())
}

/// Returns when somebody wants this process to end: Ctrl-C, or a signal.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // Without a handler the signal ends the process by itself.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Says on standard error what is being started, unless quiet.
fn starting(quiet: bool) -> impl Fn(&str) {
    let progress =
        crate::show::Progress::new(if quiet { crate::show::Quiet::Yes } else { crate::show::Quiet::No });
    move |what| progress.say(what)
}

/// Something about the whole system that commands with one request need: open, ask, close.
async fn admin(
    config: &Config,
    quiet: bool,
    user: &UserId,
    what: &bus::message::user::Admin,
) -> Result<serde_json::Value, Error> {
    let mut system = crate::system::System::open(config, "admin", starting(quiet)).await?;
    let client = system.client(user).await;
    let result = match client {
        Ok(client) => system.during(client.admin(what)).await,
        Err(error) => Err(error),
    };
    system.close().await;
    result
}
