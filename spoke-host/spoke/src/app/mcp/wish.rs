//! What a server wants of its client while it works on a task: a turn of the app's model, or a yes of the user.
//!
//! Answers: what does the server get?
//! Never: fulfils a wish that the hub did not decide upon, or outside of a task; pays from another budget than the
//! task's.
//! Carries: I-05, I-16.
//!
//! A wish does not say for which call it is. It is given to a task that is calling the server at that time; where
//! several are, to any of them: they are of one session of one user.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bus::message::chat::Turn;
use bus::message::isc::{Response, Wanted, Wish};
use bus::message::task::{Failure, FailureCode};
use bus::subject::{Op, Service};
use rmcp::model::{ClientResult, ErrorCode, ErrorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::client::no_such;
use crate::job::{Job, cut};
use crate::model::{self, Question};

/// Wishes of a server that wait. More at once is refused.
const MAX_WAITING: usize = 8;

/// Longest words that a person is shown, bytes.
const MAX_WORDS: usize = 2000;

/// What clients say when a person refused.
const REFUSED: ErrorCode = ErrorCode(-1);

/// The server's end.
#[derive(Clone)]
pub(super) struct Asks {
    waiting: mpsc::Sender<Asked>,
    calls: Arc<AtomicUsize>,
}

/// The tasks' end.
pub(super) struct Heard {
    waiting: Mutex<mpsc::Receiver<Asked>>,
    calls: Arc<AtomicUsize>,
}

/// One wish.
pub(super) struct Asked {
    wanted: Wanted,
    params: Value,
    answer: oneshot::Sender<Result<ClientResult, ErrorData>>,
}

pub(super) fn channel() -> (Asks, Heard) {
    let (waiting, heard) = mpsc::channel(MAX_WAITING);
    let calls = Arc::<AtomicUsize>::default();
    (Asks { waiting, calls: Arc::clone(&calls) }, Heard { waiting: Mutex::new(heard), calls })
}

impl Asks {
    /// Has it decided in the name of a task, and waits.
    pub(super) async fn ask(
        &self,
        wanted: Wanted,
        params: &impl Serialize,
    ) -> Result<ClientResult, ErrorData> {
        let refused = |why: &str| ErrorData::new(REFUSED, why.to_owned(), None);
        if self.calls.load(Ordering::Relaxed) == 0 {
            return Err(refused("no call is under way, and only for one may a server ask for anything"));
        }
        let params = serde_json::to_value(params).unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        self.waiting
            .try_send(Asked { wanted, params, answer })
            .map_err(|_| refused("too many requests of this server wait already"))?;
        answered.await.unwrap_or_else(|_| Err(refused("the call that it was for has ended")))
    }
}

/// A call that is under way: while there is one, a server may ask.
pub(super) struct Calling<'a>(&'a Heard);

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Heard {
    pub(super) fn calling(&self) -> Calling<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Calling(self)
    }

    /// The next wish. Of several tasks that wait, one gets it.
    pub(super) async fn next(&self) -> Asked {
        match self.waiting.lock().await.recv().await {
            Some(asked) => asked,
            // The server is gone, and the call will hear of that.
            None => std::future::pending().await,
        }
    }
}

/// Answers a wish in a task's name.
///
/// # Errors
/// If the task has used up what it may spend: then the task is over, so that a server cannot ask for ever.
pub(super) async fn answer(job: &Job, asked: Asked) -> Result<(), Failure> {
    let Asked { wanted, params, answer } = asked;
    let result = match wanted {
        Wanted::Sampling => sampling(job, params).await,
        Wanted::Elicitation => elicitation(job, params).await,
    };
    let (said, ended) = match result {
        Ok(value) => (serde_json::from_value(value).map_err(|error| wrong(&error.to_string())), Ok(())),
        Err(Denied::Told(error)) => (Err(error), Ok(())),
        Err(Denied::Spent(failure)) => {
            (Err(ErrorData::new(REFUSED, failure.detail.clone(), None)), Err(failure))
        }
    };
    // A server that no longer waits for it gets nothing.
    let _ = answer.send(said);
    ended
}

/// Why a wish is not fulfilled.
enum Denied {
    /// The server is told.
    Told(ErrorData),
    /// The task is over.
    Spent(Failure),
}

fn wrong(why: &str) -> ErrorData {
    ErrorData::new(ErrorCode::INVALID_PARAMS, why.to_owned(), None)
}

/// The hub's word on it. A manifest that does not name it makes it a method that is not there.
async fn permitted(job: &Job, wanted: Wanted, words: &str) -> Result<(), Denied> {
    job.count_request().map_err(Denied::Spent)?;
    let wish = Wish { task: job.id.clone(), wanted, words: cut(words, MAX_WORDS) };
    let subject = job.spoke.subject(Service::Isc, Op::WISH);
    let answer: Response =
        job.spoke.bus.request(&subject, &wish, Some(&job.id), job.left()).await.map_err(|error| {
            Denied::Told(ErrorData::new(REFUSED, format!("it was not decided: {error}"), None))
        })?;
    let wishes = &job.spoke.profile.wishes;
    let declared = match wanted {
        Wanted::Sampling => wishes.sampling,
        Wanted::Elicitation => wishes.elicitation,
    };
    match answer.result {
        Ok(_) => Ok(()),
        Err(failure) if !declared => {
            let mut error = no_such("this request");
            error.message = failure.detail.into();
            Err(Denied::Told(error))
        }
        Err(failure) => Err(Denied::Told(ErrorData::new(REFUSED, failure.detail, None))),
    }
}

/// What of `sampling/createMessage` is read. Which model, how warm and how long is not the server's to say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sampling {
    messages: Vec<Message>,
    #[serde(default)]
    system_prompt: Option<String>,
    #[serde(default)]
    tools: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Value,
}

async fn sampling(job: &Job, params: Value) -> Result<Value, Denied> {
    let turns = turns(params).map_err(|why| Denied::Told(wrong(&why)))?;
    permitted(job, Wanted::Sampling, &shown(&turns)).await?;
    let question = Question { turns: &turns, tools: &[], schema: None, stream: false };
    match model::ask(job, question).await {
        Ok(said) => Ok(json!({
            "role": "assistant", "content": {"type": "text", "text": said.text},
            "model": "the model of this app", "stopReason": "endTurn",
        })),
        Err(failure) if failure.code == FailureCode::Budget => Err(Denied::Spent(failure)),
        Err(failure) => Err(Denied::Told(ErrorData::new(ErrorCode::INTERNAL_ERROR, failure.detail, None))),
    }
}

fn turns(params: Value) -> Result<Vec<Turn>, String> {
    let Sampling { messages, system_prompt, tools } =
        serde_json::from_value(params).map_err(|error| error.to_string())?;
    if tools.is_some_and(|tools| tools.as_array().is_none_or(|tools| !tools.is_empty())) {
        return Err("a server's tools are not offered to the model; it may only be asked for words".into());
    }
    let mut turns: Vec<Turn> = system_prompt.map(|text| Turn::System { text }).into_iter().collect();
    for Message { role, content } in messages {
        let blocks = match content {
            Value::Array(blocks) => blocks,
            block => vec![block],
        };
        let mut text = String::new();
        for block in blocks {
            match block.get("text").and_then(Value::as_str) {
                Some(words) => text.push_str(words),
                None => return Err("only text is handed to the model".into()),
            }
        }
        turns.push(match role.as_str() {
            "assistant" => Turn::Assistant { text, calls: Vec::new() },
            _ => Turn::User { text },
        });
    }
    Ok(turns)
}

fn shown(turns: &[Turn]) -> String {
    let texts: Vec<&str> = turns
        .iter()
        .filter_map(|turn| match turn {
            Turn::System { text } | Turn::User { text } | Turn::Assistant { text, .. } => Some(text.as_str()),
            Turn::Tool { .. } => None,
        })
        .collect();
    texts.join("\n")
}

/// A person is asked yes or no. A form is accepted as its server filled it in beforehand, or not at all.
async fn elicitation(job: &Job, params: Value) -> Result<Value, Denied> {
    let message = params.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    if job.spoke.profile.wishes.elicitation && content(&params).is_none() {
        // What a person would have to type cannot be asked for, so there is nothing to be decided.
        return Ok(json!({"action": "decline"}));
    }
    match permitted(job, Wanted::Elicitation, &message).await {
        Ok(()) => Ok(json!({"action": "accept", "content": content(&params)})),
        Err(Denied::Told(error)) if error.code == REFUSED => Ok(json!({"action": "decline"})),
        Err(denied) => Err(denied),
    }
}

/// The form with the values that it proposes itself; `None` if it asks for one that it does not propose.
fn content(params: &Value) -> Option<Map<String, Value>> {
    let schema = params.get("requestedSchema")?;
    let mut content = Map::new();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = field.get("default") {
            content.insert(name.clone(), value.clone());
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let filled = required.filter_map(Value::as_str).all(|name| content.contains_key(name));
    filled.then_some(content)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_accepted_with_its_own_values_or_not_at_all() {
        let form = |schema: Value| content(&json!({"message": "?", "requestedSchema": schema}));
        assert_eq!(form(json!({"type": "object", "properties": {}})).unwrap(), Map::new());
        let filled = json!({"properties": {"sure": {"type": "boolean", "default": true}, "why": {"type": "string"}}, "required": ["sure"]});
        assert_eq!(Value::from(form(filled).unwrap()), json!({"sure": true}));
        assert!(form(json!({"properties": {"name": {"type": "string"}}, "required": ["name"]})).is_none());
        assert!(content(&json!({"mode": "url", "message": "?", "url": "https://a.example"})).is_none());
    }

    #[test]
    fn a_server_gets_words_of_the_model_and_nothing_else() {
        let text = json!({"role": "user", "content": {"type": "text", "text": "hello"}});
        let made = turns(json!({"messages": [text], "systemPrompt": "be short", "maxTokens": 5})).unwrap();
        assert_eq!(shown(&made), "be short\nhello");
        let image =
            json!({"role": "user", "content": {"type": "image", "data": "", "mimeType": "image/png"}});
        assert!(turns(json!({"messages": [image]})).unwrap_err().contains("only text"));
        assert!(turns(json!({"messages": [], "tools": [{"name": "x"}]})).unwrap_err().contains("tools"));
    }
}
