//! The program `secgpt`: reads the command line, runs one command, says what went wrong.
//!
//! Answers: with which exit code does it end?
//! Never: ends before the children that it started have been told to.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use runtime::cli::Cli;
use runtime::command;
use runtime::error::{Error, Kind};
use runtime::show;
use runtime::show::paint::{Paint, When};
use runtime::supervisor::child;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some((CHILD, rest)) =
        arguments.split_first().map(|(first, rest)| (first.to_str().unwrap_or_default(), rest))
    {
        return report(&child::become_child(rest), When::Auto);
    }
    let cli = Cli::parse();
    let color = cli.global.color;
    log();
    // One process-wide choice of cryptography for every TLS connection; a second call would only repeat it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread, which is this one: the kernel ties children to the thread that started them, and this one lives
    // as long as the process does.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Error::failed("the runtime does not start").because(error), color),
    };
    let result = runtime.block_on(command::run(cli));
    // A thread that waits for a line of standard input would hold up an orderly end.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => report(&error, color),
    }
}

/// The hidden command, as a pattern.
const CHILD: &str = child::CHILD;

fn report(error: &Error, color: When) -> ExitCode {
    eprint!("{}", show::failure(error, Paint::stderr(color)));
    if error.kind() == Kind::Usage {
        eprintln!("For more, try `secgpt --help`.");
    }
    ExitCode::from(error.kind().exit_code())
}

/// Warnings of ours on standard error; `RUST_LOG` says otherwise.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off,runtime=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .init();
}
