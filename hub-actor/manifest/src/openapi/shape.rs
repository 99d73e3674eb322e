//! One operation: its arguments, its request and its result.
//!
//! Answers: which argument goes where in the request, and what does a successful answer look like?
//! Never: offers as an argument what is a credential, or what the connection decides.
//! Carries: I-17.

use bus::message::operation::{Body, Content, Encoding, Endpoint, Parameter, Place, Style};
use serde_json::{Map, Value, json};

use super::schema;
use super::{Api, Found, OpenApiError, Operation, resolved, server, text};

/// Headers that an argument does not decide: how the bodies are written, and who asks.
const NOT_ARGUMENTS: [&str; 5] = ["accept", "content-type", "authorization", "cookie", "user-agent"];

/// A part of a schema counts as one; a larger schema of a result is left out, since results are then only larger.
const MAX_RESPONSE_PARTS: usize = 5_000;

/// Reads an operation.
pub(super) fn operation(api: &Api<'_>, found: Found<'_>) -> Result<Operation, OpenApiError> {
    let mut arguments = Arguments::default();
    let parameters = parameters(api, found, &mut arguments)?;
    let body = match found.operation.get("requestBody") {
        Some(body) if found.method != "get" && found.method != "head" => {
            body_of(api, resolved(api.root, body)?, &mut arguments)?
        }
        _ => None,
    };
    let (response, paged) = response(api, found)?;
    let url = format!("{}{}", server(&[found.operation, found.item, api.root])?, found.path);
    let described = text(found.operation, "description").or_else(|| text(found.operation, "summary"));
    Ok(Operation {
        description: described.map(str::to_owned),
        request: schema::whole(api.root, api.dialect, arguments.schema())?,
        response,
        endpoint: Endpoint { method: found.method.to_ascii_uppercase(), url, parameters, body, paged },
    })
}

/// The arguments of a functionality while they are collected.
#[derive(Default)]
struct Arguments {
    properties: Map<String, Value>,
    required: Vec<String>,
    /// Schemas that the body brings along.
    definitions: Map<String, Value>,
}

impl Arguments {
    /// Adds one under its own name, or one that is like it.
    fn add(&mut self, name: &str, place: &str, schema: Value, required: bool) -> String {
        let mut argument = name.to_owned();
        while self.properties.contains_key(&argument) {
            argument = format!("{argument}_{place}");
        }
        self.properties.insert(argument.clone(), schema);
        if required {
            self.required.push(argument.clone());
        }
        argument
    }

    fn schema(self) -> Value {
        let mut schema = self.definitions;
        schema.insert("type".into(), json!("object"));
        schema.insert("properties".into(), Value::Object(self.properties));
        schema.insert("required".into(), json!(self.required));
        schema.insert("additionalProperties".into(), json!(false));
        Value::Object(schema)
    }
}

fn parameters(
    api: &Api<'_>,
    found: Found<'_>,
    arguments: &mut Arguments,
) -> Result<Vec<Parameter>, OpenApiError> {
    let list =
        |value: &'_ Value| value.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut declared: Vec<Value> = Vec::new();
    for parameter in list(found.item).iter().chain(&list(found.operation)) {
        let parameter = resolved(api.root, parameter)?;
        let same = |other: &Value| ["name", "in"].iter().all(|key| text(other, key) == text(parameter, key));
        // The operation's own word counts more than that of its path.
        declared.retain(|other| !same(other));
        declared.push(parameter.clone());
    }
    // A path says itself that it needs a value.
    for name in placeholders(found.path) {
        if !declared.iter().any(|one| text(one, "in") == Some("path") && text(one, "name") == Some(name)) {
            declared.push(json!({"name": name, "in": "path", "schema": {"type": "string"}}));
        }
    }
    Ok(declared.iter().filter_map(|declared| parameter(declared, found.path, arguments)).collect())
}

fn parameter(declared: &Value, path: &str, arguments: &mut Arguments) -> Option<Parameter> {
    let (name, word) = (text(declared, "name")?, text(declared, "in")?);
    let place = match word {
        "path" if placeholders(path).any(|wanted| wanted == name) => Place::Path,
        "query" => Place::Query,
        "header" if !NOT_ARGUMENTS.iter().any(|not| name.eq_ignore_ascii_case(not)) => Place::Header,
        // Cookies are credentials, and those are the gateway's.
        _ => return None,
    };
    let json_text = declared.pointer("/content/application~1json/schema");
    let style = match (json_text, text(declared, "style"), place) {
        (Some(_), ..) => Style::Json,
        (None, Some("label"), _) => Style::Label,
        (None, Some("matrix"), _) => Style::Matrix,
        (None, Some("spaceDelimited"), _) => Style::SpaceDelimited,
        (None, Some("pipeDelimited"), _) => Style::PipeDelimited,
        (None, Some("deepObject"), _) => Style::DeepObject,
        (None, _, Place::Query) => Style::Form,
        (None, ..) => Style::Simple,
    };
    let mut schema = json_text.or_else(|| declared.get("schema")).cloned().unwrap_or_else(|| json!({}));
    if let (Value::Object(fields), Some(words)) = (&mut schema, declared.get("description"))
        && !fields.contains_key("$ref")
    {
        fields.entry("description").or_insert_with(|| words.clone());
    }
    let required = place == Place::Path || declared.get("required") == Some(&Value::Bool(true));
    let yes = |key: &str| declared.get(key).and_then(Value::as_bool);
    Some(Parameter {
        argument: arguments.add(name, word, schema, required),
        name: name.to_owned(),
        place,
        style,
        explode: yes("explode").unwrap_or(style == Style::Form),
        reserved: yes("allowReserved").unwrap_or(false),
    })
}

fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// What is sent: of several media types the one that says most about its parts.
fn body_of(api: &Api<'_>, body: &Value, arguments: &mut Arguments) -> Result<Option<Body>, OpenApiError> {
    let Some(content) = body.get("content").and_then(Value::as_object) else { return Ok(None) };
    let best = content.iter().min_by_key(|(media_type, _)| rank(media_type));
    let Some((media_type, described)) = best else { return Ok(None) };
    let encoding = encoding(media_type);
    let required = body.get("required") == Some(&Value::Bool(true));
    let fallback = match encoding {
        Encoding::Text => json!({"type": "string"}),
        Encoding::Base64 => json!({"type": "string", "description": "The bytes in base64"}),
        _ => json!({}),
    };
    let schema = match encoding {
        Encoding::Base64 => &fallback,
        _ => described.get("schema").unwrap_or(&fallback),
    };
    let content = match fields(api, schema, arguments)? {
        Some(fields) if matches!(encoding, Encoding::Json | Encoding::Form | Encoding::Multipart) => {
            let mut names = Vec::new();
            for (name, schema, needed) in fields {
                names.push(arguments.add(&name, "body", schema, required && needed));
            }
            Content::Fields(names)
        }
        _ => Content::Argument(arguments.add("body", "content", schema.clone(), required)),
    };
    let media_type =
        if media_type.contains('*') { default_type(encoding).to_owned() } else { media_type.clone() };
    Ok(Some(Body { media_type, encoding, content }))
}

fn rank(media_type: &str) -> u8 {
    match encoding(media_type) {
        Encoding::Json => u8::from(media_type != "application/json"),
        Encoding::Form => 2,
        Encoding::Multipart => 3,
        Encoding::Text => 4,
        Encoding::Base64 => 5,
    }
}

fn encoding(media_type: &str) -> Encoding {
    let plain = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match plain.as_str() {
        "*/*" | "application/*" => Encoding::Json,
        "application/x-www-form-urlencoded" => Encoding::Form,
        "multipart/form-data" => Encoding::Multipart,
        "application/xml" => Encoding::Text,
        _ if is_json(&plain) => Encoding::Json,
        _ if plain.starts_with("text/") || plain.ends_with("+xml") => Encoding::Text,
        _ => Encoding::Base64,
    }
}

fn default_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Text => "text/plain",
        Encoding::Base64 => "application/octet-stream",
        _ => "application/json",
    }
}

fn is_json(media_type: &str) -> bool {
    let plain = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    plain == "application/json" || plain.ends_with("+json")
}

/// The fields of a body that is an object with fixed ones: each becomes an argument of its own, as a person would write
/// them. Any other body is one argument. A field that only answers have is left out.
type Field = (String, Value, bool);
fn fields(
    api: &Api<'_>,
    schema: &Value,
    arguments: &mut Arguments,
) -> Result<Option<Vec<Field>>, OpenApiError> {
    let schema = resolved(api.root, schema)?;
    let open = ["oneOf", "anyOf", "allOf", "if", "not", "patternProperties"]
        .iter()
        .any(|key| schema.get(key).is_some())
        || schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| !open) else {
        return Ok(None);
    };
    // Under another name than its own a field could not be sent.
    if properties.keys().any(|name| arguments.properties.contains_key(name)) {
        return Ok(None);
    }
    for key in ["$defs", "definitions"] {
        if let Some(own) = schema.get(key) {
            arguments.definitions.insert(key.to_owned(), own.clone());
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    let needed = |name: &str| required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
    let given = properties.iter().filter(|(_, field)| field.get("readOnly") != Some(&Value::Bool(true)));
    Ok(Some(given.map(|(name, field)| (name.clone(), field.clone(), needed(name))).collect()))
}

/// The schema of the one successful answer, and whether it comes in pages that a header tells.
fn response(api: &Api<'_>, found: Found<'_>) -> Result<(Option<Value>, bool), OpenApiError> {
    let all = found.operation.get("responses").and_then(Value::as_object);
    let mut good =
        all.into_iter().flatten().filter(|(code, _)| code.starts_with('2')).map(|(_, response)| response);
    let (Some(only), None) = (good.next(), good.next()) else { return Ok((None, false)) };
    let only = resolved(api.root, only)?;
    let content = only.get("content").and_then(Value::as_object);
    let json = content.into_iter().flatten().find(|(media_type, _)| is_json(media_type));
    let Some(schema) = json.and_then(|(_, described)| described.get("schema")) else {
        return Ok((None, false));
    };
    let is_list = text(resolved(api.root, schema)?, "type") == Some("array");
    let headers = only.get("headers").and_then(Value::as_object);
    let paged =
        is_list && headers.is_some_and(|all| all.keys().any(|name| name.eq_ignore_ascii_case("link")));
    let mut schema = schema.clone();
    if paged {
        schema = json!({
            "type": "object",
            "properties": {"items": schema, "next": {"type": ["string", "null"], "description": "Where the next page is"}},
            "required": ["items", "next"],
        });
    }
    let schema = schema::whole(api.root, api.dialect, schema)?;
    Ok((Some(schema).filter(|schema| schema::parts(schema) <= MAX_RESPONSE_PARTS), paged))
}
