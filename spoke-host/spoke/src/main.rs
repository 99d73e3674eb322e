//! The program `spoke`: one app, alone.
//!
//! Answers: which of its two lives does this process lead, the operator's or the app launcher's?
//! Never: takes anything but the host's process id and the jail's own description from its arguments.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("run"), Some(host)) => match host.parse() {
            Ok(host) => spoke::start::run(host),
            Err(_) => usage(),
        },
        (Some("describe"), Some(host)) => match host.parse() {
            Ok(host) => spoke::describe::run(host),
            Err(_) => usage(),
        },
        (Some("app"), Some(spec)) => match serde_json::from_str(&spec) {
            Ok(spec) => jail::app::run(spec),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("this program is started by spoke-host, which is started by secgpt; see `secgpt up`");
    ExitCode::from(2)
}
