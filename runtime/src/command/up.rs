//! `secgpt up`: everything runs until somebody wants it to end.
//!
//! Answers: is it up, where, with which model?
//! Never: returns before everything has stopped.

use serde_json::json;

use super::{interrupted, print, print_json, starting};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::show::paint::Paint;
use crate::system::System;

/// Starts everything and stays.
///
/// # Errors
/// If something does not start, or ends too often.
pub async fn run(config: &Config, global: &Global) -> Result<u8, Error> {
    let mut system = tokio::select! {
        system = System::start(config, "up", starting(global.quiet || global.json)) => system?,
        () = interrupted() => return Err(Error::failed("interrupted during the start")),
    };
    let (url, state) = (&system.address().url, config.state_dir.display());
    if global.json {
        print_json(&json!({
            "ready": true, "url": url, "state": state.to_string(), "pid": std::process::id(), "model": system.model, "note": system.note
        }))?;
    } else {
        let paint = Paint::stdout(global.color);
        let model = system.note.as_ref().or(system.model.as_ref()).map_or("", String::as_str);
        print(&format!(
            "{}  bus {url}\n       model {model}\n       state {state}\n       `secgpt ask …`, `secgpt chat` and `secgpt tap` join from other terminals; Ctrl-C stops everything\n",
            paint.good("ready")
        ));
    }
    let result = system
        .during(async {
            interrupted().await;
            Ok(())
        })
        .await;
    if !global.quiet && !global.json && result.is_ok() {
        print("stopping\n");
    }
    system.close().await;
    result.map(|()| 0)
}
