//! The program `spoke-host`.
//!
//! Answers: serve, or say what this machine can enforce?
//! Never: takes settings from its arguments or its environment; they come from its parent.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, None) => serve(),
        (Some("probe"), None) => probe(),
        (Some("describe"), Some(parent)) => match parent.parse() {
            Ok(parent) => spoke_host::describe::run(parent),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: spoke-host                   (started by secgpt)\n       \
                spoke-host probe             (what this machine can enforce)\n       \
                spoke-host describe PARENT   (what an app offers; started by secgpt)"
    );
    ExitCode::from(2)
}

fn serve() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match spoke_host::serve::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the host ends");
            ExitCode::FAILURE
        }
    }
}

fn probe() -> ExitCode {
    match spoke_host::probe::as_json() {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
