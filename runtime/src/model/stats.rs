//! What the server was asked, for tests and benchmarks.
//!
//! Answers: how many requests of which kind, and what stood in the last of them?
//! Never: keeps more than the last [`KEPT`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Enough for any one test, and little enough for any machine.
const KEPT: usize = 256;

/// Counts and the last requests.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    calls: BTreeMap<String, u64>,
    faults: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    last: VecDeque<(String, String, Value)>,
}

impl Stats {
    /// Notes a request that is being answered, its kind, the rule that answers, and the usage reported.
    pub fn answered(&self, kind: &str, rule: &str, request: Value, usage: &Value) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        *seen.calls.entry(kind.to_owned()).or_default() += 1;
        seen.prompt_tokens += tokens("prompt_tokens");
        seen.completion_tokens += tokens("completion_tokens");
        if seen.last.len() == KEPT {
            seen.last.pop_front();
        }
        seen.last.push_back((kind.to_owned(), rule.to_owned(), request));
    }

    /// Notes a request that got a fault.
    pub fn failed(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).faults += 1;
    }

    /// Counts as JSON: `{"calls":{"planner":1,…},"total":1,"faults":0,…}`.
    pub fn counts(&self) -> Value {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "calls": seen.calls, "total": seen.calls.values().sum::<u64>(), "faults": seen.faults,
                "prompt_tokens": seen.prompt_tokens, "completion_tokens": seen.completion_tokens })
    }

    /// The last requests, of one kind if one is given, oldest first.
    pub fn last(&self, wanted: Option<&str>) -> Value {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = seen.last.iter().filter(|(kind, _, _)| wanted.is_none_or(|wanted| kind == wanted));
        of_kind
            .map(|(kind, rule, request)| json!({ "kind": kind, "rule": rule, "request": request }))
            .collect()
    }

    /// Forgets all.
    pub fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }
}
