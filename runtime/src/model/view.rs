//! A chat-completions request as the rules see it.
//!
//! Answers: what was asked, what is offered, what came back so far, and who said which part of the context?
//! Never: keeps more than the request holds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod signature;

pub use signature::parse_all as signatures;

/// The tool by which a spoke asks for other apps.
pub const REQUEST_APP: &str = "request_app";

/// What the rules are matched against.
#[derive(Debug, Default, Serialize)]
pub struct View {
    /// The name of the JSON schema that the reply must have, or nothing.
    pub schema: String,
    /// The type of the value that a derivation must give: `string`, `number`, …
    pub value_type: String,
    /// All instructions to the model.
    pub system: String,
    /// What was asked last.
    pub query: String,
    /// What the user had said before.
    pub history: Vec<String>,
    /// What the assistant had answered before.
    pub answers: Vec<String>,
    /// Functionalities that can be planned or called.
    pub offers: Vec<Offer>,
    /// The names of their apps, each once.
    pub apps: Vec<String>,
    /// Are there tools to call?
    pub tools: bool,
    /// Can other apps be asked for?
    pub asks: bool,
    /// Are there results to put together?
    pub composes: bool,
    /// What came back since the last query, in order.
    pub results: Vec<Outcome>,
    /// The last message, if it is a JSON object.
    pub data: Value,
    /// All that stands in the context, by who said it.
    #[serde(skip)]
    pub segments: Vec<Segment>,
}

/// A functionality.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    /// `app.name`.
    pub full: String,
    /// Whose.
    pub app: String,
    /// Its own name.
    pub name: String,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a functionality.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its JSON type, or what a signature says.
    pub kind: String,
    /// Must it be given?
    pub required: bool,
}

/// The result of a call.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `app.name`, whether called or asked for.
    pub full: String,
    /// Whose.
    pub app: String,
    /// The result as JSON; as a string, if it is not JSON.
    pub value: Value,
    /// Why there is none.
    pub error: Option<String>,
    /// As it came.
    pub text: String,
}

/// A part of the context.
#[derive(Debug)]
pub struct Segment {
    /// What kind of part.
    pub source: Source,
    /// The app that said it, where one did.
    pub by: Option<String>,
    /// The words.
    pub text: String,
}

/// Kinds of parts of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Instructions.
    System,
    /// The user's words.
    User,
    /// The model's words.
    Assistant,
    /// The description of a tool.
    Tool,
    /// What a tool gave back, or an app's result.
    Result,
}

/// As an OpenAI client sends it; what is not needed is not read.
#[derive(Debug, Deserialize)]
pub struct Request {
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<ToolEntry>,
    #[serde(default)]
    response_format: Value,
    /// Send the reply in pieces?
    #[serde(default)]
    pub stream: bool,
    /// `include_usage` asks for a last piece with the numbers.
    #[serde(default)]
    pub stream_options: Value,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Option<Vec<CallEntry>>,
    #[serde(default)]
    tool_call_id: String,
}

#[derive(Debug, Deserialize)]
struct CallEntry {
    id: String,
    function: CalledFunction,
}

#[derive(Debug, Deserialize)]
struct CalledFunction {
    name: String,
    arguments: String,
}

#[derive(Debug, Deserialize)]
struct ToolEntry {
    function: OfferedFunction,
}

#[derive(Debug, Deserialize)]
struct OfferedFunction {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Value,
}

impl View {
    /// Reads a request.
    pub fn of(request: &Request) -> View {
        let mut view = View::default();
        view.read_format(&request.response_format);
        for tool in &request.tools {
            view.read_tool(&tool.function);
        }
        let mut called: Map<String, Value> = Map::new();
        for message in &request.messages {
            view.read_message(message, &mut called);
        }
        if view.offers.is_empty() {
            view.offers = signature::parse_all(&view.system);
        }
        for offer in &view.offers {
            if !view.apps.contains(&offer.app) {
                view.apps.push(offer.app.clone());
            }
        }
        view.read_data();
        view
    }

    /// All text of the context together, as a measure of its size.
    pub fn size(&self) -> usize {
        self.segments.iter().map(|segment| segment.text.len()).sum()
    }

    fn read_format(&mut self, format: &Value) {
        let named = format.pointer("/json_schema/name").and_then(Value::as_str);
        self.schema = named.unwrap_or_default().to_owned();
        let kind = format.pointer("/json_schema/schema/properties/value/type").and_then(Value::as_str);
        self.value_type = kind.unwrap_or_default().to_owned();
    }

    fn read_tool(&mut self, tool: &OfferedFunction) {
        self.tools = true;
        if tool.name == REQUEST_APP {
            self.asks = true;
            return;
        }
        let (app, name) = tool.name.split_once("__").unwrap_or(("", &tool.name));
        self.offers.push(Offer {
            full: format!("{app}.{name}"),
            app: app.to_owned(),
            name: name.to_owned(),
            parameters: signature::from_schema(&tool.parameters),
        });
        self.say(Source::Tool, Some(app.to_owned()), tool.description.clone());
    }

    fn read_message(&mut self, message: &Message, called: &mut Map<String, Value>) {
        let text = text_of(&message.content);
        match message.role.as_str() {
            "system" | "developer" => {
                self.system.push_str(&text);
                self.system.push('\n');
                self.say(Source::System, None, text);
            }
            "user" => {
                self.results.clear();
                if !self.query.is_empty() {
                    self.history.push(std::mem::take(&mut self.query));
                }
                self.query.clone_from(&text);
                self.say(Source::User, None, text);
            }
            "assistant" => {
                for call in message.tool_calls.iter().flatten() {
                    called.insert(call.id.clone(), Value::from(target(&call.function)));
                }
                if !text.is_empty() {
                    self.answers.push(text.clone());
                    self.say(Source::Assistant, None, text);
                }
            }
            "tool" => {
                let full =
                    called.get(&message.tool_call_id).and_then(Value::as_str).unwrap_or("unknown.unknown");
                let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.clone()));
                let outcome = Outcome::new(full, value, text);
                self.say(Source::Result, Some(outcome.app.clone()), outcome.words());
                self.results.push(outcome);
            }
            _ => {}
        }
    }

    /// The work of the system's own conversations comes as a JSON object in the last message.
    fn read_data(&mut self) {
        let Ok(Value::Object(data)) = serde_json::from_str(&self.query) else { return };
        let said = self.segments.iter_mut().rev().find(|segment| segment.source == Source::User);
        if let (Some(Value::String(query)), Some(results)) = (data.get("query"), data.get("results")) {
            self.composes = true;
            let results = composed(results);
            self.query.clone_from(query);
            if let Some(segment) = said {
                segment.text.clone_from(query);
            }
            for outcome in &results {
                self.say(Source::Result, Some(outcome.app.clone()), outcome.words());
            }
            self.results = results;
        } else if let (Some(Value::String(instruction)), Some(source)) =
            (data.get("instruction"), data.get("source"))
        {
            self.query.clone_from(instruction);
            if let Some(segment) = said {
                segment.text.clone_from(instruction);
            }
            self.say(Source::Result, None, with_leaves(source, &source.to_string()));
        }
        self.data = Value::Object(data);
    }

    fn say(&mut self, source: Source, by: Option<String>, text: String) {
        self.segments.push(Segment { source, by, text });
    }
}

impl Outcome {
    fn words(&self) -> String {
        with_leaves(&self.value, &self.text)
    }

    fn new(full: &str, value: Value, text: String) -> Outcome {
        let error =
            value.get("error").map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned));
        // Some servers put a result into a field of its own.
        let value = match value {
            Value::Object(mut only) if only.len() == 1 && only.contains_key("value") => {
                only.remove("value").unwrap_or_default()
            }
            value => value,
        };
        let app = full.split_once('.').map_or(full, |(app, _)| app).to_owned();
        Outcome { full: full.to_owned(), app, value, error, text }
    }
}

/// The texts in a value as they read, before the JSON in which they are escaped.
fn with_leaves(value: &Value, text: &str) -> String {
    fn collect<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => into.push(text),
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut leaves = Vec::new();
    collect(value, &mut leaves);
    leaves.push(text);
    leaves.join("\n")
}

/// Results as the composing conversation gets them.
fn composed(results: &Value) -> Vec<Outcome> {
    let field = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let list = match results {
        Value::Array(list) => list.clone(),
        Value::Object(by_app) => {
            by_app.iter().map(|(app, value)| serde_json::json!({ "app": app, "value": value })).collect()
        }
        _ => Vec::new(),
    };
    list.iter()
        .map(|entry| {
            let app = field(entry, "app").unwrap_or_default();
            let full = field(entry, "functionality").unwrap_or_else(|| app.clone());
            let value = entry.get("value").or_else(|| entry.get("result")).cloned().unwrap_or_default();
            let mut outcome = Outcome::new(&full, value, entry.to_string());
            outcome.app = app;
            outcome.error = field(entry, "error").or(outcome.error);
            outcome
        })
        .collect()
}

/// `app.name` of what a call is for: the functionality itself, or the one asked for.
fn target(call: &CalledFunction) -> String {
    if call.name == REQUEST_APP {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let part = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or("unknown");
        return format!("{}.{}", part("app"), part("functionality"));
    }
    call.name.replacen("__", ".", 1)
}

/// A message's content is a text, or a list of parts some of which are text.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
