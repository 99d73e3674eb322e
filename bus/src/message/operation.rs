//! How a functionality of a web API becomes requests: from the manifest to the spoke, as data.
//!
//! Answers: which request is made of these arguments, and what is the result made of?
//! Never: holds a credential; names a host that the gateway would not check again.
//!
//! An [`Operation`] is either what an OpenAPI description says ([`Endpoint`]) or, where a functionality is not one
//! operation of its API, a [`Recipe`] that the manifest's author wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a functionality becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// One request, its parts filled from the arguments.
    Endpoint(Endpoint),
    /// Several requests, or one that the arguments do not fit by themselves.
    Recipe(Recipe),
}

impl Operation {
    /// The methods of its requests.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Operation::Endpoint(endpoint) => (Some(endpoint.method.as_str()), [].as_slice()),
            Operation::Recipe(recipe) => (None, recipe.request.as_slice()),
        };
        one.into_iter().chain(many.iter().map(|request| request.method.as_str()))
    }
}

/// An operation of an OpenAPI description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// In capitals.
    pub method: String,
    /// Absolute; `{name}` stands where a path parameter goes.
    pub url: String,
    /// In the order of the description.
    pub parameters: Vec<Parameter>,
    /// What is sent, if anything.
    pub body: Option<Body>,
    /// Is the result `{"items", "next"}`, where `next` is the address that the server names as its next page?
    #[serde(default)]
    pub paged: bool,
}

/// A parameter of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// As the API calls it.
    pub name: String,
    /// The argument that holds its value; another name only where two of one functionality would be the same.
    pub argument: String,
    /// Where it goes.
    pub place: Place,
    /// How lists and objects are written.
    pub style: Style,
    /// Is each element of a list, and each field of an object, a parameter of its own?
    pub explode: bool,
    /// May `/`, `?` and the like stand as they are?
    #[serde(default)]
    pub reserved: bool,
}

/// Where a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In place of `{name}`.
    Path,
    /// After `?`.
    Query,
    /// A header of that name.
    Header,
}

/// How a list or an object is written: the styles of OpenAPI, and JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;name=a,b`
    Matrix,
    /// `name=a,b`, or `name=a&name=b` when exploded.
    Form,
    /// `name=a%20b`
    SpaceDelimited,
    /// `name=a|b`
    PipeDelimited,
    /// `name[field]=a`
    DeepObject,
    /// Its JSON.
    Json,
}

/// What is sent with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// As the description calls it.
    pub media_type: String,
    /// How the value becomes bytes.
    pub encoding: Encoding,
    /// Which arguments it is made of.
    pub content: Content,
}

/// How a value becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// JSON.
    Json,
    /// `a=1&b=2`
    Form,
    /// `multipart/form-data`; a field that is `{"file_name", "media_type", "base64"}` is a file.
    Multipart,
    /// A string as it is.
    Text,
    /// A string that is base64 of the bytes.
    Base64,
}

/// Which arguments a body is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The value of this argument; without it there is no body.
    Argument(String),
    /// An object of these arguments, as far as they are given.
    Fields(Vec<String>),
}

/// Requests written by the manifest's author. Every text is a template; what is put in is escaped for where it
/// stands: percent-encoded in a `url`, as JSON in a `body` and in the `result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Carried out one after the other.
    pub request: Vec<RecipeRequest>,
    /// JSON; sees the arguments as `args` and each answer under its request's name. Absent: the last answer as it is.
    #[serde(default)]
    pub result: Option<String>,
}

/// One request of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeRequest {
    /// Under which later templates see the answer: its value, or `none` if it was not made; with `each`, a list of
    /// `{"of": element, "answer": value}`.
    pub name: String,
    /// An expression: is it made at all?
    #[serde(default)]
    pub when: Option<String>,
    /// An expression for a list: the request is made for every element, which its templates see as `each`.
    #[serde(default)]
    pub each: Option<String>,
    /// In capitals.
    pub method: String,
    /// Percent-encoded where values are put in.
    pub url: String,
    /// More headers; a template each.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON, sent as such.
    #[serde(default)]
    pub body: Option<String>,
    /// With `each`: an element whose answer is an error is left out of the list, rather than failing all.
    #[serde(default)]
    pub skip_errors: bool,
}

/// A file in a multipart body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// As the server shall know it.
    pub file_name: String,
    /// Its type; `application/octet-stream` if absent.
    #[serde(default)]
    pub media_type: Option<String>,
    /// Its bytes.
    pub base64: String,
}

/// Is the value a [`File`]?
#[must_use]
pub fn as_file(value: &Value) -> Option<File> {
    serde_json::from_value(value.clone()).ok()
}
