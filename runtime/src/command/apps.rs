//! `secgpt apps`: what is installed.
//!
//! Answers: which apps are there, what can each do, what may it use?
//! Never: starts one.

use manifest::{AppKind, Manifest};
use serde_json::{Value, json};

use super::{print, print_json, say};
use crate::cli::{Apps, Global};
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;
use crate::show::paint::Paint;

/// Lists or shows.
///
/// # Errors
/// If there is no such app.
pub fn run(config: &Config, global: &Global, apps: &Apps) -> Result<u8, Error> {
    let (found, errors) = installed(config);
    let paint = Paint::stdout(global.color);
    for error in &errors {
        say(&clean::line(&format!("warning: {error}"), 2000));
    }
    match apps {
        Apps::List if global.json => print_json(&found.iter().map(describe).collect::<Vec<_>>())?,
        Apps::List => {
            for app in &found {
                print(&format!("{}\n", paint.name(app.app.as_str())));
                for function in &app.functions {
                    print(&format!(
                        "  {:<28} {:<12} {}\n",
                        function.name.as_str(),
                        effect(function),
                        paint.dim(&clean::line(function.summary.as_deref().unwrap_or("—"), 100))
                    ));
                }
            }
        }
        Apps::Show { app } => {
            let Some(manifest) = found.iter().find(|manifest| manifest.app == *app) else {
                let names: Vec<&str> = found.iter().map(|manifest| manifest.app.as_str()).collect();
                return Err(Error::failed(format!("there is no app {app}"))
                    .hint(format!("installed are {}", names.join(", "))));
            };
            let described = describe(manifest);
            if global.json {
                print_json(&described)?;
            } else {
                show(manifest, &described, paint);
            }
        }
    }
    Ok(0)
}

/// The apps of the configured folders, and what is wrong with those that do not load.
pub fn installed(config: &Config) -> (Vec<Manifest>, Vec<String>) {
    let (mut found, errors) =
        manifest::load_all(&config.apps.dirs, config.apps.enabled.as_deref(), &config.limits);
    found.sort_by(|a, b| a.app.cmp(&b.app));
    (found, errors.iter().map(ToString::to_string).collect())
}

fn kind(kind: &AppKind) -> String {
    match kind {
        AppKind::Prompt => "instructions for its own model".to_owned(),
        AppKind::Stdio { command } => {
            clean::line(&format!("an MCP server in a jail: {}", command.join(" ")), 400)
        }
        AppKind::Remote { url } => clean::line(&format!("an MCP server on the web: {url}"), 400),
        AppKind::Http { operations } => format!("a web API with {} operations", operations.len()),
    }
}

fn effect(function: &manifest::FunctionSpec) -> String {
    serde_json::to_value(function.effect)
        .ok()
        .and_then(|effect| effect.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn describe(app: &Manifest) -> Value {
    let profile = app.profile();
    json!({
        "app": app.app, "kind": profile.kind, "description": app.description, "hash": app.hash,
        "dir": app.dir, "network": profile.network, "read": profile.read, "limits": profile.limits,
        "functionalities": app.functions.iter().map(|function| json!({
            "name": function.name, "effect": function.effect, "summary": function.summary,
            "request": function.request.value(), "response": function.response.as_ref().map(manifest::Schema::value), "destinations": function.destinations,
        })).collect::<Vec<_>>(),
    })
}

fn show(app: &Manifest, described: &Value, paint: Paint) {
    let field =
        |name: &str| described.get(name).map_or(String::new(), |value| clean::line(&value.to_string(), 400));
    print(&format!("{}  {}\n", paint.name(app.app.as_str()), paint.dim(&app.dir.display().to_string())));
    print(&format!(
        "  kind      {}\n  hash      {}\n  network   {}\n",
        kind(&app.kind),
        clean::line(&app.hash, 80),
        field("network")
    ));
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
        print(&format!("    request   {}\n", clean::line(&function.request.value().to_string(), 600)));
        if !function.destinations.is_empty() {
            print(&format!("    receives  {}\n", function.destinations.join(", ")));
        }
    }
}
