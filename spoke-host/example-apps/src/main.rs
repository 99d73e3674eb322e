//! The small apps of the catalogue, each an MCP server over standard input and output.
//!
//! Answers: `example-app NAME` serves the app of that name until its input ends.
//! Never: uses the network, reads outside `APP_DIR` and `APP_DATA`, knows anything of the system around it. These are strangers'
//! apps as far as the system is concerned, and nothing in it treats them otherwise.

mod booking;
mod drive;
mod fare;
mod folder;
mod mail;
mod operation;
mod server;

use std::process::ExitCode;

use crate::folder::Folder;
use crate::operation::App;

const APPS: [&App; 6] = [
    &fare::METRO_HAIL,
    &fare::QUICK_RIDE,
    &booking::TRAVEL_MATE,
    &booking::HEALTH_COMPANION,
    &mail::MAIL,
    &drive::DRIVE,
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), None) = (arguments.next(), arguments.next()) else {
        return usage("exactly one argument is needed");
    };
    let Some(app) = APPS.iter().find(|app| app.name == name) else {
        return usage(&format!("there is no app {name:?}"));
    };
    match server::serve(app, Folder::from_environment()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("example-app {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Standard output belongs to the protocol, so this goes to standard error like every other word to a person.
fn usage(why: &str) -> ExitCode {
    let names = APPS.map(|app| app.name).join(" | ");
    eprintln!("example-app: {why}\nusage: example-app {names}");
    ExitCode::from(2)
}
