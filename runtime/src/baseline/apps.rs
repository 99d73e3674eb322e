//! The baseline's apps: MCP servers as ordinary child processes, and web APIs.
//!
//! Answers: what does this functionality return when it is simply called?
//! Never: confines anything; this is what is compared against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bus::id::{AppId, Functionality};
use bus::limits::TASK;
use bus::message::user::Effect;
use manifest::{AppKind, Manifest};
use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, ContentBlock};
use rmcp::service::{RunningService, ServiceExt};
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};
use tokio::process::Command;

use super::apis::Apis;
use crate::environment;
use crate::state::make_private;
use crate::supervisor::{child::CHILD, program};

/// The apps, started when first called.
pub struct Apps {
    manifests: Vec<Manifest>,
    data: PathBuf,
    running: BTreeMap<AppId, RunningService<RoleClient, ()>>,
    apis: Option<Apis>,
}

impl Apps {
    /// Starts nothing yet.
    pub fn new(manifests: Vec<Manifest>, data: PathBuf, apis: Option<Apis>) -> Self {
        Self { manifests, data, running: BTreeMap::new(), apis }
    }

    /// All descriptions, each under its app's name.
    pub fn descriptions(&self) -> String {
        let describe = |app: &Manifest| format!("## {}\n\n{}\n", app.app, app.description.trim());
        self.manifests.iter().map(describe).collect::<Vec<_>>().join("\n")
    }

    /// All functionalities of all apps that are programs, as tools. Apps that are annotations have only their
    /// descriptions, as in the reference.
    pub fn tools(&self) -> Vec<Value> {
        let programs = self.manifests.iter().filter(|app| app.kind != AppKind::Prompt);
        programs
            .flat_map(|app| {
                app.functions.iter().map(|function| {
                    let words = function.description.as_ref().or(function.summary.as_ref());
                    let name =
                        Functionality { app: app.app.clone(), name: function.name.clone() }.tool_name();
                    json!({"type": "function", "function": {
                        "name": name, "description": words, "parameters": function.request.value()
                    }})
                })
            })
            .collect()
    }

    /// What a functionality does to the world, by its manifest.
    pub fn effect(&self, functionality: &Functionality) -> Effect {
        self.manifest(&functionality.app)
            .and_then(|app| app.function(&functionality.name))
            .map_or(Effect::Irreversible, |function| function.effect)
    }

    fn manifest(&self, app: &AppId) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.app == *app)
    }

    /// Starts the app, if it is not running.
    ///
    /// # Errors
    /// In a sentence.
    pub async fn start(&mut self, app: &AppId) -> Result<(), String> {
        if self.running.contains_key(app) {
            return Ok(());
        }
        let manifest = self.manifest(app).ok_or_else(|| format!("there is no app {app}"))?;
        let command = match &manifest.kind {
            AppKind::Stdio { command } => command,
            AppKind::Http { .. } => return Ok(()),
            AppKind::Prompt | AppKind::Remote { .. } => {
                return Err(format!("the baseline runs programs and web APIs only, and {app} is neither"));
            }
        };
        let mut words = command.iter();
        let name = words.next().ok_or_else(|| format!("{app} has an empty command"))?;
        // The small apps of the catalogue are beside this program.
        let bare = Path::new(name).components().count() == 1;
        let program = if bare { program(name).unwrap_or_else(|_| name.into()) } else { name.into() };
        let data = self.data.join(app.as_str());
        make_private(&data).map_err(|error| error.line())?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(own);
        child.arg(CHILD).arg(std::process::id().to_string()).arg(program).args(words);
        child.env_clear().envs(environment::for_children());
        child.env("APP_DIR", &manifest.dir).env("APP_DATA", &data).current_dir(&manifest.dir);
        let (transport, _) = TokioChildProcess::builder(child)
            .stderr(std::process::Stdio::null())
            .spawn()
            .map_err(|error| format!("{app} cannot be started: {error}"))?;
        let running = ().serve(transport).await.map_err(|error| format!("{app} does not greet: {error}"))?;
        self.running.insert(app.clone(), running);
        Ok(())
    }

    /// Calls a functionality of an app that was started.
    ///
    /// # Errors
    /// In the app's own words.
    pub async fn call(&self, functionality: &Functionality, args: Value) -> Result<Value, String> {
        if let Some(AppKind::Http { operations }) = self.manifest(&functionality.app).map(|app| &app.kind) {
            let api = self.apis.as_ref().and_then(|apis| apis.of(&functionality.app));
            let (Some(api), Some(operation)) = (api, operations.get(&functionality.name)) else {
                return Err(format!("there is no {functionality}"));
            };
            return api.call(operation, &args, TASK).await.map_err(|failure| failure.detail);
        }
        let running = self
            .running
            .get(&functionality.app)
            .ok_or_else(|| format!("the app {} is not running", functionality.app))?;
        let mut request = CallToolRequestParams::new(functionality.name.as_str().to_owned());
        if let Value::Object(args) = args {
            request = request.with_arguments(args);
        }
        let result = running.call_tool(request).await.map_err(|error| error.to_string())?;
        let text = || {
            let texts = result.content.iter().filter_map(|block| match block {
                ContentBlock::Text(text) => Some(text.text.as_str()),
                _ => None,
            });
            texts.collect::<Vec<_>>().join("\n")
        };
        if result.is_error == Some(true) {
            return Err(text());
        }
        Ok(result.structured_content.clone().unwrap_or_else(|| {
            let text = text();
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }))
    }

    /// Stops all.
    pub async fn stop(self) {
        for (_, running) in self.running {
            // It is gone either way.
            let _ = running.cancel().await;
        }
        if let Some(apis) = self.apis {
            apis.close().await;
        }
    }
}
