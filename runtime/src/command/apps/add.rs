//! `secgpt apps add`: an app of a stranger comes in.
//!
//! Answers: what does it offer, what is proposed about it, and does the person agree?
//! Never: runs a line of it outside of its jail; leaves half of it behind; takes it in without somebody's word.
//! Carries: I-06, I-17.

use std::path::{Path, PathBuf};

use bus::id::AppId;
use bus::message::offer::Offer;
use manifest::lock::{DISCOVERED, Lock};
use manifest::{Manifest, RESERVED};
use nix::sys::stat::{Mode, umask};
use serde_json::{Value, json};

use super::agree::{self, Word};
use super::folder;
use super::show::of_manifest;
use crate::cli::{Add, Global};
use crate::command::{interrupted, print, print_json, say, starting};
use crate::config::Config;
use crate::error::Error;
use crate::install::program::{self, Program};
use crate::install::propose::{self, Proposal, Run, effect_name};
use crate::install::source::{self, Package, Source};
use crate::install::staging::{self, Staging};
use crate::install::{npm, offer, openapi, pypi};
use crate::show::clean;
use crate::show::paint::Paint;
use crate::state::State;

/// Adds one.
///
/// # Errors
/// Why it was not added. Then nothing of it is left.
pub(super) async fn run(config: &Config, global: &Global, add: &Add) -> Result<u8, Error> {
    let source = source_of(add)?;
    free(config, &add.app)?;
    if !add.yes && !agree::anybody() {
        return Err(agree::nobody("adding an app"));
    }
    let read = shown(&add.read)?;
    // Its files are to be read by the user that apps run as; the folder around them is closed.
    umask(Mode::from_bits_truncate(0o022));
    let state = State::open(&config.state_dir)?;
    let staging = Staging::begin(&state, &add.app)?;
    let begun = tokio::select! {
        found = find(config, global, add, &source, &read, &staging) => found?,
        () = interrupted() => return Err(Error::failed("interrupted; nothing was added")),
    };
    let paint = Paint::stderr(global.color);
    if !global.json && !global.quiet {
        say(&summary(&add.app, &begun, paint));
    }
    let Some(manifest) = agreed(config, add, &staging).await? else {
        say("not added");
        return Ok(3);
    };
    let lock = Lock::of(&manifest, begun.from.clone()).map_err(of_manifest)?;
    staging.write(LOCK, &lock.text().map_err(of_manifest)?)?;
    let place = staging.finish()?;
    told(config, global, &manifest, &begun, &place, &lock)
}

const LOCK: &str = "app.lock";

fn source_of(add: &Add) -> Result<Source, Error> {
    let source = match (&add.pypi, &add.npm, &add.command, &add.url, &add.openapi) {
        (Some(package), ..) => Source::Pypi(Package::pypi(package)?),
        (_, Some(package), ..) => Source::Npm(Package::npm(package)?),
        (_, _, Some(words), ..) => Source::Command(source::command(words)?),
        (_, _, _, Some(url), _) => {
            let url = source::address(url)?;
            return Err(Error::failed(format!("a server on the web cannot be asked what it offers before it is known: {url}"))
                .hint("write its manifest yourself, with `url`, `[network]` and a schema for each functionality: see the README of data/apps"));
        }
        (.., Some(description)) => Source::Openapi(description.clone()),
        _ => return Err(Error::usage("where does it come from?").hint("see `secgpt apps add --help`")),
    };
    let package = matches!(source, Source::Pypi(_) | Source::Npm(_));
    if add.entry.is_some() && !package {
        return Err(Error::usage("--entry is for packages of PyPI and npm"));
    }
    let program = package || matches!(source, Source::Command(_));
    if !program && (!add.args.is_empty() || !add.read.is_empty()) {
        return Err(Error::usage("arguments and --read are for apps that run on this machine"));
    }
    Ok(source)
}

/// Is the name free?
fn free(config: &Config, app: &AppId) -> Result<(), Error> {
    if RESERVED.contains(&app.as_str()) {
        return Err(Error::usage(format!("the name {app} is reserved")));
    }
    let taken = folder(config, app)
        .or_else(|| Some(config.apps.added().join(app.as_str())).filter(|dir| dir.exists()));
    match taken {
        Some(dir) => Err(Error::failed(format!("there is an app {app} already, in {}", dir.display()))
            .hint(format!("choose another name, or remove it first: secgpt apps remove {app}"))),
        None => Ok(()),
    }
}

/// What the person shows it, by its real place.
fn shown(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let real = |path: &PathBuf| {
        path.canonicalize().map_err(|error| {
            Error::usage(format!("--read {}: it cannot be shown", path.display())).because(error)
        })
    };
    paths.iter().map(real).collect()
}

/// What was found out about it, before anybody has agreed.
struct Begun {
    /// The line of the manifest that opens the web to it, if one is proposed.
    reach: Option<String>,
    from: String,
    offer: Offer,
    proposal: Proposal,
}

/// Fetches it, asks it, and writes what is proposed into the staging folder.
async fn find(
    config: &Config,
    global: &Global,
    add: &Add,
    source: &Source,
    read: &[PathBuf],
    staging: &Staging,
) -> Result<Begun, Error> {
    let tell = starting(global.quiet || global.json);
    if let Source::Openapi(place) = source {
        tell(&format!("reading {place}"));
        return api(add, place, staging).await;
    }
    let (dir, entry) = (staging.dir(), add.entry.as_deref());
    let mut program = match source {
        Source::Pypi(package) => {
            tell(&format!("fetching {} from PyPI; nothing of it is run", package.name));
            pypi::install(&dir, package, entry, &add.args).await?
        }
        Source::Npm(package) => {
            tell(&format!("fetching {} from npm; nothing of it is run", package.name));
            npm::install(&dir, package, entry, &add.args).await?
        }
        Source::Command(words) => {
            let words: Vec<String> = words.iter().chain(&add.args).cloned().collect();
            program::of_command(&words)?
        }
        Source::Openapi(_) => return Err(Error::failed("it is no program of this machine")),
    };
    program.read.extend(read.iter().filter(|path| !program::is_visible(path)).cloned());
    tell(&format!("asking {} in its jail what it offers", add.app));
    let start = offer::Start {
        app: &add.app,
        command: &program.command,
        read: &program.read,
        limits: config.limits,
        dir: &dir,
        data: &staging.scratch("data"),
    };
    let offer = offer::ask(&start).await?;
    let proposal = propose::proposal(&offer);
    if proposal.functions.is_empty() {
        return Err(Error::failed(format!("{} offers nothing that can be called", add.app)).hint(
            proposal.left_out.first().map_or("it lists no tools".to_owned(), |why| clean::line(why, 300)),
        ));
    }
    write(add, &program, &offer, &proposal, staging)?;
    Ok(Begun { reach: None, from: program.from, offer, proposal })
}

fn write(
    add: &Add,
    program: &Program,
    offer: &Offer,
    proposal: &Proposal,
    staging: &Staging,
) -> Result<(), Error> {
    let run = Run::Command { command: &program.command, read: &program.read };
    staging.write(
        "app.toml",
        &propose::manifest(&add.app, &words(offer, "an MCP server"), &run, proposal, &program.from),
    )?;
    staging.write(DISCOVERED, &discovered(offer)?)
}

/// A web API is not started: its description says all that it offers.
async fn api(add: &Add, place: &str, staging: &Staging) -> Result<Begun, Error> {
    let openapi::Description { text, offer, proposal, network } = openapi::take(place).await?;
    let from = format!("openapi {place}");
    let reach = Some(network.clone());
    let run = Run::Openapi { file: openapi::FILE, network };
    staging.write(openapi::FILE, &text)?;
    staging.write(
        "app.toml",
        &propose::manifest(&add.app, &words(&offer, "a web API"), &run, &proposal, &from),
    )?;
    Ok(Begun { reach, from, offer, proposal })
}

/// What it says of itself, for its own model and for people.
fn words(offer: &Offer, what: &str) -> String {
    let words = match &offer.instructions {
        Some(words) if !words.trim().is_empty() => words.trim().to_owned(),
        _ => format!("{} {}, {what}", offer.name, offer.version),
    };
    words.chars().take(4000).collect()
}

/// What it said, as it is kept.
pub(super) fn discovered(offer: &Offer) -> Result<String, Error> {
    serde_json::to_string_pretty(&offer::by_name(offer))
        .map(|text| text + "\n")
        .map_err(|error| Error::failed("what the app said cannot be written").because(error))
}

/// The manifest that the person agrees to; none if they do not.
async fn agreed(config: &Config, add: &Add, staging: &Staging) -> Result<Option<Manifest>, Error> {
    let dir = staging.dir();
    loop {
        let manifest = Manifest::as_it_stands(&dir, &config.limits).map_err(of_manifest);
        if add.yes {
            return manifest.map(Some);
        }
        let question = match &manifest {
            Ok(_) => format!("Add {} like this?", add.app),
            Err(error) => {
                say(&clean::line(&error.line(), 2000));
                "This manifest cannot be used. Change it?".to_owned()
            }
        };
        match (agree::ask(&question, true).await?, manifest) {
            (Word::Yes, Ok(manifest)) => return Ok(Some(manifest)),
            (Word::No, _) => return Ok(None),
            (Word::Yes | Word::Edit, _) => agree::edit(&dir.join("app.toml")).await?,
        }
    }
}

/// What it offers and what is proposed, for a terminal.
fn summary(app: &AppId, begun: &Begun, paint: Paint) -> String {
    let Begun { from, offer, proposal, reach } = begun;
    let server = clean::line(&format!("{} {}", offer.name, offer.version), 200);
    let mut text =
        format!("{}  {server}  {}\n", paint.name(app.as_str()), paint.dim(&clean::line(from, 200)));
    for function in &proposal.functions {
        let effect = match effect_name(function.effect) {
            "read" => paint.good("read"),
            other => paint.warning(other),
        };
        text.push_str(&format!("  {}  {effect}", paint.bold(&function.name)));
        if !function.destinations.is_empty() {
            text.push_str(&clean::line(&format!("  receives: {}", function.destinations.join(", ")), 200));
        }
        text.push_str(&format!("\n    {}\n", paint.dim(&clean::line(&function.words, 110))));
    }
    for why in &proposal.left_out {
        text.push_str(&format!("  {} {}\n", paint.warning("left out:"), clean::line(why, 300)));
    }
    for (what, count) in [("resources", offer.resources.len()), ("prompts", offer.prompts.len())] {
        if 0 < count {
            text.push_str(&format!("  it also has {count} {what}, which are not offered\n"));
        }
    }
    text.push_str("  a write asks you first, what is irreversible always does; ");
    text.push_str(&match reach {
        None => "the web is closed to it".to_owned(),
        Some(line) => format!("of the web it has {}", clean::line(line, 200)),
    });
    text
}

fn told(
    config: &Config,
    global: &Global,
    manifest: &Manifest,
    begun: &Begun,
    place: &Path,
    lock: &Lock,
) -> Result<u8, Error> {
    let app = &manifest.app;
    let enabled = config.apps.enabled.as_ref().is_none_or(|enabled| enabled.contains(app));
    if global.json {
        let functions: Vec<Value> = manifest
            .functions
            .iter()
            .map(|function| {
                json!({"name": function.name, "effect": function.effect, "destinations": function.destinations,
                       "signature": function.signature(app)})
            })
            .collect();
        print_json(&json!({
            "app": app, "dir": place, "from": begun.from, "pinned": lock.hash, "functionalities": functions,
            "left_out": begun.proposal.left_out, "resources": begun.offer.resources.len(),
            "prompts": begun.offer.prompts.len(), "enabled": enabled,
        }))?;
        return Ok(0);
    }
    print(&format!("added {app}, pinned; its manifest is {}\n", place.join("app.toml").display()));
    if !enabled {
        say(&format!("`enabled` under [apps] in the settings does not name {app}, so it is not used"));
    }
    if State::open(&config.state_dir)?.try_lock()?.is_err() {
        say("the secgpt that runs now takes it up when it is started again");
    }
    if let Some(function) = manifest.functions.first() {
        say(&format!("try: secgpt ask 'call {app}.{} with {{…}}', or in your own words", function.name));
    }
    Ok(0)
}

/// Writes a file of an app that is installed.
pub(super) fn rewrite(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    staging::write(dir, name, text)
}
