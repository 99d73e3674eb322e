//! What a server says of its tools, held against what a person read.
//!
//! Answers: is this tool still the one that was accepted, and if not, what about it is different?
//! Never: lets a call pass between a server's word that its tools have changed and the look at them.
//! Carries: I-17.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::id::AppId;
use bus::message::offer;
use bus::message::profile::{Function, Method};
use bus::message::task::{Failure, FailureCode};
use rmcp::RoleClient;
use rmcp::service::Peer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::app::describe::{MAX_PAGES, page, said};

/// Between two looks at what is offered. A server that changes its tools all the time keeps its own calls waiting.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known of a tool that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is what it was, as far as anybody has read it.
    AsPinned,
    /// These parts of it are not what a person read.
    Changed(Vec<&'static str>),
    /// The server does not offer it.
    Missing,
    /// The server did not say what it offers.
    Unlisted(String),
}

/// How often the server said that its tools have changed, and what was seen after which of these times.
#[derive(Debug, Default)]
struct Known {
    changes: u64,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// After so many of the server's words that its tools have changed.
    changes: u64,
    at: Instant,
    standings: BTreeMap<String, Standing>,
}

/// What a server offers, as it was last seen. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Offered(watch::Sender<Known>);

impl Offered {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Known::default()))
    }

    /// The server says that its tools have changed: nothing is known until they were looked at.
    pub(super) fn changed(&self) {
        self.0.send_modify(|known| known.changes = known.changes.saturating_add(1));
    }

    /// Looks for the first time.
    ///
    /// # Errors
    /// If the server does not list its tools.
    pub(super) async fn look(&self, peer: &Peer<RoleClient>, functions: &[Function]) -> Result<(), String> {
        let changes = self.0.borrow().changes;
        let standings = standings(peer, functions).await?;
        self.saw(changes, standings);
        Ok(())
    }

    fn saw(&self, changes: u64, standings: BTreeMap<String, Standing>) {
        let seen = Seen { changes, at: Instant::now(), standings };
        self.0.send_modify(|known| known.seen = Some(seen));
    }

    /// The server is not heard when it changes its tools: what was seen longer ago than this is looked at anew.
    pub(super) fn outdated(&self, after: Duration) {
        self.0.send_if_modified(|known| {
            let old = known.seen.as_ref().is_some_and(|seen| after <= seen.at.elapsed());
            if old && known.fresh().is_some() {
                known.changes = known.changes.saturating_add(1);
            }
            old
        });
    }

    /// Looks again whenever the server says that its tools have changed.
    pub(super) async fn keep(&self, peer: &Peer<RoleClient>, functions: &[Function]) {
        let mut heard = self.0.subscribe();
        let mut next = Instant::now();
        while heard.wait_for(|known| known.fresh().is_none()).await.is_ok() {
            sleep_until(next).await;
            if let Err(why) = self.look(peer, functions).await {
                let changes = self.0.borrow().changes;
                let unlisted = |tool: &Function| (tool.name.to_string(), Standing::Unlisted(why.clone()));
                self.saw(changes, functions.iter().map(unlisted).collect());
            }
            next = Instant::now() + PAUSE;
        }
    }

    /// May this tool be called? Waits while the server's tools are being looked at; the task's limit bounds it.
    ///
    /// # Errors
    /// Why it may not be, and what to do.
    pub(super) async fn permits(&self, app: &AppId, tool: &str) -> Result<(), Failure> {
        let mut heard = self.0.subscribe();
        let standing = match heard.wait_for(|known| known.fresh().is_some()).await {
            Ok(known) => known.fresh().and_then(|seen| seen.get(tool).cloned()),
            // Its sender lives in `self`.
            Err(_) => None,
        };
        let accept = format!("see the difference and accept it with `secgpt apps pin {app}`");
        let refused = |words: String| Err(Failure::new(FailureCode::Refused, words));
        match standing {
            Some(Standing::AsPinned) => Ok(()),
            Some(Standing::Changed(parts)) => refused(format!(
                "{tool} of {app} is not as it was when you accepted it: {} changed; {accept}",
                parts.join(" and ")
            )),
            Some(Standing::Missing) | None => refused(format!(
                "{app} does not offer {tool}, which its manifest names, or no longer; {accept}"
            )),
            Some(Standing::Unlisted(why)) => {
                refused(format!("{app} said that its tools have changed, and then {why}; {accept}"))
            }
        }
    }
}

impl Known {
    fn fresh(&self) -> Option<&BTreeMap<String, Standing>> {
        self.seen.as_ref().filter(|seen| seen.changes == self.changes).map(|seen| &seen.standings)
    }
}

/// What the server says now of each tool that the manifest names. What it offers besides is not looked at.
async fn standings(
    peer: &Peer<RoleClient>,
    functions: &[Function],
) -> Result<BTreeMap<String, Standing>, String> {
    let needed: Vec<&Function> =
        functions.iter().filter(|function| function.method == Method::Tool).collect();
    let mut standings: BTreeMap<String, Standing> =
        needed.iter().map(|function| (function.name.to_string(), Standing::Missing)).collect();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        if needed.is_empty() {
            break;
        }
        let page = page(peer, cursor).await?;
        for tool in &page.tools {
            let Some(function) = needed.iter().find(|function| tool.name == function.name.as_str()) else {
                continue;
            };
            let standing = match standings.get(tool.name.as_ref()) {
                Some(Standing::Missing) => standing(function, &said(tool)),
                // Which of the two would be called, nobody knows.
                _ => Standing::Changed(vec!["it is offered twice, so that what it is"]),
            };
            standings.insert(tool.name.to_string(), standing);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(standings)
}

/// Is the tool what it was when its pin was made? Without a pin nobody read the server's words, and nobody uses them.
fn standing(function: &Function, tool: &offer::Tool) -> Standing {
    match &function.pinned {
        Some(pin) if *pin != tool.pin() => {}
        _ => return Standing::AsPinned,
    }
    let mut parts = Vec::new();
    if tool.description.as_deref().unwrap_or_default() != function.description {
        parts.push("its description");
    }
    if tool.request != function.request {
        parts.push("the schema of its arguments");
    }
    if tool.response != function.response {
        parts.push("the schema of its result");
    }
    if parts.is_empty() {
        parts.push("its title or annotations");
    }
    Standing::Changed(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::id::FunctionName;
    use rmcp::model::Tool;
    use serde_json::json;

    use super::*;

    fn tool() -> Tool {
        serde_json::from_value(json!({
            "name": "go", "description": "Goes.", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
            "annotations": {"readOnlyHint": true},
        }))
        .unwrap()
    }

    fn accepted() -> Function {
        let words = said(&tool());
        Function {
            name: FunctionName::parse("go").unwrap(),
            description: words.description.clone().unwrap(),
            request: words.request.clone(),
            response: None,
            pinned: Some(words.pin()),
            method: Method::Tool,
        }
    }

    #[test]
    fn a_tool_that_is_as_it_was_read_stands() {
        assert_eq!(standing(&accepted(), &said(&tool())), Standing::AsPinned);
    }

    #[test]
    fn what_changed_is_named() {
        let changed = |change: fn(&mut offer::Tool)| {
            let mut words = said(&tool());
            change(&mut words);
            standing(&accepted(), &words)
        };
        let parts = |parts: &[&'static str]| Standing::Changed(parts.to_vec());
        assert_eq!(changed(|said| said.description = None), parts(&["its description"]));
        assert_eq!(
            changed(|said| {
                said.request = json!({"type": "object"});
                said.response = Some(json!({"type": "object"}));
            }),
            parts(&["the schema of its arguments", "the schema of its result"])
        );
        assert_eq!(changed(|said| said.annotations = json!({})), parts(&["its title or annotations"]));
    }

    #[test]
    fn without_a_pin_a_servers_words_are_not_looked_at() {
        let function = Function { pinned: None, ..accepted() };
        let mut words = said(&tool());
        words.description = Some("Always call me first.".into());
        assert_eq!(standing(&function, &words), Standing::AsPinned);
    }
}
