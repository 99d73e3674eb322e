//! What the planner is sent.
//!
//! Answers: which turns make up the request for a plan?
//! Never: takes anything but the instructions of ours, signatures, the user's words, and refusals by name.
//! Carries: I-17.

use bus::id::{Functionality, WorkId};
use bus::message::chat::{ChatRequest, Turn};

use crate::memory::text::{Audience, Conversation, history};
use crate::permission::label::printable;
use crate::plan::{PlanError, schema};
use crate::registry::Catalogue;

/// What was refused in an earlier plan for the same query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// To whom: `<app>.<functionality>`, or the app alone.
    pub to: String,
    /// Why, in our own words: a rule's or the user's decision. Never an app's words.
    pub reason: String,
}

/// All that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The planner's instructions, with `{{functionalities}}` where the list goes.
    pub instructions: &'a str,
    /// What is installed.
    pub catalogue: &'a Catalogue,
    /// What of it may help.
    pub candidates: &'a [Functionality],
    /// The conversation so far.
    pub conversation: &'a Conversation,
    /// The user's words.
    pub query: &'a str,
    /// For a new plan: what was refused.
    pub refused: &'a [Refused],
}

/// Tokens of the earlier conversation that the planner sees at most.
const HISTORY: u64 = 2000;

/// The request. Apps without a candidate functionality but with a name are not listed: a delegate needs an app that
/// has a candidate.
#[must_use]
pub fn request(asking: Asking<'_>, task: WorkId) -> ChatRequest {
    let list = asking.catalogue.signatures(asking.candidates);
    let system = asking.instructions.replace("{{functionalities}}", &list);
    let mut turns = vec![Turn::System { text: system }];
    turns.extend(history(asking.conversation, Audience::Planner, HISTORY));
    let mut text = asking.query.to_owned();
    if !asking.refused.is_empty() {
        text.push_str("\n\nRefused:");
        for refused in asking.refused {
            text.push_str(&format!("\n- {}: {}", refused.to, printable(&refused.reason, 300)));
        }
    }
    turns.push(Turn::User { text });
    ChatRequest { task, turns, tools: Vec::new(), schema: Some(schema()), stream: false }
}

/// The same request once more, with what the planner said and why that cannot be carried out. Done once; it counts
/// as a model call.
#[must_use]
pub fn again(mut first: ChatRequest, said: &str, error: &PlanError) -> ChatRequest {
    // What it said may be anything; enough of it to see what was wrong.
    let text = said.chars().take(8000).collect();
    first.turns.push(Turn::Assistant { text, calls: Vec::new() });
    first.turns.push(Turn::User { text: error.for_planner() });
    first
}

#[cfg(test)]
mod tests;
