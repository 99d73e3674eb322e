//! Natural-language work: the app's own model, its own tools, and requests to other apps.
//!
//! Answers: what does the app's model make of this request?
//! Never: shows the model anything of another app but what the hub let through; lets the model act, be it by its own
//! app, without the hub's decision; runs longer than its rounds.
//! Carries: I-05, I-16.

use bus::id::FunctionName;
use bus::message::chat::{Tool, ToolCall, Turn};
use bus::message::profile::{Kind, Profile};
use bus::message::task::{Failure, FailureCode};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::job::{Job, cut};
use crate::model::{self, Question};
use crate::{call, isc};

/// The tool by which a model asks for other apps.
const REQUEST_APP: &str = "request_app";

/// Calls of one turn that are carried out. More is a model gone wild.
const MAX_CALLS: usize = 32;

/// What is to be done, as the hub gave it.
pub(crate) struct Work {
    pub(crate) request: String,
    pub(crate) system: String,
    pub(crate) history: Vec<Turn>,
    pub(crate) rounds: u32,
}

/// Works until the model answers without calling a tool.
pub(crate) async fn run(job: &Job, work: Work) -> Result<Value, Failure> {
    let profile = &job.spoke.profile;
    let tools = tools(profile);
    let mut turns = Vec::with_capacity(work.history.len() + 8);
    turns.push(Turn::System { text: format!("{}\n{}", work.system.trim_end(), profile.description.trim()) });
    turns.extend(work.history);
    turns.push(Turn::User { text: work.request });
    let rounds = work.rounds.min(profile.limits.model_calls).max(1);
    for _ in 0..rounds {
        let question = Question { turns: &turns, tools: &tools, schema: None, stream: false };
        let said = model::ask(job, question).await?;
        if said.calls.is_empty() {
            return match said.text.trim() {
                "" => Err(Failure::new(FailureCode::Model, "the model answered with nothing")),
                text => Ok(Value::String(text.to_owned())),
            };
        }
        let results = join_all(said.calls.iter().enumerate().map(|(index, made)| async move {
            let result = if index < MAX_CALLS {
                carry_out(job, made).await
            } else {
                Err(Failure::new(FailureCode::Arguments, format!("more than {MAX_CALLS} calls in one turn")))
            };
            Turn::Tool { call: made.id.clone(), text: as_text(result) }
        }))
        .await;
        turns.push(Turn::Assistant { text: said.text, calls: said.calls });
        turns.extend(results);
    }
    let words =
        format!("the model of {} was still calling tools after {rounds} turns, and was stopped", profile.app);
    Err(Failure::new(FailureCode::Budget, words))
}

/// What the model may call. An app that is nothing but a model has nothing of its own to call.
fn tools(profile: &Profile) -> Vec<Tool> {
    let own = match profile.kind {
        Kind::Empty | Kind::Prompt => &[],
        _ => profile.functions.as_slice(),
    };
    let mut tools: Vec<Tool> = own
        .iter()
        .map(|function| Tool {
            name: format!("{}__{}", profile.app, function.name),
            description: function.description.clone(),
            parameters: function.request.clone(),
        })
        .collect();
    tools.push(Tool {
        name: REQUEST_APP.to_owned(),
        description:
            "Ask for something that another app can do, or (app `memory`, functionality `recall`) for \
                      stored data of the user. The user may refuse."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "app": {"type": "string", "description": "The other app"},
                "functionality": {"type": "string", "description": "What it should do"},
                "arguments": {"type": "object", "description": "With which arguments"},
                "why": {"type": "string", "description": "Why, in a sentence for the user"}
            },
            "required": ["app", "functionality", "arguments", "why"]
        }),
    });
    tools
}

/// One call of the model. What it got wrong, it is told, so that it can mend it.
async fn carry_out(job: &Job, made: &ToolCall) -> Result<Value, Failure> {
    let text = made.arguments.trim();
    let args: Value = if text.is_empty() {
        json!({})
    } else {
        serde_json::from_str(text).map_err(|error| {
            Failure::new(FailureCode::Arguments, format!("the arguments are not JSON: {error}"))
        })?
    };
    if made.name == REQUEST_APP {
        let wanted = serde_json::from_value(args)
            .map_err(|error| Failure::new(FailureCode::Arguments, format!("{REQUEST_APP}: {error}")))?;
        return isc::ask(job, wanted).await;
    }
    let profile = &job.spoke.profile;
    let own = made
        .name
        .split_once("__")
        .filter(|(app, _)| *app == profile.app.as_str())
        .and_then(|(_, function)| FunctionName::parse(function).ok())
        .filter(|function| call::find(&profile.functions, function).is_some());
    match own {
        Some(function) => isc::own(job, &function, args).await,
        None => {
            let words = format!(
                "there is no tool {:?}; your own are named {}__…, and other apps are asked by {REQUEST_APP}",
                cut(&made.name, 80),
                profile.app
            );
            Err(Failure::new(FailureCode::Unknown, words))
        }
    }
}

fn as_text(result: Result<Value, Failure>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(failure) => json!({"error": failure.code, "detail": cut(&failure.detail, 4000)}).to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_to_the_model_as_such() {
        let failure = Failure::new(FailureCode::Refused, "the user said no");
        let text: Value = serde_json::from_str(&as_text(Err(failure))).unwrap();
        assert_eq!(text, json!({"error": "refused", "detail": "the user said no"}));
    }

    #[test]
    fn a_result_is_json_text() {
        assert_eq!(as_text(Ok(json!({"fare": 51.8}))), r#"{"fare":51.8}"#);
    }
}
