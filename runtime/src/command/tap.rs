//! `secgpt tap`: everything that is said, live.
//!
//! Answers: what crosses the bus now?
//! Never: says anything; its credential has no right to.
//! Carries: I-09.

use bus::subject::pattern;
use futures_util::StreamExt;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::{interrupted, print, print_json, say};
use crate::cli::{self, Global};
use crate::config::Config;
use crate::error::Error;
use crate::show::paint::Paint;
use crate::system::System;
use crate::tapped::{Filter, Tapped};

/// Watches until interrupted.
///
/// # Errors
/// If nothing runs, or the broker does not accept the credential.
pub async fn run(config: &Config, global: &Global, tap: &cli::Tap) -> Result<u8, Error> {
    let system = System::join(config).await?;
    let bus = system.tap().await?;
    // As it comes, not as a conversation of ours: what is malformed must be seen, too.
    let mut messages = bus
        .nats()
        .subscribe(pattern::ALL)
        .await
        .map_err(|error| Error::failed("the bus cannot be listened to").because(error))?;
    bus.flush().await?;
    let filter = Filter {
        app: tap.app.clone(),
        user: tap.user.clone(),
        kind: tap.kind.clone(),
        label: tap.label.clone(),
    };
    let paint = Paint::stdout(global.color);
    let mut listening = global.quiet;
    let mut stop = std::pin::pin!(interrupted());
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = &mut stop => return Ok(0),
        };
        let Some(message) = message else {
            return Err(Error::failed("the connection to the bus was closed"));
        };
        if !listening {
            // The first message shows that the subscription stands; hosts speak every second.
            say(&format!("listening on {}; Ctrl-C ends", system.address().url));
            listening = true;
        }
        if !filter.may_pass(&message) {
            continue;
        }
        let tapped = Tapped::read(&message, now());
        if !tapped.passes(&filter) {
            continue;
        }
        match global.json {
            true => print_json(&tapped.json())?,
            false => print(&format!("{}\n", tapped.line(width(), paint))),
        }
    }
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Iso8601::DEFAULT).unwrap_or_default()
}

/// Columns of the terminal; a pipe is wide.
fn width() -> usize {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return 400;
    }
    crossterm::terminal::size().map_or(120, |(columns, _)| usize::from(columns))
}
