//! `secgpt apps show`: everything that is known of one app.
//!
//! Answers: what can it do, what may it use, what was pinned, and does the running hub know it so?
//! Never: starts it, or anything else.

use std::path::Path;

use bus::id::{AppId, UserId};
use bus::message::user::Admin;
use manifest::lock::Lock;
use manifest::{AppKind, Manifest};
use serde_json::{Value, json};

use super::{folder, unknown};
use crate::cli::Global;
use crate::command::{print, print_json};
use crate::config::Config;
use crate::error::Error;
use crate::install::propose::effect_name;
use crate::show::clean;
use crate::show::paint::Paint;
use crate::system::System;

/// Shows one.
///
/// # Errors
/// If there is no such app.
pub(super) async fn run(config: &Config, global: &Global, app: &AppId) -> Result<u8, Error> {
    let dir = folder(config, app).ok_or_else(|| unknown(config, app))?;
    let (manifest, problem) = match Manifest::load(&dir, &config.limits) {
        Ok(manifest) => (manifest, None),
        Err(problem) => (Manifest::as_it_stands(&dir, &config.limits).map_err(of_manifest)?, Some(problem)),
    };
    let mut described = describe(&manifest, if problem.is_none() { "ok" } else { "changed" });
    let running = running(config, app).await;
    if let Value::Object(fields) = &mut described {
        fields.insert("running".into(), running.clone().unwrap_or_default());
        fields.insert("problem".into(), json!(problem.as_ref().map(ToString::to_string)));
    }
    if global.json {
        print_json(&described)?;
        return Ok(0);
    }
    let paint = Paint::stdout(global.color);
    if let Some(problem) = &problem {
        let hint = problem.hint.as_deref().unwrap_or_default();
        print(&format!("{}\n  {}\n", paint.bad(&clean::line(&problem.what, 600)), clean::line(hint, 300)));
    }
    show(&manifest, running.as_ref(), paint)?;
    Ok(0)
}

/// As an error of ours.
pub(super) fn of_manifest(error: manifest::ManifestError) -> Error {
    Error::failed(clean::line(&error.to_string(), 2000)).maybe_hint(error.hint)
}

/// What the running hub says of it; none if none runs or it does not know the app.
async fn running(config: &Config, app: &AppId) -> Option<Value> {
    let system = System::join(config).await.ok()?;
    let client = system.client(&UserId::parse("me").ok()?).await.ok()?;
    let apps = client.admin(&Admin::Apps).await.ok();
    system.close().await;
    let found = apps?.as_array()?.iter().find(|entry| entry.get("app") == Some(&json!(app)))?.clone();
    Some(json!({"hash": found.get("hash"), "problem": found.get("problem")}))
}

/// Where it came from, if it was added.
pub(super) fn origin(dir: &Path) -> Option<String> {
    Lock::read(dir).ok()?.map(|lock| lock.from).filter(|from| !from.is_empty())
}

pub(super) fn effect(function: &manifest::FunctionSpec) -> String {
    effect_name(function.effect).to_owned()
}

/// For programs.
pub(super) fn describe(app: &Manifest, state: &str) -> Value {
    let profile = app.profile();
    let lock = Lock::read(&app.dir).ok().flatten();
    json!({
        "app": app.app, "kind": profile.kind, "description": app.description, "hash": app.hash,
        "dir": app.dir, "network": profile.network, "read": profile.read, "limits": profile.limits,
        "state": state, "from": lock.as_ref().map(|lock| &lock.from), "pinned": lock.as_ref().map(|lock| &lock.hash),
        "programs": lock.as_ref().map(|lock| &lock.programs),
        "domains": app.network.domains, "hosts": app.network.hosts,
        "local": app.network.local.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "credentials": app.credentials.keys().collect::<Vec<_>>(),
        "functionalities": app.functions.iter().map(|function| json!({
            "name": function.name, "effect": function.effect, "summary": function.summary,
            "request": function.request.value(), "response": function.response.as_ref().map(manifest::Schema::value),
            "destinations": function.destinations, "pinned": function.pinned,
            "signature": function.signature(&app.app),
        })).collect::<Vec<_>>(),
    })
}

fn kind(kind: &AppKind) -> String {
    match kind {
        AppKind::Prompt => "instructions for its own model".to_owned(),
        AppKind::Stdio { command } => {
            clean::line(&format!("an MCP server in a jail: {}", command.join(" ")), 400)
        }
        AppKind::Remote { url } => clean::line(&format!("an MCP server on the web: {url}"), 400),
        AppKind::Http { operations } if operations.len() == 1 => "a web API with one operation".to_owned(),
        AppKind::Http { operations } => format!("a web API with {} operations", operations.len()),
    }
}

fn show(app: &Manifest, running: Option<&Value>, paint: Paint) -> Result<(), Error> {
    let lock = Lock::read(&app.dir).map_err(of_manifest)?;
    print(&format!("{}  {}\n", paint.name(app.app.as_str()), paint.dim(&app.dir.display().to_string())));
    let line = |name: &str, value: &str| print(&format!("  {name:<9} {value}\n"));
    line("kind", &kind(&app.kind));
    match &lock {
        Some(lock) => {
            line("from", &clean::line(&lock.from, 200));
            line("pinned", &format!("{} with {} files", clean::line(&lock.hash, 80), lock.files.len()));
            for (program, digest) in &lock.programs {
                line("program", &clean::line(&format!("{} {digest}", program.display()), 400));
            }
        }
        None => {
            line("hash", &format!("{} (not pinned: as vetted as its folder)", clean::line(&app.hash, 80)))
        }
    }
    line(
        "running",
        &match running {
            None => "no".to_owned(),
            Some(hub) if hub.get("hash") == Some(&json!(app.hash)) => "the hub has it like this".to_owned(),
            Some(_) => format!("the hub has it otherwise; `secgpt apps pin {}` has it look again", app.app),
        },
    );
    line("network", &network(app));
    let read: Vec<String> = app.read.iter().map(|path| path.display().to_string()).collect();
    line(
        "reads",
        &clean::line(
            &if read.is_empty() {
                "the system's own folders and its own".to_owned()
            } else {
                read.join(", ")
            },
            400,
        ),
    );
    if !app.credentials.is_empty() {
        let names: Vec<&str> = app.credentials.keys().map(String::as_str).collect();
        line("uses", &clean::line(&format!("the credentials {}", names.join(", ")), 200));
    }
    let limits = app.limits;
    let (memory_mb, cpu_s, file_mb, data_mb) =
        (limits.memory_mb, limits.cpu_s, limits.file_mb, limits.data_mb);
    let (processes, open_files, task_s) = (limits.processes, limits.open_files, limits.task_s);
    let (model_calls, tokens) = (limits.model_calls, limits.tokens);
    print(&format!(
        "  limits    {memory_mb} MiB memory, {cpu_s} s processor, {file_mb} MiB a file, {data_mb} MiB data, {processes} processes,\n            \
         {open_files} open files; a task: {task_s} s, {model_calls} model calls, {tokens} tokens\n"
    ));
    print(&format!("  {}\n", paint.dim("in its own words (never shown to the planner):")));
    for line in clean::lines(&app.description).lines() {
        print(&format!("    {line}\n"));
    }
    for function in &app.functions {
        print(&format!("  {}  {}\n", paint.bold(function.name.as_str()), effect(function)));
        if let Some(summary) = &function.summary {
            print(&format!("    summary   {}\n", clean::line(summary, 200)));
        }
        print(&format!("    request   {}\n", clean::line(&function.request.value().to_string(), 600)));
        if !function.destinations.is_empty() {
            print(&format!("    receives  {}\n", clean::line(&function.destinations.join(", "), 400)));
        }
        if let Some(pin) = &function.pinned {
            print(&format!("    pinned    {pin}\n"));
        }
    }
    Ok(())
}

fn network(app: &Manifest) -> String {
    let local = app.network.local.iter().map(ToString::to_string);
    let all: Vec<String> =
        app.network.domains.iter().chain(&app.network.hosts).cloned().chain(local).collect();
    if all.is_empty() { "none".to_owned() } else { clean::line(&all.join(", "), 400) }
}
