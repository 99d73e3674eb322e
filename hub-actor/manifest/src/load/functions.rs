//! The functionalities of a manifest.
//!
//! Answers: what does each take and give, and where is that written?
//! Never: takes a schema from outside the app's folder, or a server's word that is not pinned.
//! Carries: I-06, I-17.

use std::collections::BTreeSet;

use bus::id::FunctionName;
use bus::message::offer::Tool;
use bus::message::operation::Operation;
use bus::message::profile::Method;
use serde_json::{Value, json};
use toml::Spanned;

use super::Reader;
use crate::error::ManifestError;
use crate::folder::read_inside;
use crate::function::FunctionSpec;
use crate::lock::DISCOVERED;
use crate::raw::{RawFunctionality, RawKind, RawMethod};
use crate::schema::Schema;

impl Reader<'_> {
    /// Each functionality, for `http` with the request that it becomes.
    pub(super) fn functions(
        &self,
        raw: Vec<RawFunctionality>,
        kind: &RawKind,
        openapi: Option<&Spanned<String>>,
    ) -> Result<Vec<(FunctionSpec, Option<Operation>)>, ManifestError> {
        let description = match openapi {
            Some(name) if *kind == RawKind::Http => Some(self.json(name)?),
            _ => None,
        };
        let api = match (openapi, &description) {
            (Some(name), Some(description)) => Some(self.api(name, description)?),
            _ => None,
        };
        let pinned = match kind {
            RawKind::Mcp if raw.iter().any(|raw| raw.discovered) => Some(self.discovered()?),
            _ => None,
        };
        let (mut names, mut functions) = (BTreeSet::new(), Vec::new());
        for raw in raw {
            let name = FunctionName::parse(raw.name.get_ref())
                .map_err(|error| self.wrong(&raw.name, error.to_string()))?;
            if !names.insert(name.clone()) {
                return Err(self.wrong(&raw.name, format!("there are two functionalities named {name}")));
            }
            if MCP_WISHES.contains(&name.as_str()) {
                return Err(self.wrong(&raw.name, format!("the name {name} is reserved")));
            }
            let method = self.mcp_method(raw.method.as_ref(), kind)?;
            let summary = raw.summary.as_ref().map(|summary| self.summary(summary)).transpose()?;
            let found = match (&raw.request, raw.discovered, &api, &pinned) {
                (Some(request), false, ..) => Found {
                    description: None,
                    pinned: None,
                    request: self.schema(request)?,
                    response: raw.response.as_ref().map(|response| self.schema(response)).transpose()?,
                    operation: self.requests(&raw.name, raw.recipe.as_ref(), api.as_ref(), &name)?,
                },
                (None, false, ..) if method != Method::Tool => self.of_method(&raw.name, method)?,
                (_, true, ..) if method != Method::Tool => {
                    return Err(self.wrong(&raw.name, "only a tool can be discovered"));
                }
                (None, true, Some(api), _) => self.in_openapi(&raw.name, api, &name)?,
                (None, true, None, Some(pinned)) => self.in_discovered(&raw.name, pinned, &name)?,
                (None, true, None, None) => {
                    return Err(self.wrong(&raw.name, "only apps of kind mcp and http can be discovered"));
                }
                (Some(_), true, ..) => {
                    return Err(self.wrong(&raw.name, "either request or discovered = true, not both"));
                }
                (None, false, ..) => {
                    return Err(self
                        .wrong(&raw.name, format!("the functionality {name} has no request schema"))
                        .hint("write request = \"FILE.json\", or discovered = true"));
                }
            };
            if let (false, Some(recipe)) = (*kind == RawKind::Http && !raw.discovered, &raw.recipe) {
                let what = "a recipe is for functionalities of apps of kind http that have a request schema";
                return Err(self.wrong(recipe, what));
            }
            if found.request.value().get("type").and_then(Value::as_str) != Some("object") {
                let what = format!("the request schema of {name} must have \"type\": \"object\" at its top");
                return Err(self.wrong(&raw.name, what));
            }
            for destination in &raw.destinations {
                let properties = found.request.value().get("properties");
                if properties.and_then(|all| all.get(destination.get_ref())).is_none() {
                    let what = format!("{name} has no parameter {:?}", destination.get_ref());
                    return Err(self.wrong(destination, what));
                }
            }
            let spec = FunctionSpec {
                name,
                effect: raw.effect,
                summary,
                description: found.description,
                request: found.request,
                response: found.response,
                destinations: raw.destinations.into_iter().map(Spanned::into_inner).collect(),
                pinned: found.pinned,
                method,
            };
            functions.push((spec, found.operation));
        }
        Ok(functions)
    }

    fn mcp_method(&self, raw: Option<&Spanned<RawMethod>>, kind: &RawKind) -> Result<Method, ManifestError> {
        match raw {
            None => Ok(Method::Tool),
            Some(method) if *kind != RawKind::Mcp => {
                Err(self.wrong(method, "method is for functionalities of apps of kind mcp"))
            }
            Some(method) => Ok(match method.get_ref() {
                RawMethod::CallTool => Method::Tool,
                RawMethod::ListResources => Method::ListResources,
                RawMethod::ReadResource => Method::ReadResource,
                RawMethod::ListPrompts => Method::ListPrompts,
                RawMethod::GetPrompt => Method::GetPrompt,
            }),
        }
    }

    /// Methods of the protocol take what the protocol says, so they need no file.
    fn of_method(&self, at: &Spanned<String>, method: Method) -> Result<Found, ManifestError> {
        let text = json!({"type": "string"});
        let (description, properties, required) = match method {
            Method::Tool | Method::ListResources => ("Which resources there are", json!({}), json!([])),
            Method::ReadResource => ("The content of a resource", json!({"uri": text}), json!(["uri"])),
            Method::ListPrompts => ("Which prompts there are", json!({}), json!([])),
            Method::GetPrompt => (
                "A prompt, filled in",
                json!({"name": text, "arguments": {"type": "object", "additionalProperties": text}}),
                json!(["name"]),
            ),
        };
        let request = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let request = Schema::parse(request).map_err(|error| self.wrong(at, error.to_string()))?;
        let description = Some(description.to_owned());
        Ok(Found { description, request, response: None, operation: None, pinned: None })
    }

    fn in_discovered(
        &self,
        at: &Spanned<String>,
        pinned: &Value,
        name: &FunctionName,
    ) -> Result<Found, ManifestError> {
        let tool = pinned.get(name.as_str()).ok_or_else(|| {
            self.wrong(at, format!("the server was not seen to offer {name}")).hint(DISCOVER)
        })?;
        let file = self.dir.join(DISCOVERED);
        let compiled = |schema: &Value| {
            Schema::parse(schema.clone())
                .map_err(|error| ManifestError::new(&file, format!("the schema of {name}, {error}")))
        };
        let tool: Tool = serde_json::from_value(tool.clone())
            .map_err(|error| ManifestError::new(&file, format!("what is said of {name}: {error}")))?;
        Ok(Found {
            request: compiled(&tool.request)?,
            response: tool.response.as_ref().map(compiled).transpose()?,
            pinned: Some(tool.pin()),
            description: tool.description,
            operation: None,
        })
    }

    fn discovered(&self) -> Result<Value, ManifestError> {
        let file = self.dir.join(DISCOVERED);
        let text = read_inside(self.dir, DISCOVERED)
            .map_err(|what| ManifestError::new(&file, what).hint(DISCOVER))?;
        serde_json::from_str(&text).map_err(|error| {
            ManifestError::new(&file, format!("is not JSON: {error}")).on(Some(error.line()))
        })
    }

    fn summary(&self, summary: &Spanned<String>) -> Result<String, ManifestError> {
        let text = summary.get_ref().trim();
        let plain =
            !text.is_empty() && text.chars().count() <= MAX_SUMMARY && !text.chars().any(char::is_control);
        if plain {
            return Ok(text.to_owned());
        }
        Err(self.wrong(summary, format!("a summary is one line of at most {MAX_SUMMARY} characters")))
    }

    fn json(&self, name: &Spanned<String>) -> Result<Value, ManifestError> {
        let file = name.get_ref();
        if file.contains("://") {
            return Err(self
                .wrong(name, format!("{file} is not in the app's folder"))
                .hint("`secgpt apps pin` fetches it and writes the file's name here"));
        }
        let text = read_inside(self.dir, file).map_err(|what| self.wrong(name, what))?;
        serde_json::from_str(&text).map_err(|error| {
            ManifestError::new(&self.dir.join(file), format!("is not JSON: {error}")).on(Some(error.line()))
        })
    }

    fn schema(&self, name: &Spanned<String>) -> Result<Schema, ManifestError> {
        Schema::parse(self.json(name)?).map_err(|error| {
            ManifestError::new(&self.dir.join(name.get_ref()), format!("is not a JSON Schema {error}"))
        })
    }
}

/// What was found out about a functionality.
pub(super) struct Found {
    pub(super) description: Option<String>,
    pub(super) request: Schema,
    pub(super) response: Option<Schema>,
    pub(super) operation: Option<Operation>,
    pub(super) pinned: Option<String>,
}

const DISCOVER: &str = "`secgpt apps pin` asks the server and writes discovered.json";

/// What permission for an MCP server's own requests is asked under; see `bus::message::isc::Wanted`.
const MCP_WISHES: [&str; 2] = ["mcp-sampling", "mcp-elicitation"];

/// A line of the planner's list.
const MAX_SUMMARY: usize = 120;
