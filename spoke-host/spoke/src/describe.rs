//! An app that nobody trusts yet is asked what it offers.
//!
//! Answers: in which order does a process start the app in its jail, confine itself and listen to it?
//! Never: comes on the bus; greets the app before its host has seen that the last layer is in force.
//! Carries: I-10, I-11.

use std::process::ExitCode;
use std::time::Duration;

use bus::id::AppId;
use bus::launch::describe::Described;
use bus::message::profile::Wishes;
use jail::app::AppSpec;
use jail::limits::SpokeLimits;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::app::describe::Asked;
use crate::start::{Failed, MAX_ASSIGNMENT, host_pipe, line, words};

/// How long the host may take to read what the kernel enforces.
const WORD: Duration = Duration::from_secs(20);

/// The whole life of such a process; `host` is the process id of the one that started it.
pub fn run(host: u32) -> ExitCode {
    let said = match live(host) {
        Ok(said) => said,
        Err(failed) => failed.described(),
    };
    let failed = matches!(said, Described::Failed { .. });
    // Without a host nobody is left to be told.
    let _ = say(&said);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn live(host: u32) -> Result<Described, Failed> {
    jail::prepare(Some(host), &[])?;
    let limits = SpokeLimits::standard();
    jail::limits::apply_spoke(&limits)?;
    let assignment = line(&mut std::io::stdin().lock(), MAX_ASSIGNMENT)?;
    let (app, wishes, spec): (AppId, Wishes, AppSpec) = serde_json::from_slice(&assignment).map_err(words)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failed::new(format!("no event loop: {error}"), None))?;
    runtime.block_on(async {
        let mut host = host_pipe().map_err(Failed::pipe)?;
        let asked = Asked::start(&spec, app, wishes)?;
        jail::confine::spoke(&limits)?;
        // From here on the process can do nothing but talk; now a stranger may be listened to.
        let asked = asked.runs().await?;
        say(&Described::Ready).map_err(|error| Failed::new(error.to_string(), None))?;
        let asked = asked.unless_it_ends(vouched(&mut host)).await?;
        Ok(Described::Offer(Box::new(asked.offer().await?)))
    })
}

/// Waits for the host's word that it vouches for the app.
async fn vouched(host: &mut pipe::Receiver) -> Result<(), Failed> {
    match tokio::time::timeout(WORD, host.read_u8()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Failed::new("the host went away before it vouched for the app", None)),
        Err(_) => Err(Failed::new(format!("the host did not vouch for the app within {WORD:?}"), None)),
    }
}

fn say(said: &Described) -> std::io::Result<()> {
    use std::io::Write;
    let mut line = serde_json::to_vec(said).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
