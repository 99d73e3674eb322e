//! From what the model's server says to a turn on the bus.
//!
//! Answers: what did the model say, whole or in pieces?
//! Never: takes half an answer for a whole one; holds more of an answer than fits on the bus.
//! Read leniently: servers that call themselves compatible leave out fields that the protocol has.

use bus::limits::MAX_PAYLOAD;
use bus::message::chat::{ToolCall, Usage};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::request::tokens_of;

/// The longest answer, bytes of text and arguments together; the rest of a message on the bus is for names.
pub const LONGEST: usize = MAX_PAYLOAD / 2;

/// What the model said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The words.
    pub text: String,
    /// What it calls.
    pub calls: Vec<ToolCall>,
    /// What it cost; the server's word, or an estimate where it says nothing.
    pub usage: Usage,
    /// Which model answered, as the server says.
    pub model: Option<String>,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// It ended before the server said that it was complete.
    #[error("the answer ended in the middle")]
    Cut,
    /// The answer has no choice in it.
    #[error("the answer holds no message")]
    Empty,
    /// More than fits.
    #[error("the answer is longer than {LONGEST} bytes")]
    TooLong,
    /// The server withheld it.
    #[error("the server's content filter withheld the answer")]
    Withheld,
    /// The server says what went wrong, in the middle of it all.
    #[error("{0}")]
    Said(String),
}

/// A whole answer, or a piece of one: the two differ in the name of one field.
#[derive(Debug, Deserialize)]
pub struct Piece {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Cost>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(alias = "delta", default)]
    message: Option<Said>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    #[serde(default)]
    index: Option<usize>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Debug, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "arguments")]
    arguments: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Cost {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// JSON text by the protocol; some servers send the object itself.
fn arguments<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    })
}

/// Puts pieces together.
#[derive(Debug, Default)]
pub struct Assembly {
    text: String,
    calls: Vec<(Option<usize>, ToolCall)>,
    usage: Option<Usage>,
    model: Option<String>,
    finished: bool,
    filtered: bool,
}

impl Assembly {
    /// Adds a piece, and gives back the words that are new in it.
    ///
    /// # Errors
    /// If the server says that something went wrong, or the answer becomes too long.
    pub fn add(&mut self, piece: Piece) -> Result<Option<String>, NoReply> {
        if let Some(error) = piece.error.filter(|error| !error.is_null()) {
            let said =
                error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
            return Err(NoReply::Said(said));
        }
        if piece.model.is_some() {
            self.model = piece.model;
        }
        if let Some(Cost { prompt_tokens: prompt, completion_tokens: completion }) = piece.usage {
            self.usage = Some(Usage { prompt, completion });
        }
        let mut new = String::new();
        // One choice was asked for.
        if let Some(choice) = piece.choices.into_iter().next() {
            if let Some(reason) = choice.finish_reason {
                self.finished = true;
                self.filtered |= reason == "content_filter";
            }
            if let Some(said) = choice.message {
                for text in said.content.into_iter().chain(said.refusal).filter(|text| !text.is_empty()) {
                    self.text.push_str(&text);
                    new.push_str(&text);
                }
                for call in said.tool_calls.into_iter().flatten() {
                    self.add_call(call);
                }
            }
        }
        let size = self.text.len()
            + self.calls.iter().map(|(_, call)| call.name.len() + call.arguments.len()).sum::<usize>();
        if LONGEST < size {
            return Err(NoReply::TooLong);
        }
        Ok((!new.is_empty()).then_some(new))
    }

    /// A piece of a call belongs to the call with its number; but a new id always begins a new call, since some
    /// servers give every call the same number, or none.
    fn add_call(&mut self, piece: Call) {
        let id = piece.id.filter(|id| !id.is_empty());
        let number = piece.index;
        let known = self.calls.iter().rposition(|(have, call)| {
            let same_number = number.is_none() || *have == number;
            same_number && id.as_ref().is_none_or(|id| *id == call.id)
        });
        let place = known.unwrap_or_else(|| {
            let id = id.unwrap_or_else(|| format!("call_{}", self.calls.len()));
            self.calls.push((number, ToolCall { id, name: String::new(), arguments: String::new() }));
            self.calls.len().saturating_sub(1)
        });
        if let (Some((_, call)), Some(function)) = (self.calls.get_mut(place), piece.function) {
            if let Some(name) = function.name.filter(|_| call.name.is_empty()) {
                call.name = name;
            }
            call.arguments.push_str(&function.arguments.unwrap_or_default());
        }
    }

    /// The whole answer. `prompt` is about how many tokens the request was, for servers that do not say.
    ///
    /// # Errors
    /// If it is not whole.
    pub fn finish(self, prompt: u64) -> Result<Reply, NoReply> {
        let empty = self.text.is_empty() && self.calls.is_empty();
        if self.filtered && empty {
            return Err(NoReply::Withheld);
        }
        if !self.finished {
            return Err(if empty { NoReply::Empty } else { NoReply::Cut });
        }
        let calls: Vec<ToolCall> = self.calls.into_iter().map(|(_, call)| call).collect();
        let said =
            self.text.len() + calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>();
        let usage = self.usage.unwrap_or(Usage { prompt, completion: tokens_of(said) });
        Ok(Reply { text: self.text, calls, usage, model: self.model })
    }
}

impl Piece {
    /// Takes this piece for the whole answer. Whole answers arrive with a length, so one without a reason for its end
    /// is complete all the same.
    ///
    /// # Errors
    /// As [`Assembly::finish`].
    pub fn whole(self, prompt: u64) -> Result<Reply, NoReply> {
        if self.choices.is_empty() && self.error.is_none() {
            return Err(NoReply::Empty);
        }
        let mut assembly = Assembly::default();
        assembly.add(self)?;
        assembly.finished = true;
        assembly.finish(prompt)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn assemble(pieces: Vec<Value>) -> Result<Reply, NoReply> {
        let mut assembly = Assembly::default();
        for piece in pieces {
            assembly.add(serde_json::from_value(piece).unwrap())?;
        }
        assembly.finish(7)
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta}]})
    }

    fn end() -> Value {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    }

    #[test]
    fn parallel_calls_in_pieces_are_put_together() {
        let call = |index: usize, more: Value| {
            let mut call = json!({"index": index});
            call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            delta(json!({"tool_calls": [call]}))
        };
        let reply = assemble(vec![
            call(0, json!({"id": "a", "type": "function", "function": {"name": "x__f", "arguments": ""}})),
            call(0, json!({"function": {"arguments": "{\"n\""}})),
            call(1, json!({"id": "b", "type": "function", "function": {"name": "y__g", "arguments": "{"}})),
            call(0, json!({"function": {"arguments": ":1}"}})),
            call(1, json!({"function": {"arguments": "}"}})),
            end(),
        ])
        .unwrap();
        let calls: Vec<_> =
            reply.calls.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect();
        assert_eq!(calls, [("a", "x__f", "{\"n\":1}"), ("b", "y__g", "{}")]);
    }

    #[test]
    fn a_server_that_numbers_every_call_zero_is_understood() {
        let call = |id: &str| {
            delta(
                json!({"tool_calls": [{"index": 0, "id": id, "function": {"name": "x__f", "arguments": "{}"}}]}),
            )
        };
        let reply = assemble(vec![call("a"), call("b"), end()]).unwrap();
        assert_eq!(reply.calls.len(), 2);
    }

    #[test]
    fn arguments_as_an_object_and_a_missing_id_are_understood() {
        let piece = json!({"choices": [{"message": {"tool_calls": [{"function": {"name": "x__f", "arguments": {"n": 1}}}]}}]});
        let reply = serde_json::from_value::<Piece>(piece).unwrap().whole(7).unwrap();
        assert_eq!(reply.calls[0].arguments, "{\"n\":1}");
        assert_eq!(reply.calls[0].id, "call_0");
        assert_eq!(reply.usage.prompt, 7);
    }

    #[test]
    fn half_an_answer_is_not_taken_for_a_whole_one() {
        assert_eq!(assemble(vec![delta(json!({"content": "51"}))]), Err(NoReply::Cut));
        assert_eq!(assemble(vec![delta(json!({"content": "51"})), end()]).unwrap().text, "51");
    }

    #[test]
    fn an_error_in_the_middle_of_an_answer_is_said() {
        let error = json!({"error": {"message": "out of memory", "type": "server_error"}});
        assert_eq!(
            assemble(vec![delta(json!({"content": "51"})), error]),
            Err(NoReply::Said("out of memory".into()))
        );
    }

    #[test]
    fn an_endless_answer_is_given_up() {
        let long = "x".repeat(LONGEST);
        assert_eq!(
            assemble(vec![delta(json!({"content": long})), delta(json!({"content": "y"}))]),
            Err(NoReply::TooLong)
        );
    }

    proptest! {
        #[test]
        fn words_in_pieces_are_the_same_words(pieces in proptest::collection::vec(".{0,9}", 0..20)) {
            let mut all: Vec<Value> = pieces.iter().map(|text| delta(json!({"content": text}))).collect();
            all.push(json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}));
            all.push(end());
            let reply = assemble(all).unwrap();
            prop_assert_eq!(reply.text, pieces.concat());
            prop_assert_eq!(reply.usage, Usage { prompt: 3, completion: 4 });
        }

        #[test]
        fn arbitrary_json_never_panics(text in "\\{\"choices\":\\[\\{\"delta\":\\{\"tool_calls\":\\[[\\{\\}a-z\":,0-9]{0,30}") {
            if let Ok(piece) = serde_json::from_str::<Piece>(&text) {
                let _ = piece.whole(0);
            }
        }
    }
}
