//! The baseline's conversation: one context, all tools, the model decides.
//!
//! Answers: what does the model do when everything is in its context?
//! Never: asks for permission.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{ChatCompletionMessageToolCalls, CreateChatCompletionRequest};
use bus::id::{Functionality, SessionId, StepId};
use bus::message::user::{Category, Ending, Flow, Outcome, StepResult, Verdict};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::Steps;
use super::apps::Apps;
use crate::error::Error;
use crate::provider::Choice;
use crate::show::clean;

/// Turns of one query. A loop that goes on longer is not going to end.
const MAX_ROUNDS: usize = 24;

/// A conversation.
pub struct Talk {
    client: Client<OpenAIConfig>,
    model: String,
    messages: Vec<Value>,
    tools: Vec<Value>,
}

/// What came of one query.
#[derive(Default)]
pub struct Told {
    answer: Option<String>,
    results: Vec<StepResult>,
    flows: Vec<Flow>,
    calls: u64,
}

impl Told {
    /// In the form that `ask --json` prints.
    pub fn outcome(self, session: SessionId) -> Outcome {
        let error =
            self.answer.is_none().then(|| format!("the model came to no answer in {MAX_ROUNDS} turns"));
        Outcome {
            outcome: if error.is_none() { Ending::Answered } else { Ending::Failed },
            answer: self.answer,
            session,
            plan: json!({ "steps": [] }),
            results: self.results,
            flows: self.flows,
            choices: Vec::new(),
            unsupported: Vec::new(),
            model_calls: [("planner".to_owned(), 0), ("spokes".to_owned(), self.calls)].into(),
            prompts: 0,
            elapsed_ms: 0,
            error,
            hint: None,
            model: None,
        }
    }
}

impl Talk {
    /// A conversation that begins with all descriptions of all apps.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(
        base_url: &str,
        choice: &Choice,
        timeout: Duration,
        prompt: &str,
        apps: &Apps,
    ) -> Result<Self, Error> {
        let mut settings = OpenAIConfig::new().with_api_base(base_url);
        settings = settings.with_api_key(choice.key.as_ref().map_or("", |key| key.expose()));
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .build()
            .map_err(|error| Error::failed("no HTTP client can be made").because(error))?;
        let system = prompt.replace("{{apps}}", &apps.descriptions());
        Ok(Self {
            client: Client::with_config(settings).with_http_client(http),
            model: choice.model.clone(),
            messages: vec![json!({"role": "system", "content": system})],
            tools: apps.tools(),
        })
    }

    /// Asks; calls what the model calls, several at once if it wants several.
    ///
    /// # Errors
    /// If the model's server fails.
    pub async fn ask(&mut self, query: &str, apps: &mut Apps, steps: Steps<'_>) -> Result<Told, Error> {
        self.messages.push(json!({"role": "user", "content": query}));
        let mut told = Told::default();
        for _ in 0..MAX_ROUNDS {
            told.calls = told.calls.saturating_add(1);
            let (text, calls) = self.turn().await?;
            if calls.is_empty() {
                self.messages.push(json!({"role": "assistant", "content": text}));
                told.answer = Some(text);
                return Ok(told);
            }
            let named: Vec<Value> = calls
                .iter()
                .map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}))
                .collect();
            self.messages.push(json!({"role": "assistant", "content": text, "tool_calls": named}));
            for app in
                calls.iter().filter_map(|call| Functionality::from_tool_name(&call.name)).map(|call| call.app)
            {
                // What goes wrong here is said again by the call itself.
                let _ = apps.start(&app).await;
            }
            let results = join_all(calls.iter().map(|call| run(call, apps))).await;
            for (call, result) in calls.iter().zip(results) {
                note(call, &result, apps, &mut told, steps);
                let text = match result {
                    Ok(value) => value.to_string(),
                    Err(detail) => json!({"error": "failed", "detail": detail}).to_string(),
                };
                self.messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": text}));
            }
        }
        Ok(told)
    }

    async fn turn(&self) -> Result<(String, Vec<Call>), Error> {
        let mut request = json!({"model": self.model, "messages": self.messages});
        if let (Some(fields), false) = (request.as_object_mut(), self.tools.is_empty()) {
            fields.insert("tools".to_owned(), self.tools.clone().into());
        }
        let failed = || Error::failed("the model gave no answer");
        let request: CreateChatCompletionRequest =
            serde_json::from_value(request).map_err(|error| failed().because(error))?;
        let reply = self.client.chat().create(request).await.map_err(|error| failed().because(error))?;
        let message = reply.choices.into_iter().next().ok_or_else(failed)?.message;
        let calls = message.tool_calls.unwrap_or_default().into_iter().filter_map(|call| match call {
            ChatCompletionMessageToolCalls::Function(call) => {
                Some(Call { id: call.id, name: call.function.name, arguments: call.function.arguments })
            }
            ChatCompletionMessageToolCalls::Custom(_) => None,
        });
        Ok((message.content.unwrap_or_default(), calls.collect()))
    }
}

/// A call that the model made.
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Call {
    fn args(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| Value::String(self.arguments.clone()))
    }
}

async fn run(call: &Call, apps: &Apps) -> Result<Value, String> {
    let functionality =
        Functionality::from_tool_name(&call.name).ok_or_else(|| format!("there is no tool {}", call.name))?;
    apps.call(&functionality, call.args()).await
}

/// Everything is allowed here; the records say by whom: by nobody.
fn note(call: &Call, result: &Result<Value, String>, apps: &Apps, told: &mut Told, steps: Steps<'_>) {
    let functionality = Functionality::from_tool_name(&call.name);
    let name = functionality.as_ref().map_or_else(|| call.name.clone(), ToString::to_string);
    let number = told.results.len().saturating_add(1);
    let said = match result {
        Ok(value) => crate::show::value_line(value, 300),
        Err(why) => format!("no result: {}", clean::line(why, 300)),
    };
    steps(format!("{name} {} → {said}", clean::line(&call.args().to_string(), 400)));
    if let Ok(step) = StepId::parse(&format!("s{number}")) {
        told.results.push(StepResult {
            step,
            app: functionality.as_ref().map(|full| full.app.to_string()).unwrap_or_default(),
            functionality: name.clone(),
            value: result.clone().unwrap_or(Value::Null),
            error: result.clone().err(),
        });
    }
    told.flows.push(Flow {
        from: "plan".to_owned(),
        to: name,
        args: call.args(),
        labels: vec!["user".to_owned()],
        expected: false,
        effect: functionality.map_or(bus::message::user::Effect::Irreversible, |full| apps.effect(&full)),
        category: Category::Exec,
        decision: Verdict::Allow,
        by: "baseline".to_owned(),
        reason: "the baseline asks nobody".to_owned(),
        step: None,
        receivers: Vec::new(),
        accounted: true,
    });
}
