//! Examples in the scripts: short forms of requests, made into real ones.
//!
//! Answers: does the script do what its author wrote beside it?
//! Never: takes a short cut past the parser that real requests go through.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Fact, Script, groups};
use crate::model::view::{REQUEST_APP, Request, View};

/// A request in short.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What kind of conversation; the first of the file's, if absent.
    kind: Option<String>,
    /// What is asked.
    query: String,
    /// What had been asked before.
    #[serde(default)]
    history: Vec<String>,
    /// What had been answered to it, in the same order.
    #[serde(default)]
    answers: Vec<String>,
    /// More instructions to the model.
    #[serde(default)]
    system: String,
    /// The apps whose functionalities of the catalogue are offered; all, if absent.
    apps: Option<Vec<String>>,
    /// More functionalities, as signatures.
    #[serde(default)]
    offers: Vec<String>,
    /// What came back so far.
    #[serde(default)]
    results: Vec<Came>,
    /// With a derivation: the data.
    #[serde(default)]
    source: Value,
    /// With a derivation: the type wanted.
    value_type: Option<String>,
    /// With a summary or entities: the rest of the data.
    #[serde(default)]
    data: Map<String, Value>,
    /// What the reply must contain.
    #[serde(default)]
    gives: OneOrMore,
    /// What it must not contain.
    #[serde(default)]
    never: OneOrMore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Came {
    from: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    value: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        OneOrMore::More(Vec::new())
    }
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
    }
}

/// A text, and what is found in it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum FactExample {
    /// Something is found.
    Text(String),
    /// These groups are.
    Groups {
        /// Where.
        text: String,
        /// What.
        gives: Map<String, Value>,
    },
}

impl FactExample {
    /// Is the fact found, as expected?
    pub fn check(&self, fact: &Fact, expected: bool) -> Result<(), String> {
        let (text, gives) = match self {
            FactExample::Text(text) => (text, None),
            FactExample::Groups { text, gives } => (text, Some(gives)),
        };
        let found = fact.patterns.iter().find_map(|pattern| groups(pattern, text));
        if found.is_some() != expected {
            let not = if expected { "not found" } else { "found" };
            return Err(format!("{not} in the example {text:?}"));
        }
        for (name, wanted) in gives.into_iter().flatten() {
            let got = found.as_ref().and_then(|found| found.get(name));
            if got != Some(wanted) {
                return Err(format!("{name} is {got:?} in the example {text:?}, not {wanted}"));
            }
        }
        Ok(())
    }
}

impl Example {
    /// Is the rule of this name the one that replies, as expected?
    pub fn check(
        &self,
        script: &Script,
        catalogue: &[String],
        kind: &str,
        rule: &str,
        expected: bool,
    ) -> Result<(), String> {
        let kind = self.kind.as_deref().unwrap_or(kind);
        let request: Request = serde_json::from_value(self.request(catalogue, kind))
            .map_err(|error| format!("the example makes no request: {error}"))?;
        let question = script.read(View::of(&request));
        if question.kind != kind {
            return Err(format!(
                "the example {:?} is a {} request, not a {kind} one",
                self.query, question.kind
            ));
        }
        let chosen = script.reply(&question);
        if (chosen.rule == rule) != expected {
            let by = if chosen.rule.is_empty() { "no rule" } else { &chosen.rule };
            return Err(format!(
                "the example {:?} is answered by {by}: {}",
                self.query,
                chosen.reply.plain()
            ));
        }
        let said = chosen.reply.plain();
        let missing = self.gives.as_slice().iter().find(|wanted| !said.contains(wanted.as_str()));
        let excess = self.never.as_slice().iter().find(|unwanted| said.contains(unwanted.as_str()));
        match (missing, excess) {
            (None, None) => Ok(()),
            (Some(text), _) => Err(format!("the reply to {:?} lacks {text:?}: {said}", self.query)),
            (_, Some(text)) => Err(format!("the reply to {:?} has {text:?}: {said}", self.query)),
        }
    }

    fn request(&self, catalogue: &[String], kind: &str) -> Value {
        let offers = self.offers(catalogue);
        match kind {
            "planner" => {
                let system = format!("{}\n{}", self.system, offers.join("\n"));
                self.chat(&system, json!({ "json_schema": { "name": "secgpt_plan" } }), json!([]))
            }
            "spoke" => {
                let mut tools: Vec<Value> = offers.iter().filter_map(|signature| tool(signature)).collect();
                tools.push(json!({ "type": "function", "function": { "name": REQUEST_APP } }));
                self.chat(&self.system, Value::Null, Value::Array(tools))
            }
            "baseline" => {
                let tools: Vec<Value> = offers.iter().filter_map(|signature| tool(signature)).collect();
                self.chat(&self.system, Value::Null, Value::Array(tools))
            }
            "derive" => {
                let asked = json!({ "instruction": self.query, "source": self.source });
                let value = json!({ "type": self.value_type.as_deref().unwrap_or("string") });
                let schema = json!({ "properties": { "value": value } });
                self.data_chat(
                    &asked,
                    json!({ "json_schema": { "name": "secgpt_derive", "schema": schema } }),
                )
            }
            "compose" => {
                let entry = |came: &Came| {
                    let app = came.from.split('.').next();
                    json!({ "app": app, "functionality": came.from, "value": came.value })
                };
                let results: Vec<Value> = self.results.iter().map(entry).collect();
                self.data_chat(&json!({ "query": self.query, "results": results }), Value::Null)
            }
            "summary" | "entities" => self.data_chat(&Value::Object(self.data.clone()), Value::Null),
            _ => self.chat(&self.system, Value::Null, json!([])),
        }
    }

    fn offers(&self, catalogue: &[String]) -> Vec<String> {
        let wanted = |signature: &&String| {
            let app = signature.split('.').next().unwrap_or_default();
            self.apps.as_ref().is_none_or(|apps| apps.iter().any(|wanted| wanted == app))
        };
        catalogue.iter().filter(wanted).chain(&self.offers).cloned().collect()
    }

    fn chat(&self, system: &str, format: Value, tools: Value) -> Value {
        let mut messages = vec![json!({ "role": "system", "content": system })];
        for (at, text) in self.history.iter().enumerate() {
            messages.push(json!({ "role": "user", "content": text }));
            if let Some(answer) = self.answers.get(at) {
                messages.push(json!({ "role": "assistant", "content": answer }));
            }
        }
        messages.push(json!({ "role": "user", "content": self.query }));
        for (at, came) in self.results.iter().enumerate() {
            let name = came.from.replacen('.', "__", 1);
            let own = tools.as_array().into_iter().flatten();
            let own = own.filter_map(|tool| tool.pointer("/function/name")).any(|tool| tool == &name);
            let (app, functionality) = came.from.split_once('.').unwrap_or((&came.from, ""));
            let (name, arguments) = if own {
                (name, json!(came.arguments))
            } else {
                let asked =
                    json!({ "app": app, "functionality": functionality, "arguments": came.arguments });
                (REQUEST_APP.to_owned(), asked)
            };
            let id = format!("c{at}");
            messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": id,
                "type": "function", "function": { "name": name, "arguments": arguments.to_string() } }] }));
            messages.push(json!({ "role": "tool", "tool_call_id": id, "content": came.value.to_string() }));
        }
        json!({ "messages": messages, "response_format": format, "tools": tools })
    }

    fn data_chat(&self, data: &Value, format: Value) -> Value {
        json!({ "messages": [{ "role": "system", "content": self.system },
                             { "role": "user", "content": data.to_string() }], "response_format": format })
    }
}

/// A signature as a tool.
fn tool(signature: &str) -> Option<Value> {
    let offers = crate::model::view::signatures(signature);
    let offer = offers.first()?;
    let required: Vec<&str> =
        offer.parameters.iter().filter(|each| each.required).map(|each| each.name.as_str()).collect();
    let properties: Map<String, Value> =
        offer.parameters.iter().map(|each| (each.name.clone(), json!({ "type": each.kind }))).collect();
    let parameters = json!({ "type": "object", "properties": properties, "required": required });
    Some(json!({ "type": "function",
                 "function": { "name": offer.full.replacen('.', "__", 1), "parameters": parameters } }))
}
