//! Which apps and functionalities there are.
//!
//! Answers: who provides this, under which pin, and how is it shown to the planner?
//! Never: hands the planner prose that an app wrote.
//! Carries: I-17.

pub mod retrieval;

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::id::{AppId, Functionality};
use manifest::{AppKind, FunctionSpec, Manifest};
use serde_json::{Value, json};

/// The installed apps. Cheap to clone; never changes, a new one takes its place.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    apps: Arc<BTreeMap<AppId, Manifest>>,
}

impl Catalogue {
    /// Of these apps. Of two with one name the first counts; `manifest::load_all` gives no such two.
    #[must_use]
    pub fn new(manifests: Vec<Manifest>) -> Self {
        let mut apps = BTreeMap::new();
        for manifest in manifests {
            apps.entry(manifest.app.clone()).or_insert(manifest);
        }
        Self { apps: Arc::new(apps) }
    }

    /// Is it the very same list?
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.apps, &other.apps)
    }

    /// The functionality of this name.
    #[must_use]
    pub fn get(&self, functionality: &Functionality) -> Option<&FunctionSpec> {
        self.app(&functionality.app)?.function(&functionality.name)
    }

    /// The app of this name.
    #[must_use]
    pub fn app(&self, app: &AppId) -> Option<&Manifest> {
        self.apps.get(app)
    }

    /// All apps, by name.
    pub fn apps(&self) -> impl Iterator<Item = &Manifest> {
        self.apps.values()
    }

    /// All functionalities, by app, in the order of its manifest.
    pub fn functionalities(&self) -> impl Iterator<Item = (Functionality, &FunctionSpec)> {
        self.apps().flat_map(|manifest| {
            manifest.functions.iter().map(|function| {
                (Functionality { app: manifest.app.clone(), name: function.name.clone() }, function)
            })
        })
    }

    /// As the planner sees it.
    #[must_use]
    pub fn signature(&self, functionality: &Functionality) -> Option<String> {
        Some(self.get(functionality)?.signature(&functionality.app))
    }

    /// As the planner sees them, one a line. Unknown ones are left out.
    #[must_use]
    pub fn signatures(&self, functionalities: &[Functionality]) -> String {
        let lines: Vec<String> =
            functionalities.iter().filter_map(|functionality| self.signature(functionality)).collect();
        lines.join("\n")
    }

    /// What the user's client shows of all apps.
    #[must_use]
    pub fn overview(&self) -> Value {
        let functions = |manifest: &Manifest| -> Vec<Value> {
            let one = |function: &FunctionSpec| {
                json!({
                    "name": format!("{}.{}", manifest.app, function.name),
                    "effect": function.effect,
                    "summary": function.summary,
                    "signature": function.signature(&manifest.app),
                    "destinations": function.destinations,
                })
            };
            manifest.functions.iter().map(one).collect()
        };
        let app = |manifest: &Manifest| {
            json!({
                "app": manifest.app,
                "kind": match &manifest.kind {
                    AppKind::Prompt => "prompt",
                    AppKind::Stdio { .. } | AppKind::Remote { .. } => "mcp",
                    AppKind::Http { .. } => "http",
                },
                "description": manifest.description.trim(),
                "hash": manifest.hash,
                "network": manifest.network.domains.iter().chain(&manifest.network.hosts).cloned()
                    .chain(manifest.network.local.iter().map(ToString::to_string)).collect::<Vec<String>>(),
                "functionalities": functions(manifest),
            })
        };
        self.apps().map(app).collect()
    }
}
