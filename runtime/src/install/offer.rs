//! An app is started in its jail and asked what it offers.
//!
//! Answers: which tools, resources and prompts does the server list, before anybody has agreed to anything?
//! Never: starts the app anywhere but in the jail; gives it a user's data, a way out or a place on the bus.
//! Carries: I-12, I-17.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bus::id::AppId;
use bus::launch::describe::{Described, Request};
use bus::message::offer::{Offer, Tool};
use bus::message::profile::{Kind, Limits, Profile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::environment;
use crate::error::Error;
use crate::supervisor::{HOST, program};

/// How long the whole may take; the host gives up before.
const LIMIT: Duration = Duration::from_secs(100);

/// More than the host hands on.
const MAX_ANSWER: u64 = 16 << 20;

/// What is needed to start a program in its jail.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The app's name.
    pub app: &'a AppId,
    /// Program and arguments.
    pub command: &'a [String],
    /// What it sees besides the system's own folders.
    pub read: &'a [std::path::PathBuf],
    /// What it may use.
    pub limits: Limits,
    /// Its folder.
    pub dir: &'a Path,
    /// A folder for its data, made for this run.
    pub data: &'a Path,
}

/// Starts it and asks.
///
/// # Errors
/// Why it could not be started or asked, with its last words and what to do.
pub async fn ask(start: &Start<'_>) -> Result<Offer, Error> {
    let profile = Profile {
        app: start.app.clone(),
        kind: Kind::Stdio { command: start.command.to_vec(), env: BTreeMap::new() },
        description: String::new(),
        functions: Vec::new(),
        limits: start.limits,
        read: start.read.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        network: false,
        wishes: bus::message::profile::Wishes::default(),
    };
    let request =
        Request { profile, dir: start.dir.to_owned(), data: start.data.to_owned(), spoke: program("spoke")? };
    let request = serde_json::to_vec(&request)
        .map_err(|error| Error::failed("the app cannot be described to its jail").because(error))?;
    let said = tokio::time::timeout(LIMIT, host(&request))
        .await
        .map_err(|_| Error::failed(format!("{} did not answer within {} s", start.app, LIMIT.as_secs())))??;
    match said {
        Described::Offer(offer) => Ok(*offer),
        Described::Failed { detail, hint } => Err(Error::failed(detail).maybe_hint(hint)),
        Described::Ready => Err(Error::failed("the host of spokes said nothing of the app")),
    }
}

async fn host(request: &[u8]) -> Result<Described, Error> {
    let lost = |error: std::io::Error| Error::failed(format!("{HOST} was lost")).because(error);
    let mut child = Command::new(program(HOST)?)
        .arg("describe")
        .arg(std::process::id().to_string())
        .env_clear()
        .envs(environment::for_children())
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::failed(format!("{HOST} cannot be started")).because(error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended, what it said is the better word.
        let _ = stdin.write_all(request).await;
    }
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_end(&mut said).await.map_err(lost)?;
    }
    let status = child.wait().await.map_err(lost)?;
    serde_json::from_slice(&said).map_err(|error| {
        Error::failed(format!("{HOST} ended without a word ({status})"))
            .because(error)
            .hint("do all programs come from the same build?")
    })
}

/// What it said of each tool, by name.
#[must_use]
pub fn by_name(offer: &Offer) -> BTreeMap<String, Tool> {
    offer.tools.iter().map(|tool| (tool.name.clone(), tool.clone())).collect()
}
