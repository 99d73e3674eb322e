//! The host's word.
//!
//! Answers: does the kernel say that every layer is in force, for the spoke and for its app?
//! Never: asks the spoke; vouches in part.
//! Carries: I-11.

use std::error::Error as _;
use std::time::Instant;

use bus::message::host::{REQUIRED_APP_LAYERS, REQUIRED_LAYERS, SpawnFailure, Vouched};
use jail::Layer;
use jail::report::{Namespaces, Report, Role};
use serde_json::json;

/// Reads what is in force on a spoke, and on its app if it must have one.
///
/// # Errors
/// If anything is not in force, or could not be read.
pub(crate) fn for_spoke(
    pid: u32,
    has_app: bool,
    own: &Namespaces,
    begun: Instant,
) -> Result<Vouched, SpawnFailure> {
    let spoke = complete(pid, Role::Spoke, own, "the spoke")?;
    let app = if has_app {
        let app = jail::report::app_of(pid).map_err(unread)?;
        let app = app.ok_or_else(|| failure("the app has no process".to_owned()))?;
        Some(complete(app, Role::App, own, "the app")?)
    } else {
        None
    };
    let names = |layers: [&str; 6]| layers.map(str::to_owned).to_vec();
    Ok(Vouched {
        layers: names(REQUIRED_LAYERS),
        app_layers: app.as_ref().map(|_| names(REQUIRED_APP_LAYERS)),
        report: json!({"spoke": spoke, "app": app}),
        took_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
    })
}

/// A report in which nothing is missing. The names that the hub compares stand for all layers of the jail:
/// `namespaces` for each of them, `root` for the whole view, and so on; so either all are in force, or none is named.
fn complete(pid: u32, role: Role, own: &Namespaces, whose: &str) -> Result<Report, SpawnFailure> {
    let report = Report::read(pid).map_err(unread)?;
    let missing: Vec<String> = report.missing(role, own).iter().map(Layer::to_string).collect();
    if missing.is_empty() {
        return Ok(report);
    }
    Err(SpawnFailure {
        detail: format!("the kernel does not enforce on {whose}: {}", missing.join(", ")),
        hint: Some("`secgpt doctor` says what this machine can enforce, and what to do".to_owned()),
        elsewhere: false,
    })
}

fn unread(error: jail::Error) -> SpawnFailure {
    let detail = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    SpawnFailure { detail, hint: error.hint().map(str::to_owned), elsewhere: false }
}

fn failure(detail: String) -> SpawnFailure {
    SpawnFailure { detail, hint: None, elsewhere: false }
}
