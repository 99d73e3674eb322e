//! A web API by its OpenAPI description.
//!
//! Answers: which operations does it have, what is proposed about each, and where do its requests go?
//! Never: sends a request to the API itself; that is the egress gateway's, with the manifest that is agreed to.
//! Carries: I-06, I-17.
//!
//! An address is fetched by this program with the rights of the person who typed it: it is not an app's request, and no
//! credential goes with it.

mod servers;

use std::path::Path;
use std::time::Duration;

use bus::id::FunctionName;
use bus::message::offer::Offer;
use manifest::Schema;
use manifest::openapi::{Api, Operation};
use serde_json::Value;

use super::access::{self, Access};
use super::propose::{Proposal, Proposed, destinations};
use super::server::{Place, local_line};
use super::yaml;
use crate::error::Error;

/// The file's name in the app's folder.
pub const FILE: &str = "openapi.json";

/// As much as a manifest may name.
const LARGEST: usize = 16 << 20;

/// How long fetching it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A description that was read.
#[derive(Clone, Debug)]
pub struct Description {
    /// As JSON, as it is kept.
    pub text: String,
    /// What it says of itself.
    pub offer: Offer,
    /// What is proposed.
    pub proposal: Proposal,
    /// The line of `[network]` that allows its server.
    pub network: String,
    /// How it wants to be shown who asks.
    pub access: Access,
}

/// Reads one, from a file or an address.
///
/// # Errors
/// If it cannot be had, is no description, or has no operation that can be offered.
pub async fn take(place: &str) -> Result<Description, Error> {
    let text = if place.starts_with("https://") || place.starts_with("http://") {
        fetch(place).await?
    } else {
        read(Path::new(place))?
    };
    describe(text, place)
}

fn read(file: &Path) -> Result<String, Error> {
    let cannot = || Error::failed(format!("the description {} cannot be read", file.display()));
    let size = std::fs::metadata(file).map_err(|error| cannot().because(error))?.len();
    if u64::try_from(LARGEST).unwrap_or(u64::MAX) < size {
        return Err(cannot().because(format!("it has {size} bytes, more than {LARGEST}")));
    }
    std::fs::read_to_string(file).map_err(|error| cannot().because(error))
}

async fn fetch(url: &str) -> Result<String, Error> {
    let cannot = || Error::failed(format!("the description cannot be fetched from {url}"));
    let client = reqwest::Client::builder()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::limited(5))
        .build()
        .map_err(|error| cannot().because(error))?;
    let mut answer = client.get(url).send().await.map_err(|error| cannot().because(error.without_url()))?;
    if !answer.status().is_success() {
        return Err(cannot().because(format!("the server answers {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| cannot().because(error.without_url()))? {
        body.extend_from_slice(&piece);
        if LARGEST < body.len() {
            return Err(cannot().because(format!("it has more than {LARGEST} bytes")));
        }
    }
    String::from_utf8(body).map_err(|error| cannot().because(error))
}

fn describe(text: String, place: &str) -> Result<Description, Error> {
    let (root, text) = value(text, place)
        .map_err(|why| Error::failed(format!("the description {place} cannot be read")).because(why))?;
    let wrong = |error: manifest::openapi::OpenApiError| {
        Error::failed(format!("the description {place} cannot be used: {error}"))
    };
    let api = Api::read(&root).map_err(wrong)?;
    let server = api.server().map_err(wrong)?;
    let server = reqwest::Url::parse(&server).ok().and_then(|url| Place::of(&url)).ok_or_else(|| {
        Error::failed(format!("the description {place} names no server that can be reached"))
    })?;
    let network = network(&server);
    let mut proposal = Proposal::default();
    for name in api.names() {
        match api.operation(name).map_err(|error| error.to_string()).and_then(|found| one(&api, name, &found))
        {
            Ok(proposed) => proposal.functions.push(proposed),
            Err(why) => proposal.left_out.push(why),
        }
    }
    if proposal.functions.is_empty() {
        return Err(Error::failed(format!("the description {place} has no operation that can be offered"))
            .hint(
                proposal
                    .left_out
                    .first()
                    .cloned()
                    .unwrap_or_else(|| "operations need an operationId each".to_owned()),
            ));
    }
    let info = |field: &str| {
        root.pointer(&format!("/info/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let offer = Offer {
        name: info("title"),
        version: info("version"),
        instructions: Some(info("description")).filter(|text| !text.trim().is_empty()),
        ..Offer::default()
    };
    let access = access::of_api(&api.security(), &server.credential_host());
    Ok(Description { text, offer, proposal, network, access })
}

/// What the text stands for, and the same as the JSON that is kept. JSON begins with a brace; everything else is YAML.
fn value(text: String, place: &str) -> Result<(Value, String), String> {
    let json = text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
    let mut root = if json {
        serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"))?
    } else {
        yaml::read(&text).map_err(|error| format!("it is neither JSON nor YAML: {error}"))?
    };
    if !servers::complete(&mut root, place) && json {
        return Ok((root, text));
    }
    let json = serde_json::to_string_pretty(&root).map_err(|error| error.to_string())?;
    Ok((root, json + "\n"))
}

fn one(api: &Api<'_>, name: &FunctionName, operation: &Operation) -> Result<Proposed, String> {
    for schema in std::iter::once(&operation.request).chain(&operation.response) {
        Schema::parse(schema.clone()).map_err(|error| format!("{name}: its schema, {error}"))?;
    }
    let words = operation.description.as_deref().and_then(|text| text.trim().lines().next());
    Ok(Proposed {
        name: name.to_string(),
        effect: api.effect(name).unwrap_or(bus::message::user::Effect::Irreversible),
        destinations: destinations(&operation.request),
        words: words.unwrap_or_default().to_owned(),
    })
}

/// The line of `[network]` that allows a server and nothing else. An address counts as named: the person chose the file.
fn network(server: &Place) -> String {
    server.hosts_line().or_else(|| local_line(server.address().as_slice())).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::message::user::Effect;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_network_is_the_server_and_nothing_else() {
        let check = |server: &str, line: &str| {
            assert_eq!(network(&Place::of(&server.parse().unwrap()).unwrap()), line, "{server}");
        };
        check("https://api.example.com/v1", "hosts = [\"api.example.com\"]");
        check("https://api.example.com:8443", "hosts = [\"api.example.com:8443\"]");
        check("http://127.0.0.1:9000/x", "local = [\"127.0.0.1:9000\"]");
        check("http://localhost:9000/x", "local = [\"127.0.0.1:9000\"]");
        check("https://[::1]/x", "local = [\"[::1]:443\"]");
    }

    #[test]
    fn an_effect_is_as_harmful_as_the_method() {
        let operation = |id: &str| json!({"operationId": id, "responses": {"200": {"description": ""}}});
        let api = json!({"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"},
            "servers": [{"url": "https://pets.example.com"}],
            "paths": {"/pets": {"get": operation("list"), "post": operation("make"), "delete": operation("clear")}}});
        let found = describe(api.to_string(), "pets.json").unwrap();
        let effects: Vec<Effect> = found.proposal.functions.iter().map(|function| function.effect).collect();
        assert_eq!(effects, [Effect::Read, Effect::Write, Effect::Irreversible]);
    }

    #[test]
    fn a_description_in_yaml_is_kept_as_json() {
        let text = "openapi: 3.1.0\ninfo: {title: Pets, version: '1'}\nservers:\n- url: https://pets.example.com\npaths:\n  /pet/{id}:\n    get:\n      operationId: getPet\n      parameters:\n      - {name: id, in: path, required: true, schema: {type: integer}}\n      responses: {200: {description: it}}\n";
        let found = describe(text.to_owned(), "pets.yaml").unwrap();
        assert_eq!(found.network, "hosts = [\"pets.example.com\"]");
        let again = describe(found.text.clone(), "openapi.json").unwrap();
        assert!(found.text.starts_with('{') && again.text == found.text && again.proposal == found.proposal);
        assert_eq!(found.proposal.functions.first().unwrap().name, "getPet");
    }

    #[test]
    fn what_is_no_description_is_said_so() {
        let check = |text: &str, words: &str| {
            let error = describe(text.to_owned(), "a").unwrap_err();
            assert!(
                error.line().contains(words) || error.way_out().is_some_and(|hint| hint.contains(words)),
                "{error:?}"
            );
        };
        check("{]", "no JSON");
        check("a: [", "neither JSON nor YAML");
        check("{}", "no OpenAPI description");
        check("", "no OpenAPI description");
        check("openapi: 3.0.0\npaths: {}\n", "names no server");
        check("{\"openapi\": \"3.0.0\", \"paths\": {}}", "names no server");
        check(
            "{\"openapi\": \"3.0.0\", \"servers\": [{\"url\": \"https://a.example.com\"}], \"paths\": {}}",
            "no operation",
        );
    }
}
