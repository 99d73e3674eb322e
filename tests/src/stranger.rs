//! Apps of strangers, made for a test: a manifest, and the program `hostile-app` doing what its folder says.
//!
//! Answers: how does a test install an app that says, tries or breaks a certain thing?
//! Never: puts anything into the catalogue of the project.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::workspace;
use crate::program::built;
use crate::scratch::Scratch;
use crate::system::Options;

/// A folder of apps.
pub struct Strangers {
    scratch: Scratch,
    tools: Scratch,
}

/// One functionality.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// `read`, `write` or `irreversible`.
    pub effect: &'static str,
    /// What the program does: `{"say": value}`, `{"echo": true}`, `{"hang": ms}`, `{"exit": code}`, `{"garbage": bytes}`,
    /// `{"fail": words}`, `{"look": true}`, `{"try": true}`.
    pub does: Value,
    /// Schema of the arguments.
    pub request: Value,
    /// Schema of the result.
    pub response: Option<Value>,
    /// Parameters that say who receives.
    pub destinations: &'static [&'static str],
    /// The vetted summary.
    pub summary: Option<String>,
}

/// One that reads, takes anything and does this.
#[must_use]
pub fn reads(name: &'static str, does: Value) -> Function {
    Function {
        name,
        effect: "read",
        does,
        request: json!({"type": "object"}),
        response: None,
        destinations: &[],
        summary: None,
    }
}

/// One that changes something.
#[must_use]
pub fn writes(name: &'static str, does: Value) -> Function {
    Function { effect: "write", ..reads(name, does) }
}

/// A fare, as the ride apps of the catalogue give it.
#[must_use]
pub fn fare(does: Value) -> Function {
    let words = json!({"type": "string", "minLength": 1, "maxLength": 200});
    Function {
        request: json!({
            "type": "object",
            "properties": {"start_point": words, "end_point": words},
            "required": ["start_point", "end_point"],
            "additionalProperties": false
        }),
        summary: Some("Fare estimate for a ride between two points, in US dollars".into()),
        ..reads("estimate_fare", does)
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self::new()
    }
}

impl Strangers {
    /// None yet.
    ///
    /// # Panics
    /// If the folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let scratch = Scratch::new("apps");
        // An app's folder is no secret; another user may run the tests' system.
        open_to_all(&scratch);
        // The probe lies where any user can reach it: a build folder may lie in a closed home.
        let tools = Scratch::new("tools");
        open_to_all(&tools);
        let (from, to) = (built("hostile-probe"), tools.join("hostile-probe"));
        std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop)).expect("the probe");
        Self { scratch, tools }
    }

    /// With a program as an app. `more` are further lines of the manifest, `[limits]` for example.
    ///
    /// # Panics
    /// If its folder cannot be written.
    #[must_use]
    pub fn with(self, name: &str, description: &str, functions: &[Function], more: &str) -> Self {
        let probe = self.tools.join("hostile-probe");
        let mut manifest = format!(
            "name = {name:?}\nkind = \"mcp\"\ndescription = {}\ncommand = [\"hostile-app\"]\n",
            json!(description)
        );
        let tries = functions.iter().any(|function| !function.does["try"].is_null());
        if tries {
            write!(manifest, "[filesystem]\nread = [{:?}]\n", probe.display().to_string()).expect("a string");
        }
        manifest += more;
        manifest.push('\n');
        let mut does = serde_json::Map::new();
        let folder = self.folder(name);
        for function in functions {
            manifest += &self.function(name, function);
            does.insert(function.name.to_owned(), function.does.clone());
        }
        does.insert("probe".to_owned(), json!(probe));
        std::fs::write(folder.join("tools.json"), Value::Object(does).to_string()).expect("a file");
        std::fs::write(folder.join("app.toml"), manifest).expect("a file");
        self
    }

    /// With an app that is instructions only, with one functionality `respond`. `more` are further lines of the
    /// manifest's head.
    ///
    /// # Panics
    /// If its folder cannot be written.
    #[must_use]
    pub fn with_prompt(self, name: &str, description: &str, more: &str) -> Self {
        let function = Function {
            request: json!({
                "type": "object",
                "properties": {"text": {"type": "string", "maxLength": 4000}},
                "required": ["text"],
                "additionalProperties": false
            }),
            response: Some(json!({
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": false
            })),
            ..reads("respond", Value::Null)
        };
        let manifest =
            format!("name = {name:?}\nkind = \"prompt\"\ndescription = {}\n{more}\n", json!(description));
        let manifest = manifest + &self.function(name, &function);
        std::fs::write(self.folder(name).join("app.toml"), manifest).expect("a file");
        self
    }

    /// These apps beside those of the catalogue.
    #[must_use]
    pub fn install(&self, options: Options) -> Options {
        let dirs = json!([workspace().join("data/apps"), self.scratch.path()]);
        options.set("apps.dirs", &dirs.to_string())
    }

    /// The folder of an app.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.scratch.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn function(&self, app: &str, function: &Function) -> String {
        let Function { name, effect, request, response, destinations, summary, .. } = function;
        let folder = self.folder(app);
        std::fs::write(folder.join(format!("{name}.request.json")), request.to_string()).expect("a file");
        let mut text = format!(
            "\n[[functionality]]\nname = {name:?}\neffect = {effect:?}\nrequest = \"{name}.request.json\"\n\
             destinations = {destinations:?}\n"
        );
        if let Some(summary) = summary {
            writeln!(text, "summary = {summary:?}").expect("a string");
        }
        if let Some(response) = response {
            std::fs::write(folder.join(format!("{name}.response.json")), response.to_string())
                .expect("a file");
            writeln!(text, "response = \"{name}.response.json\"").expect("a string");
        }
        text
    }
}

fn open_to_all(scratch: &Scratch) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755))
        .expect("a folder of ours");
}
