//! `secgpt apps pin`: a person agrees to an app as it is now.
//!
//! Answers: what has changed since they last agreed, in its words, its schemas, its files?
//! Never: pins what was not shown; starts the app outside of its jail.
//! Carries: I-17.

mod first;

use std::collections::BTreeMap;

use bus::message::offer::{Offer, Tool};
use manifest::lock::{Change, DISCOVERED, Lock, said};
use manifest::{AppKind, Manifest};
use serde_json::json;

use super::agree::{self, Word};
use super::show::of_manifest;
use super::{add, folder, sign_in, unknown};
use crate::cli::{Global, Pin};
use crate::command::authorize::gateway::Gateway;
use crate::command::{interrupted, print, print_json, say, starting, take_up, user};
use crate::config::Config;
use crate::error::Error;
use crate::install::remote::{self, Heard};
use crate::install::source::Remote;
use crate::install::staging::Staging;
use crate::install::{access, difference, offer, propose};
use crate::show::clean;
use crate::show::paint::Paint;
use crate::state::State;

/// Pins one.
///
/// # Errors
/// If there is no such app, its manifest is wrong, or it does not say what it offers.
pub(super) async fn run(config: &Config, global: &Global, pin: &Pin) -> Result<u8, Error> {
    let dir = folder(config, &pin.app).ok_or_else(|| unknown(config, &pin.app))?;
    let manifest = Manifest::as_it_stands(&dir, &config.limits).map_err(of_manifest)?;
    let asked = ask(config, global, &manifest).await?;
    let (first, manifest) = match &asked {
        Some(offer) if first::is_due(&manifest) => {
            let (first, manifest) = first::propose(config, &manifest, offer)?;
            (Some(first), manifest)
        }
        _ => (None, manifest),
    };
    let now = match &asked {
        Some(offer) => offer::by_name(offer),
        None => said(&manifest).map_err(of_manifest)?,
    };
    missing(&manifest, asked.as_ref())?;
    let old = match Lock::read(&dir) {
        Ok(old) => old,
        Err(error) => {
            say(&clean::line(&format!("warning: {error}"), 2000));
            None
        }
    };
    let changes = match &old {
        Some(lock) => lock.changes(&dir, &now).map_err(of_manifest)?,
        // What was never pinned is compared with what its own files say.
        None => Lock::of(&manifest, String::new())
            .and_then(|lock| lock.changes(&dir, &now))
            .map_err(of_manifest)?,
    };
    if let (true, Some(lock)) = (changes.is_empty(), &old)
        && lock.hash == manifest.hash
    {
        take_up::by_running(config, global, &manifest.app).await?;
        return told(global, &manifest, &changes, "nothing has changed");
    }
    if !global.json {
        print(&difference::text(&changes, Paint::stdout(global.color)));
    }
    if !pin.yes {
        if !agree::anybody() {
            return Err(agree::nobody("pinning an app"));
        }
        if agree::ask(&format!("Use {} like this from now on?", pin.app), false).await? != Word::Yes {
            say("not pinned");
            return Ok(3);
        }
    }
    if let Some(offer) = &asked {
        add::rewrite(&dir, DISCOVERED, &add::discovered(offer)?)?;
    }
    // Read anew: what was shown is what is pinned, or nothing is.
    let manifest = Manifest::as_it_stands(&dir, &config.limits).map_err(of_manifest)?;
    let from = old.map(|lock| lock.from).unwrap_or_default();
    let lock = Lock::of(&manifest, from).map_err(of_manifest)?;
    add::rewrite(&dir, "app.lock", &lock.text().map_err(of_manifest)?)?;
    if let Some(first) = first {
        first.keep();
    }
    offered_anew(&manifest, &now);
    take_up::by_running(config, global, &manifest.app).await?;
    told(global, &manifest, &changes, "pinned")
}

/// What the server says today; none for an app whose files say it all.
async fn ask(config: &Config, global: &Global, manifest: &Manifest) -> Result<Option<Offer>, Error> {
    let pinned = manifest.dir.join(DISCOVERED).is_file();
    let asking = async {
        match &manifest.kind {
            AppKind::Stdio { command } if pinned => jailed(config, global, manifest, command).await.map(Some),
            AppKind::Remote { url } if pinned || first::is_due(manifest) => {
                far(config, global, manifest, url).await
            }
            _ => Ok(None),
        }
    };
    tokio::select! {
        offer = asking => offer,
        () = interrupted() => Err(Error::failed("interrupted; nothing was pinned")),
    }
}

async fn jailed(
    config: &Config,
    global: &Global,
    manifest: &Manifest,
    command: &[String],
) -> Result<Offer, Error> {
    starting(global.quiet || global.json)(&format!("asking {} in its jail what it offers", manifest.app));
    let state = State::open(&config.state_dir)?;
    let staging = Staging::begin(&state, &manifest.app)?;
    let start = offer::Start {
        app: &manifest.app,
        command,
        read: &manifest.read,
        limits: manifest.limits,
        dir: &manifest.dir,
        data: &staging.scratch("data"),
    };
    offer::ask(&start).await
}

/// A server on the web, with what the person has given for it. If that is not enough, a manifest that was changed is pinned
/// without its word: the change may be what it takes, and what is not pinned cannot be given a credential.
async fn far(
    config: &Config,
    global: &Global,
    manifest: &Manifest,
    url: &str,
) -> Result<Option<Offer>, Error> {
    let app = &manifest.app;
    let what = clean::line(&format!("asking {url} what it offers, through the egress gateway"), 600);
    starting(global.quiet || global.json)(&what);
    let gateway = Gateway::new(config)?;
    let way = gateway.way(&manifest.dir, Some(&user(None)?));
    let challenges = match remote::ask(way, app, url).await? {
        Heard::Offer(offer) => return Ok(Some(*offer)),
        Heard::SignIn(challenges) => challenges,
    };
    let pinned = Lock::read(&manifest.dir).ok().flatten().is_some_and(|lock| lock.hash == manifest.hash);
    let hint = if manifest.credentials.is_empty() {
        let file = manifest.dir.join("app.toml").display().to_string();
        if !global.json && !global.quiet {
            say(&proposed(config, global, &gateway, manifest, url, &challenges).await?);
        }
        format!("name a credential under [credentials] in {file}, and pin it again")
    } else {
        format!("run `secgpt apps authorize {app}`, and pin it again")
    };
    let silent = format!("{app} does not say what it offers before it knows who asks");
    if pinned {
        return Err(Error::failed(silent).hint(hint));
    }
    say(&format!("{silent}; {hint}"));
    Ok(None)
}

/// What the manifest of a server could say that wants a sign-in by now.
async fn proposed(
    config: &Config,
    global: &Global,
    gateway: &Gateway,
    manifest: &Manifest,
    url: &str,
    challenges: &[String],
) -> Result<String, Error> {
    let local = &manifest.network.local;
    let staging = Staging::begin(&State::open(&config.state_dir)?, &manifest.app)?;
    let found = sign_in::ask(gateway, &staging, &manifest.app, (url, local), challenges).await;
    let host = Remote::parse(url, local)?.credential_host();
    let lines = access::of_server(&host, found.as_ref().map_err(String::as_str)).text;
    Ok(format!("{}{}", sign_in::told(&found, Paint::stderr(global.color)), clean::lines(&lines)))
}

/// A functionality that the server no longer has cannot be used; its entry has to go first.
fn missing(manifest: &Manifest, asked: Option<&Offer>) -> Result<(), Error> {
    let Some(offer) = asked else { return Ok(()) };
    let gone: Vec<&str> = manifest
        .functions
        .iter()
        .filter(|function| function.pinned.is_some())
        .map(|function| function.name.as_str())
        .filter(|name| !offer.tools.iter().any(|tool| tool.name == *name))
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!("{} no longer offers {}", manifest.app, gone.join(", ")))
        .hint(format!("take the entry out of {} and pin it again", manifest.dir.join("app.toml").display())))
}

/// What it offers and the manifest does not name is not used; the person may want it.
fn offered_anew(manifest: &Manifest, now: &BTreeMap<String, Tool>) {
    let unused =
        now.values().filter(|tool| !manifest.functions.iter().any(|own| own.name.as_str() == tool.name));
    let unused: Vec<Tool> = unused.cloned().collect();
    if unused.is_empty() || !manifest.dir.join(DISCOVERED).is_file() {
        return;
    }
    let proposal = propose::proposal(&Offer { tools: unused, ..Offer::default() });
    let names: Vec<&str> = proposal.functions.iter().map(|function| function.name.as_str()).collect();
    if !names.is_empty() {
        say(&clean::line(&format!("not in its manifest, so not used: {}", names.join(", ")), 600));
    }
}

fn told(global: &Global, manifest: &Manifest, changes: &[Change], what: &str) -> Result<u8, Error> {
    let app = &manifest.app;
    if global.json {
        let lock = Lock::read(&manifest.dir).ok().flatten();
        let pinned = lock.map(|lock| lock.hash);
        print_json(&json!({"app": app, "pinned": pinned, "changes": difference::json(changes)}))?;
        return Ok(0);
    }
    print(&format!("{app}: {what}\n"));
    Ok(0)
}
