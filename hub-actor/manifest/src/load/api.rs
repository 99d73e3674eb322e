//! What a functionality of a web API is, from the API's description and the manifest's recipes.
//!
//! Answers: which requests does it become, and what does it take and give?
//! Never: takes a method that is no request, or an operation of which the description has two.
//! Carries: I-06, I-17.

use bus::id::FunctionName;
use bus::message::operation::{Operation, Recipe};
use serde_json::Value;
use toml::Spanned;

use super::Reader;
use super::functions::Found;
use crate::error::{ManifestError, line_of};
use crate::folder::read_inside;
use crate::network::METHODS;
use crate::openapi::Api;
use crate::schema::Schema;

/// More requests than any one thing takes.
const MAX_REQUESTS: usize = 8;

impl Reader<'_> {
    /// The operations of the description.
    pub(super) fn api<'a>(
        &self,
        name: &Spanned<String>,
        description: &'a Value,
    ) -> Result<Api<'a>, ManifestError> {
        let file = self.dir.join(name.get_ref());
        Api::read(description).map_err(|error| ManifestError::new(&file, error.to_string()))
    }

    /// An operation with the description's own schemas.
    pub(super) fn in_openapi(
        &self,
        at: &Spanned<String>,
        api: &Api<'_>,
        name: &FunctionName,
    ) -> Result<Found, ManifestError> {
        let operation = api.operation(name).map_err(|error| self.wrong(at, error.to_string()))?;
        let compiled = |schema| {
            Schema::parse(schema).map_err(|error| self.wrong(at, format!("the schema of {name}, {error}")))
        };
        Ok(Found {
            description: operation.description,
            request: compiled(operation.request)?,
            response: operation.response.map(compiled).transpose()?,
            operation: Some(Operation::Endpoint(operation.endpoint)),
            pinned: None,
        })
    }

    /// The requests of a functionality that has schemas of its own.
    pub(super) fn requests(
        &self,
        at: &Spanned<String>,
        recipe: Option<&Spanned<String>>,
        api: Option<&Api<'_>>,
        name: &FunctionName,
    ) -> Result<Option<Operation>, ManifestError> {
        match (recipe, api) {
            (Some(recipe), _) => self.recipe(recipe).map(|recipe| Some(Operation::Recipe(recipe))),
            (None, Some(api)) => {
                let found = api.operation(name).map_err(|error| self.wrong(at, error.to_string()))?;
                Ok(Some(Operation::Endpoint(found.endpoint)))
            }
            (None, None) => Ok(None),
        }
    }

    fn recipe(&self, name: &Spanned<String>) -> Result<Recipe, ManifestError> {
        let file = self.dir.join(name.get_ref());
        let text = read_inside(self.dir, name.get_ref()).map_err(|what| self.wrong(name, what))?;
        let recipe: Recipe = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, span.start));
            ManifestError::new(&file, error.message().trim().to_owned()).on(line)
        })?;
        if recipe.request.is_empty() || MAX_REQUESTS < recipe.request.len() {
            return Err(ManifestError::new(&file, format!("a recipe has 1 to {MAX_REQUESTS} requests")));
        }
        for request in &recipe.request {
            if request.method == "CONNECT" || !METHODS.contains(&request.method.as_str()) {
                let what = format!("{:?} is not the method of a request", request.method);
                return Err(ManifestError::new(&file, what));
            }
        }
        Ok(recipe)
    }
}
