//! What a conversation's memory says, and to whom.
//!
//! Answers: what does the planner see of it, when is it summarised, which items are offered to an app?
//! Never: shows the planner a turn in which an app had a part.
//! Carries: I-17.

use std::collections::{BTreeMap, BTreeSet};

use bus::message::chat::Turn as ChatTurn;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::permission::label::{Label, Labels, printable};

/// Whose words a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The user's.
    User,
    /// An answer in which no app had a part.
    Hub,
    /// An answer made of what apps said; or, in an app's own memory, what that app said.
    Apps,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Whose words.
    pub who: Who,
    /// The words.
    pub text: String,
}

/// What is remembered of one conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The last turns, oldest first.
    pub turns: Vec<Said>,
    /// How many turns came before these and are no longer kept.
    pub forgotten: u64,
    /// The running summary.
    pub summary: Summary,
    /// Particulars that the user told.
    pub entities: BTreeMap<String, String>,
    /// How many turns, from the very first, they were taken from.
    pub learned: u64,
}

/// A running summary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The words; empty if there is none yet.
    pub text: String,
    /// How many turns, from the very first, it covers.
    pub covers: u64,
}

/// Turns to be summarised, off the user's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What the model is to be sent as the user's turn.
    pub request: Value,
    /// What the new summary will cover.
    pub covers: u64,
}

/// Something stored that an app may be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `memory:<entry>`.
    pub source: Label,
    /// What is stored.
    pub text: String,
}

/// The turns kept word for word after a summary, so that "the second one" still refers to something.
const KEPT: usize = 2;

/// About how many tokens a text has: a token is some four characters.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    u64::try_from(text.chars().count().div_ceil(4)).unwrap_or(u64::MAX)
}

/// The turns that the summary does not cover.
fn unsummarised(conversation: &Conversation) -> &[Said] {
    let covered = conversation.summary.covers.saturating_sub(conversation.forgotten);
    let covered = usize::try_from(covered).unwrap_or(usize::MAX).min(conversation.turns.len());
    conversation.turns.get(covered..).unwrap_or_default()
}

/// A turn in which no app had a part. In an app's own memory every turn counts, as only that app will see it.
fn is_for(said: &Said, audience: Audience) -> bool {
    match audience {
        Audience::Planner => said.who != Who::Apps,
        Audience::App => true,
    }
}

/// Who will see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The planner, and so every plan.
    Planner,
    /// The app whose memory it is.
    App,
}

/// The conversation so far, as turns of a model conversation: the summary if there is one, then the turns that it
/// does not cover, up to `limit` tokens from the end.
#[must_use]
pub fn history(conversation: &Conversation, audience: Audience, limit: u64) -> Vec<ChatTurn> {
    let (mut spent, mut turns) = (0, Vec::new());
    for said in unsummarised(conversation).iter().rev().filter(|said| is_for(said, audience)) {
        spent += tokens(&said.text);
        if limit < spent && !turns.is_empty() {
            break;
        }
        let text = said.text.clone();
        turns.push(match said.who {
            Who::User => ChatTurn::User { text },
            Who::Hub | Who::Apps => ChatTurn::Assistant { text, calls: Vec::new() },
        });
    }
    if !conversation.summary.text.is_empty() {
        let text = format!("Summary of the conversation before: {}", conversation.summary.text);
        turns.push(ChatTurn::User { text });
    }
    turns.reverse();
    turns
}

/// All that the user said in what is remembered, for the check of receivers.
#[must_use]
pub fn users_words(conversation: &Conversation) -> String {
    let words = conversation.turns.iter().filter(|said| said.who == Who::User);
    words.map(|said| said.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// What is to be summarised, once the turns that no summary covers have more than `limit` tokens. After it was, it
/// is not due again until as much has been said once more. The planner's summary leaves out what apps said.
#[must_use]
pub fn due(conversation: &Conversation, audience: Audience, limit: u64) -> Option<Due> {
    let open = unsummarised(conversation);
    let sum: u64 = open.iter().filter(|said| is_for(said, audience)).map(|said| tokens(&said.text)).sum();
    let (old, kept) = open.split_at(open.len().saturating_sub(KEPT));
    if sum <= limit {
        return None;
    }
    // A single long exchange is summarised as a whole: else it would stay due for ever.
    let old = if old.iter().any(|said| is_for(said, audience)) { old } else { open };
    let kept = if old.len() == open.len() { 0 } else { kept.len() };
    let turns: Vec<Value> = old.iter().filter(|said| is_for(said, audience)).map(to_json).collect();
    let all = conversation.forgotten.saturating_add(conversation.turns.len() as u64);
    Some(Due {
        request: json!({"summary": conversation.summary.text, "turns": turns}),
        covers: all.saturating_sub(kept as u64),
    })
}

/// What the model that keeps entities is to be sent as the user's turn: what is known, and the user's new words.
/// `None` if the user said nothing.
#[must_use]
pub fn entities_request(known: &BTreeMap<String, String>, new: &[Said]) -> Option<Value> {
    let turns: Vec<Value> = new.iter().filter(|said| said.who == Who::User).map(to_json).collect();
    (!turns.is_empty()).then(|| json!({"entities": known, "turns": turns}))
}

/// Reads the model's answer; `None` if it is not an object of texts. Bounded in number and length.
#[must_use]
pub fn read_entities(text: &str) -> Option<BTreeMap<String, String>> {
    let text = text.trim();
    let fenced = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    let text = fenced.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside));
    let read: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
    let entries = read.into_iter().filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => text,
            Value::Null | Value::Object(_) | Value::Array(_) => return None,
            other => other.to_string(),
        };
        let (name, value) = (printable(name.trim(), 80), printable(value.trim(), 1000));
        (!name.is_empty() && !value.is_empty()).then_some((name, value))
    });
    Some(entries.take(MAX_ENTITIES).collect())
}

/// More than anybody tells in one conversation.
const MAX_ENTITIES: usize = 100;

fn to_json(said: &Said) -> Value {
    let role = if said.who == Who::User { "user" } else { "assistant" };
    json!({"role": role, "text": said.text})
}

/// The stored items that answer `about`, for the user to see: the entities that it names; all of them if it names
/// none; the user's own earlier words if there are no entities yet. The choice protects nothing: the user sees
/// exactly what is given.
#[must_use]
pub fn items(conversation: &Conversation, about: &str) -> Vec<Item> {
    let item =
        |entry: &str, text: &str| Item { source: Label::Memory(printable(entry, 80)), text: text.to_owned() };
    let asked = words(about);
    let all = &conversation.entities;
    let named: Vec<Item> = all
        .iter()
        .filter(|(name, _)| words(name).iter().any(|word| asked.contains(word)))
        .map(|(name, text)| item(name, text))
        .collect();
    if !named.is_empty() {
        return named;
    }
    if !all.is_empty() {
        return all.iter().map(|(name, text)| item(name, text)).collect();
    }
    let users = conversation.turns.iter().enumerate().filter(|(_, said)| said.who == Who::User);
    users
        .map(|(place, said)| {
            let number = conversation.forgotten.saturating_add(place as u64).saturating_add(1);
            item(&format!("turn {number}"), &said.text)
        })
        .collect()
}

/// The labels of what is given.
#[must_use]
pub fn labels(items: &[Item]) -> Labels {
    items.iter().map(|item| item.source.clone()).collect()
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| 2 < word.chars().count());
    words.map(|word| word.to_lowercase().trim_end_matches('s').to_owned()).collect()
}

#[cfg(test)]
mod tests;
