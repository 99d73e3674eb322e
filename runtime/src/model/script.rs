//! The rules of the scripted model, as read from a folder of TOML files.
//!
//! Answers: which rule applies to a request, and what does it reply?
//! Never: loads a folder in which a rule contradicts its own examples; the error names the file and the line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::render::Renderer;
use super::reply::Reply;
use super::view::{Source, View};

mod example;
mod file;

/// All rules, in the order in which they are tried.
#[derive(Debug)]
pub struct Script {
    kinds: Vec<Kind>,
    rules: Vec<Rule>,
    renderer: Renderer,
}

/// A script cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {why}", file.display())]
pub struct ScriptError {
    /// In which file.
    pub file: PathBuf,
    /// In which line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// What a conversation is for, found from the request alone.
#[derive(Debug)]
struct Kind {
    name: String,
    condition: Option<String>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    kinds: Vec<String>,
    /// One of them must match the query, if there are any. Its named groups are the rule's `m`.
    query: Vec<Regex>,
    /// A template that gives something when the rule applies.
    condition: Option<String>,
    form: Form,
    template: String,
}

/// What a rule's template gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Words.
    Content,
    /// Calls of tools.
    Calls,
    /// Steps of a plan.
    Steps,
    /// The value of a derivation.
    Value,
    /// The reply as it is, even where a form was asked for.
    Raw,
}

/// Something that may stand in a context, found by a pattern; what rules call `facts.name`.
#[derive(Debug)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// Where to look.
    pub sources: Vec<Source>,
    /// What to look for; the first that matches a part counts there.
    pub patterns: Vec<Regex>,
}

/// A request, as the rules see it.
#[derive(Debug)]
pub struct Question {
    /// The request.
    pub view: Arc<View>,
    /// What templates see of it.
    scope: minijinja::Value,
    /// What the conversation is for.
    pub kind: String,
}

/// A reply, with what decided it.
#[derive(Debug)]
pub struct Chosen {
    /// The rule that replied.
    pub rule: String,
    /// What it says.
    pub reply: Reply,
}

impl Script {
    /// Reads every `*.toml` in a folder, and checks every example.
    ///
    /// # Errors
    /// With file and line, if something does not parse or an example does not hold.
    pub fn load(folder: &Path) -> Result<Script, ScriptError> {
        file::load(folder)
    }

    /// Reads a request: what is it for, and what do the rules see of it?
    pub fn read(&self, view: View) -> Question {
        let view = Arc::new(view);
        let scope = self.renderer.scope(&view);
        let applies = |kind: &&Kind| {
            let holds = |condition| self.renderer.holds(condition, &scope, "", &Value::Null);
            kind.condition.as_deref().is_none_or(holds)
        };
        let kind =
            self.kinds.iter().find(applies).map_or_else(|| "plain".to_owned(), |kind| kind.name.clone());
        Question { view, scope, kind }
    }

    /// The first rule that applies and has something to say.
    pub fn reply(&self, question: &Question) -> Chosen {
        for rule in self.rules.iter().filter(|rule| rule.kinds.contains(&question.kind)) {
            if let Some(reply) = self.try_rule(rule, question) {
                return Chosen { rule: rule.name.clone(), reply };
            }
        }
        let words = "I am a scripted model and have no rule for this.";
        let reply = Form::Content.reply(&question.kind, words);
        Chosen { rule: String::new(), reply: reply.unwrap_or_else(|_| Reply::Text(words.to_owned())) }
    }

    /// The fact of that name, for tests.
    #[cfg(test)]
    pub fn fact(&self, name: &str) -> Option<&Fact> {
        self.renderer.fact(name)
    }

    fn try_rule(&self, rule: &Rule, question: &Question) -> Option<Reply> {
        let groups = if rule.query.is_empty() {
            Value::Null
        } else {
            rule.query.iter().find_map(|pattern| groups(pattern, &question.view.query))?
        };
        if let Some(condition) = &rule.condition
            && !self.renderer.holds(condition, &question.scope, &question.kind, &groups)
        {
            return None;
        }
        let rendered = self.renderer.render(&rule.template, &question.scope, &question.kind, &groups);
        let rendered = rendered.map_err(|error| format!("{error:#}"));
        match rendered.and_then(|text| rule.form.reply(&question.kind, &text)) {
            Ok(Reply::Text(text)) if text.is_empty() => None,
            Ok(Reply::Calls(calls)) if calls.is_empty() => None,
            Ok(reply) => Some(reply),
            // The examples hold, so this is a request of a form that nobody thought of; another rule may know it.
            Err(error) => {
                tracing::warn!(rule = rule.name, %error, "a rule of the scripted model has no reply");
                None
            }
        }
    }
}

impl Form {
    fn reply(self, kind: &str, text: &str) -> Result<Reply, String> {
        let text = text.trim();
        match self {
            Form::Raw => Ok(Reply::Text(text.to_owned())),
            // A planner that needs no app answers in a plan's form.
            Form::Content if kind == "planner" && !text.is_empty() => Ok(Reply::plan(Some(text), Vec::new())),
            Form::Content => Ok(Reply::Text(text.to_owned())),
            Form::Steps => {
                let steps = values(text)?;
                Ok(if steps.is_empty() { Reply::Text(String::new()) } else { Reply::plan(None, steps) })
            }
            Form::Calls => Reply::calls(values(text)?),
            Form::Value if text.is_empty() => Ok(Reply::Text(String::new())),
            Form::Value => {
                let value: Value =
                    serde_json::from_str(text).map_err(|error| format!("{text:?} is not JSON: {error}"))?;
                Ok(Reply::Text(serde_json::json!({ "value": value }).to_string()))
            }
        }
    }
}

/// The named groups of a match as an object, and the whole match as `text`.
pub fn groups(pattern: &Regex, text: &str) -> Option<Value> {
    let found = pattern.captures(text)?;
    let whole = ("text".to_owned(), Value::from(found.get(0)?.as_str()));
    let named = pattern.capture_names().flatten();
    let group =
        |name: &str| found.name(name).map(|group| (name.to_owned(), Value::from(group.as_str().trim())));
    Some(Value::Object(std::iter::once(whole).chain(named.filter_map(group)).collect()))
}

/// JSON values written one after the other.
fn values(text: &str) -> Result<Vec<Value>, String> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{text:?} is not a row of JSON values: {error}"))
}
