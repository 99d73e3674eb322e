//! What a server says that it offers.
//!
//! Answers: which tools, resources and prompts does it list, in which words?
//! Never: calls one of them; reads more than a bounded number of pages.
//! Carries: I-11, I-16.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::id::AppId;
use bus::message::offer::{Listed, Offer, Tool};
use bus::message::profile::Wishes;
use jail::app::{AppEvent, AppSpec};
use rmcp::model::{ClientConfig, ListToolsResult, PaginatedRequestParams};
use rmcp::service::{Peer, RunningService};
use rmcp::{RoleClient, ServiceExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::frames::Frames;
use super::{Child, Life, START, Undertaker, event, words};
use crate::job::cut;
use crate::start::Failed;

/// How long the server has for all of it. Some load a model or a package first.
const ANSWER: Duration = Duration::from_secs(60);

/// How long a server that may change its tools has to do so after its greeting.
const SECOND_THOUGHTS: Duration = Duration::from_millis(300);

/// For the conversation's end to be taken in.
const CLOSE: Duration = Duration::from_secs(1);

/// Pages of each list that are read, and entries at most.
pub(super) const MAX_PAGES: usize = 64;
const MAX_ENTRIES: usize = 2000;

/// How much of what it wrote to its standard error is kept, bytes.
const LAST: usize = 2000;

/// An app that was started to be asked.
pub(crate) struct Asked {
    app: AppId,
    wishes: Wishes,
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    control: BufReader<UnixStream>,
    last_words: Arc<Mutex<Vec<u8>>>,
    _launcher: std::process::Child,
}

impl Asked {
    /// Starts it in its jail.
    pub(crate) fn start(spec: &AppSpec, app: AppId, wishes: Wishes) -> Result<Self, Failed> {
        let child = Child::start(spec)?;
        let last_words = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(listen(child.stderr, Arc::clone(&last_words)));
        Ok(Self {
            app,
            wishes,
            stdin: child.stdin,
            stdout: child.stdout,
            control: BufReader::with_capacity(512, child.control),
            last_words,
            _launcher: child._launcher,
        })
    }

    /// Waits until the program runs.
    pub(crate) async fn runs(mut self) -> Result<Self, Failed> {
        let app = &self.app;
        let event = tokio::time::timeout(START, event(&mut self.control))
            .await
            .map_err(|_| Failed::new(format!("the jail of {app} was not up within {START:?}"), None))?;
        match event {
            Some(AppEvent::Started) => Ok(self),
            Some(AppEvent::Failed { layer, message, hint }) => {
                Err(Failed::new(format!("the app cannot be confined ({layer}): {message}"), hint))
            }
            Some(AppEvent::Ended(end)) => Err(self.failed(&words(&end).0)),
            None => Err(self.failed("was lost by its jail before it was up")),
        }
    }

    /// Waits for something else, and for as long as the app lives.
    pub(crate) async fn unless_it_ends<T>(
        mut self,
        other: impl Future<Output = Result<T, Failed>>,
    ) -> Result<Self, Failed> {
        tokio::select! {
            other = other => other.map(|_| self),
            event = event(&mut self.control) => Err(match event {
                Some(AppEvent::Ended(end)) => self.failed(&words(&end).0),
                _ => self.failed("was lost by its jail"),
            }),
        }
    }

    /// Greets it and has it list everything.
    pub(crate) async fn offer(mut self) -> Result<Offer, Failed> {
        let (tell, mut life) = watch::channel(Life::Starting);
        let ends = life.clone();
        // Kept, so that nobody takes its silence for an end.
        let undertaker = Undertaker(tell, self.app.clone());
        let frames = Frames::new(self.stdout, self.stdin, undertaker.clone());
        let asked = tokio::time::timeout(ANSWER, ask(frames, self.wishes));
        let how = tokio::select! {
            offer = asked => match offer {
                Ok(Ok((offer, mut running))) => {
                    // Ended here, so that nothing is left to be said when its jail closes; and only now, so that its
                    // end is not taken for one in the middle.
                    let _ = running.close_with_timeout(CLOSE).await;
                    return Ok(offer);
                }
                Ok(Err(how)) => {
                    // One that has just ended could not answer either; then its end is the better word.
                    let end = tokio::time::timeout(Duration::from_millis(200), event(&mut self.control)).await;
                    match (end, &*ends.borrow()) {
                        (_, Life::Ended(ending)) => ending.how.clone(),
                        (Ok(Some(AppEvent::Ended(end))), _) => words(&end).0,
                        _ => how,
                    }
                }
                Err(_) => format!("did not answer as an MCP server within {} s", ANSWER.as_secs()),
            },
            event = event(&mut self.control) => match event {
                Some(AppEvent::Ended(end)) => words(&end).0,
                _ => "was lost by its jail".to_owned(),
            },
            ended = life.wait_for(|life| matches!(life, Life::Ended(_))) => match ended.as_deref() {
                Ok(Life::Ended(ending)) => ending.how.clone(),
                _ => "did not speak its protocol".to_owned(),
            },
        };
        drop(undertaker);
        // What it wrote last may still be on its way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(failed(&self.app, &how, &self.last_words))
    }

    fn failed(&self, how: &str) -> Failed {
        failed(&self.app, how, &self.last_words)
    }
}

fn failed(app: &AppId, how: &str, last_words: &Mutex<Vec<u8>>) -> Failed {
    let words =
        String::from_utf8_lossy(&last_words.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    let words: String =
        words.trim().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let hint = (!words.is_empty()).then(|| format!("its last words: {words}"));
    Failed::new(format!("{app} {how}"), hint)
}

async fn listen(mut stderr: pipe::Receiver, last_words: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0_u8; 512];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        let mut kept = last_words.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        let over = kept.len().saturating_sub(LAST);
        kept.drain(..over);
    }
}

/// What it offers, and the conversation in which it said so.
async fn ask(
    frames: Frames,
    wishes: Wishes,
) -> Result<(Offer, RunningService<RoleClient, ClientConfig>), String> {
    // As it will be spoken to at work: some servers offer more to a client that declares more.
    let running = super::mcp::info(wishes)
        .serve(frames)
        .await
        .map_err(|error| format!("did not greet as an MCP server: {error}"))?;
    let offer = everything(running.peer()).await?;
    Ok((offer, running))
}

/// All that a server lists.
pub(super) async fn everything(peer: &Peer<RoleClient>) -> Result<Offer, String> {
    let mut offer = Offer::default();
    let Some(info) = peer.peer_info() else { return Err("did not say what it offers".to_owned()) };
    if let Some(server) = &info.server_info {
        offer.name = cut(&server.name, 200);
        offer.version = cut(&server.version, 200);
    }
    offer.instructions.clone_from(&info.instructions);
    if let Some(tools_of) = &info.capabilities.tools {
        if tools_of.list_changed == Some(true) {
            // Some make up their list only when they know their client.
            tokio::time::sleep(SECOND_THOUGHTS).await;
        }
        offer.tools = tools(peer).await?;
    }
    // These two are for showing only: a server that announces and does not have them is no worse for it.
    if info.capabilities.resources.is_some() {
        let all = peer.list_resources(None).await.map(|page| page.resources).unwrap_or_default();
        let one = |it: rmcp::model::Resource| Listed { name: it.uri, description: it.description };
        offer.resources = all.into_iter().take(MAX_ENTRIES).map(one).collect();
    }
    if info.capabilities.prompts.is_some() {
        let all = peer.list_prompts(None).await.map(|page| page.prompts).unwrap_or_default();
        let one = |it: rmcp::model::Prompt| Listed { name: it.name, description: it.description };
        offer.prompts = all.into_iter().take(MAX_ENTRIES).map(one).collect();
    }
    Ok(offer)
}

async fn tools(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, String> {
    let (mut tools, mut cursor) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = page(peer, cursor).await?;
        tools.extend(page.tools.iter().map(said));
        if MAX_ENTRIES < tools.len() {
            return Err(format!("lists more than {MAX_ENTRIES} tools"));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    Err(format!("lists its tools on more than {MAX_PAGES} pages"))
}

/// The tools that a server lists from here on, as far as one answer goes.
pub(super) async fn page(peer: &Peer<RoleClient>, cursor: Option<String>) -> Result<ListToolsResult, String> {
    let from = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
    peer.list_tools(from).await.map_err(|error| format!("did not list its tools: {error}"))
}

/// All that a server says of one tool, as it is pinned.
pub(super) fn said(tool: &rmcp::model::Tool) -> Tool {
    let annotations = tool.annotations.as_ref().and_then(|hints| serde_json::to_value(hints).ok());
    Tool {
        name: tool.name.to_string(),
        title: tool.title.clone(),
        description: tool.description.as_ref().map(ToString::to_string),
        request: Value::Object(tool.input_schema.as_ref().clone()),
        response: tool.output_schema.as_ref().map(|schema| Value::Object(schema.as_ref().clone())),
        annotations: annotations.unwrap_or_default(),
    }
}
