//! `secgpt apps add`: an app of a stranger comes in.
//!
//! Answers: what does it offer, what is proposed about it, and does the person agree?
//! Never: runs a line of it outside of its jail; leaves half of it behind; takes it in without somebody's word.
//! Carries: I-06, I-17.

use std::path::{Path, PathBuf};

use bus::id::AppId;
use bus::message::offer::Offer;
use manifest::lock::{DISCOVERED, Lock};
use manifest::{FunctionSpec, Manifest, RESERVED};
use nix::sys::stat::{Mode, umask};
use serde_json::{Value, json};

use super::agree::{self, Word};
use super::folder;
use super::show::of_manifest;
use super::sign_in::{self, Found};
use crate::cli::{Add, Global};
use crate::command::authorize::gateway::Gateway;
use crate::command::{interrupted, print, print_json, say, starting, take_up};
use crate::config::Config;
use crate::error::Error;
use crate::install::discovery::SignIn;
use crate::install::program::{self, Program};
use crate::install::propose::{self, Proposal, Run, effect_name};
use crate::install::remote::{self, Heard};
use crate::install::source::{self, Package, Remote, Source};
use crate::install::staging::{self, Staging};
use crate::install::{access, npm, offer, openapi, pypi};
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
    told(config, global, &manifest, &begun, &place, &lock)?;
    take_up::by_running(config, global, &manifest.app).await?;
    Ok(0)
}

const LOCK: &str = "app.lock";

fn source_of(add: &Add) -> Result<Source, Error> {
    let source = match (&add.pypi, &add.npm, &add.command, &add.url, &add.openapi) {
        (Some(package), ..) => Source::Pypi(Package::pypi(package)?),
        (_, Some(package), ..) => Source::Npm(Package::npm(package)?),
        (_, _, Some(words), ..) => Source::Command(source::command(words)?),
        (_, _, _, Some(url), _) => Source::Url(Remote::parse(url, &add.local)?),
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
#[derive(Default)]
struct Begun {
    /// The lines of the manifest that open the web to it, if some are proposed.
    reach: Option<String>,
    /// The credential that it does not work without.
    wants: Option<String>,
    /// It has not said what it offers, as it wants to know first who asks.
    silent: bool,
    /// How one signs in there, or why that is not known; none where nobody has to.
    sign_in: Option<Found>,
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
    if let Source::Url(remote) = source {
        tell(&format!("asking {} what it offers, through the egress gateway", remote.url));
        return server(config, add, remote, staging, &tell).await;
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
        Source::Openapi(_) | Source::Url(_) => {
            return Err(Error::failed("it is no program of this machine"));
        }
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
    let proposal = callable(&add.app, &offer)?;
    write(add, &program, &offer, &proposal, staging)?;
    Ok(Begun { from: program.from, offer, proposal, ..Begun::default() })
}

/// What is proposed of an offer, if there is anything.
pub(super) fn callable(app: &AppId, offer: &Offer) -> Result<Proposal, Error> {
    let proposal = propose::proposal(offer);
    if proposal.functions.is_empty() {
        let why =
            proposal.left_out.first().map_or("it lists no tools".to_owned(), |why| clean::line(why, 300));
        return Err(Error::failed(format!("{app} offers nothing that can be called")).hint(why));
    }
    Ok(proposal)
}

/// A server on the web is asked under the manifest that will be proposed: it may be reached as it will be at work.
async fn server(
    config: &Config,
    add: &Add,
    remote: &Remote,
    staging: &Staging,
    tell: &dyn Fn(&str),
) -> Result<Begun, Error> {
    let (network, from) = (remote.network(), format!("url {}", remote.url));
    let written = |access: &str, offer: &Offer, proposal: &Proposal| {
        let run = Run::Remote { url: &remote.url, network: &network, access };
        let words = words(offer, "an MCP server on the web");
        staging.write("app.toml", &propose::manifest(&add.app, &words, &run, proposal, &from))
    };
    written("", &Offer::default(), &Proposal::default())?;
    let gateway = Gateway::new(config)?;
    let way = gateway.way(&staging.dir(), None);
    let mut begun = Begun { reach: Some(network.clone()), from: from.clone(), ..Begun::default() };
    let heard = remote::ask(way, &add.app, &remote.url).await;
    match heard.map_err(|error| error.maybe_hint(remote.hint()))? {
        Heard::Offer(offer) => {
            begun.proposal = callable(&add.app, &offer)?;
            begun.offer = *offer;
            written("", &begun.offer, &begun.proposal)?;
            staging.write(DISCOVERED, &discovered(&begun.offer)?)?;
        }
        Heard::SignIn(challenges) => {
            tell("asking how one signs in there");
            let server = (remote.url.as_str(), add.local.as_slice());
            let found = sign_in::ask(&gateway, staging, &add.app, server, &challenges).await;
            let access = access::of_server(&remote.credential_host(), found.as_ref().map_err(String::as_str));
            written(&access.text, &begun.offer, &begun.proposal)?;
            (begun.wants, begun.silent, begun.sign_in) = (access.wanted, true, Some(found));
        }
    }
    Ok(begun)
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
    let openapi::Description { text, offer, proposal, network, access } = openapi::take(place).await?;
    let from = format!("openapi {place}");
    let run = Run::Openapi { file: openapi::FILE, network: &network, access: &access.text };
    staging.write(openapi::FILE, &text)?;
    staging.write(
        "app.toml",
        &propose::manifest(&add.app, &words(&offer, "a web API"), &run, &proposal, &from),
    )?;
    let (reach, wants) = (Some(network), access.wanted);
    Ok(Begun { reach, wants, from, offer, proposal, ..Begun::default() })
}

/// What it says of itself, for its own model and for people.
fn words(offer: &Offer, what: &str) -> String {
    let words = match &offer.instructions {
        Some(words) if !words.trim().is_empty() => words.trim().to_owned(),
        _ if offer.name.is_empty() => what.to_owned(),
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
    let Begun { from, offer, proposal, reach, wants, silent, sign_in } = begun;
    let mut text = format!("{}  ", paint.name(app.as_str()));
    if !offer.name.is_empty() {
        text.push_str(&clean::line(&format!("{} {}", offer.name, offer.version), 200));
        text.push_str("  ");
    }
    text.push_str(&format!("{}\n", paint.dim(&clean::line(from, 200))));
    for function in &proposal.functions {
        let effect = match effect_name(function.effect) {
            "read" => paint.good("read"),
            other => paint.warning(other),
        };
        text.push_str(&format!("  {}  {effect}", paint.bold(&function.name)));
        if !function.destinations.is_empty() {
            text.push_str(&clean::line(&format!("  receives: {}", function.destinations.join(", ")), 200));
        }
        text.push('\n');
        let words = clean::line(&function.words, 110);
        if !words.is_empty() {
            text.push_str(&format!("    {}\n", paint.dim(&words)));
        }
    }
    for why in &proposal.left_out {
        text.push_str(&format!("  {} {}\n", paint.warning("left out:"), clean::line(why, 300)));
    }
    for (what, count) in [("resources", offer.resources.len()), ("prompts", offer.prompts.len())] {
        if 0 < count {
            let how = "which are not offered unless you say so in its manifest";
            text.push_str(&format!("  it also has {count} {what}, {how}\n"));
        }
    }
    if *silent {
        text.push_str("  it does not say what it offers before it knows who asks\n");
    }
    if let Some(found) = sign_in {
        text.push_str(&sign_in::told(found, paint));
    }
    if let Some(name) = wants {
        text.push_str(&format!("  it wants a credential, which its manifest calls {name}\n"));
    }
    text.push_str("  a write asks you first, what is irreversible always does; ");
    text.push_str(&match reach {
        None => "the web is closed to it".to_owned(),
        Some(lines) => format!("of the web it has {}", clean::line(&lines.replace('\n', ", "), 200)),
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
) -> Result<(), Error> {
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
            "prompts": begun.offer.prompts.len(), "enabled": enabled, "wants": begun.wants, "silent": begun.silent,
            "sign_in": begun.sign_in.as_ref().and_then(|found| found.as_ref().ok()).map(SignIn::shown),
            "no_sign_in": begun.sign_in.as_ref().and_then(|found| found.as_ref().err()),
        }))?;
        return Ok(());
    }
    print(&format!("added {app}, pinned; its manifest is {}\n", place.join("app.toml").display()));
    if !enabled {
        say(&format!("`enabled` under [apps] in the settings does not name {app}, so it is not used"));
    }
    if begun.wants.is_some() && !manifest.credentials.is_empty() {
        // Where nobody can register by a program, a person has to have done it.
        let by_hand = matches!(&begun.sign_in, Some(Ok(found)) if found.registration_url.is_none());
        let client = if by_hand { " --client-id ID" } else { "" };
        say(&format!("give it what it wants, or it is not offered: secgpt apps authorize {app}{client}"));
    }
    if begun.silent {
        say(&format!("then have it say what it offers, and agree to that: secgpt apps pin {app}"));
    } else if let Some(function) = manifest.functions.first() {
        say(&format!(
            "try: secgpt ask 'call {app}.{} with {}', or in your own words",
            function.name,
            blanks(function)
        ));
    }
    Ok(())
}

/// What a functionality cannot do without, to be filled in.
fn blanks(function: &FunctionSpec) -> String {
    let required = function.request.value().get("required").and_then(Value::as_array);
    let fields = required.into_iter().flatten().filter_map(Value::as_str);
    let text = fields.map(|field| format!("{}: …", json!(field))).collect::<Vec<_>>().join(", ");
    clean::line(&format!("{{{text}}}"), 200)
}

/// Writes a file of an app that is installed.
pub(super) fn rewrite(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    staging::write(dir, name, text)
}
