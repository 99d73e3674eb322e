//! Functionalities out of an OpenAPI 3.0 or 3.1 description.
//!
//! Answers: which operations does an API have, what does each take and give, and which web request does it become?
//! Never: fetches anything; follows a reference out of the description; guesses between two operations of one name.
//! Carries: I-17.
//!
//! The description is read as JSON, not into types: 3.0 and 3.1 differ, strangers' descriptions have faults in parts that nobody
//! needs, and so an operation is as good as its own parts. What an operation becomes is in [`bus::message::operation`].

mod schema;
mod security;
mod shape;

use std::collections::BTreeMap;

use bus::id::FunctionName;
use bus::message::operation::Endpoint;
use bus::message::user::Effect;
use serde_json::Value;

pub use security::{Flow, Scheme, SchemeKind};

/// One operation of the description.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// In the API's own words; for the app's own model only.
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub request: Value,
    /// JSON Schema of the result, where the description has exactly one for success.
    pub response: Option<Value>,
    /// The web request that it becomes.
    pub endpoint: Endpoint,
}

/// What is wrong with a description, or with one operation of it: a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenApiError(String);

impl OpenApiError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// More operations than any API has.
const MAX_OPERATIONS: usize = 20_000;

/// Steps from one reference to the next before it is taken for a circle.
const MAX_HOPS: usize = 16;

/// A description, with its operations by name.
#[derive(Clone, Debug)]
pub struct Api<'a> {
    root: &'a Value,
    /// In 3.0 schemas are of a dialect of its own.
    dialect: schema::Dialect,
    /// In the order of the description.
    names: Vec<FunctionName>,
    operations: BTreeMap<FunctionName, Vec<Found<'a>>>,
}

/// An operation as it stands in the description.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    method: &'static str,
    path: &'a str,
    item: &'a Value,
    operation: &'a Value,
}

impl<'a> Api<'a> {
    /// Finds the operations of a description.
    ///
    /// # Errors
    /// If it is no description of a version that is understood, or has far too many operations.
    pub fn read(root: &'a Value) -> Result<Self, OpenApiError> {
        let mut api = Self { root, dialect: dialect(root)?, names: Vec::new(), operations: BTreeMap::new() };
        let paths = root.get("paths").and_then(Value::as_object);
        for (path, item) in paths.into_iter().flatten() {
            // A path with a missing reference has no operations that could be named.
            let Ok(item) = resolved(root, item) else { continue };
            for method in METHODS {
                let Some(operation) = item.get(method).filter(|operation| operation.is_object()) else {
                    continue;
                };
                let Some(name) = name(operation, method, path) else { continue };
                let found = Found { method, path, item, operation };
                let all = api.operations.entry(name.clone()).or_default();
                if all.is_empty() {
                    api.names.push(name);
                }
                all.push(found);
                if MAX_OPERATIONS < api.names.len() {
                    return Err(OpenApiError::new(format!(
                        "the description has more than {MAX_OPERATIONS} operations"
                    )));
                }
            }
        }
        Ok(api)
    }

    /// The names of the operations, in the order of the description; without those that several operations share.
    pub fn names(&self) -> impl Iterator<Item = &FunctionName> {
        self.names.iter().filter(|name| self.operations.get(name).is_some_and(|all| all.len() == 1))
    }

    /// What an operation does to the world, as far as its method says: a proposal for a person to check.
    #[must_use]
    pub fn effect(&self, name: &FunctionName) -> Option<Effect> {
        let found = self.operations.get(name)?.first()?;
        Some(match found.method {
            "get" | "head" => Effect::Read,
            "delete" => Effect::Irreversible,
            _ => Effect::Write,
        })
    }

    /// The operation of this name.
    ///
    /// # Errors
    /// If there is none, or several, or a part of it is missing or not understood.
    pub fn operation(&self, name: &FunctionName) -> Result<Operation, OpenApiError> {
        let found = match self.operations.get(name).map(Vec::as_slice) {
            Some([found]) => *found,
            Some([first, second, ..]) => {
                let both = [first, second]
                    .map(|found| format!("{} {}", found.method.to_ascii_uppercase(), found.path));
                return Err(OpenApiError::new(format!(
                    "the openapi description has two operations named {name}: {}",
                    both.join(" and ")
                )));
            }
            _ => return Err(OpenApiError::new(format!("the openapi description has no operation {name}"))),
        };
        shape::operation(self, found)
            .map_err(|error| OpenApiError::new(format!("the operation {name}: {error}")))
    }

    /// Where requests go, unless the operation says otherwise: absolute, with variables filled in.
    ///
    /// # Errors
    /// If the description names no server, or only a part of its address.
    pub fn server(&self) -> Result<String, OpenApiError> {
        server(&[self.root])
    }
}

/// The first server of the first of these that names one.
fn server(places: &[&Value]) -> Result<String, OpenApiError> {
    let server = places.iter().find_map(|place| place.pointer("/servers/0"));
    let server = server.ok_or_else(|| OpenApiError::new("the description names no server"))?;
    let mut url = text(server, "url").unwrap_or_default().to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = text(variable, "default") {
            url = url.replace(&format!("{{{name}}}"), value);
        }
    }
    let absolute = url.starts_with("https://") || url.starts_with("http://");
    if !absolute || url.contains(['{', '}', '?', '#']) {
        return Err(OpenApiError::new(format!(
            "the server {:?} is not an absolute address; write the whole of it into the description",
            url.chars().take(120).collect::<String>()
        )));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn dialect(root: &Value) -> Result<schema::Dialect, OpenApiError> {
    match text(root, "openapi") {
        Some(version) if version.starts_with("3.0") => Ok(schema::Dialect::Three0),
        Some(version) if version.starts_with("3.") => Ok(schema::Dialect::Three1),
        Some(version) => Err(OpenApiError::new(format!(
            "it is a description of OpenAPI {:?}; 3.0 and 3.1 are understood",
            version.chars().take(20).collect::<String>()
        ))),
        None if root.get("swagger").is_some() => Err(OpenApiError::new(
            "it is a description of Swagger 2.0; OpenAPI 3.0 and 3.1 are understood, and there are converters",
        )),
        None => Err(OpenApiError::new("it is no OpenAPI description: it has no \"openapi\": \"3.…\"")),
    }
}

/// The name of a functionality for an `operationId`: characters that a name may not have become `_`.
#[must_use]
pub fn name_of(operation_id: &str) -> Option<FunctionName> {
    let mut name = String::new();
    for c in operation_id.chars() {
        let c = if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    FunctionName::parse(name.trim_matches('_')).ok()
}

/// An operation without an id is named by its method and path.
fn name(operation: &Value, method: &str, path: &str) -> Option<FunctionName> {
    match text(operation, "operationId") {
        Some(id) => name_of(id),
        None => name_of(&format!("{method}_{path}")),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// What references within the description lead to.
fn resolved<'a>(root: &'a Value, value: &'a Value) -> Result<&'a Value, OpenApiError> {
    let mut at = value;
    for _ in 0..MAX_HOPS {
        let Some(target) = text(at, "$ref") else { return Ok(at) };
        let found = target.strip_prefix('#').and_then(|pointer| schema::pointed(root, pointer));
        at = found.ok_or_else(|| missing(target))?;
    }
    Err(OpenApiError::new("a reference leads back to itself"))
}

fn missing(target: &str) -> OpenApiError {
    let shown: String = target.chars().take(120).collect();
    if target.starts_with('#') {
        return OpenApiError::new(format!("the reference {shown:?} leads to nothing"));
    }
    OpenApiError::new(format!("the reference {shown:?} leads out of the description"))
}

#[cfg(test)]
mod tests;
