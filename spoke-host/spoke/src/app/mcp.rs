//! An MCP server as an app.
//!
//! Answers: does the server offer what its manifest says, and what does a call return?
//! Never: calls what the manifest does not name, or what is not as a person accepted it; takes a server's words about
//! its tools for anything.
//! Carries: I-16, I-17.

pub(crate) mod remote;

mod answer;
mod client;
mod offered;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use bus::id::AppId;
use bus::message::offer::Offer;
use bus::message::profile::{Function, Method, Profile, Wishes};
use bus::message::task::{Failure, FailureCode};
use futures_util::TryFutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rmcp::model::{
    CallToolRequestParams, ErrorData, GetPromptRequestParams, JsonObject, PaginatedRequestParams,
    ReadResourceRequestParams,
};
use rmcp::service::{ClientInitializeError, Peer, ServiceError};
use rmcp::transport::Transport;
use rmcp::{RoleClient, ServiceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::describe::everything;
use super::frames::Frames;
use super::stderr::Says;
use super::{Life, Undertaker, hint};
use crate::job::{Job, cut};
use crate::web::Web;
use answer::MAX_WORDS;
use client::Client;
pub(super) use client::info;
use offered::Offered;
use wish::Heard;

/// How long a server has to greet and to list its tools. Some load a model or a package first.
const GREETING: Duration = Duration::from_secs(60);

/// How long a server has to hear that its session is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long what a server on the web offers is taken for known: it is not heard when it changes.
const NEWS: Duration = Duration::from_secs(60);

/// Pages of resources or prompts that are read, and entries that are handed on.
const MAX_PAGES: usize = 16;
const MAX_ENTRIES: usize = 1000;

/// Wishes of a server that are worked on at once in one task.
const MAX_WISHES: usize = 4;

/// A server that was greeted. Calls go through here.
pub(crate) struct Server {
    app: AppId,
    at: At,
    peer: Peer<RoleClient>,
    offered: Offered,
    heard: Heard,
}

/// Where a server is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the jail beside this spoke; heard whenever it says something.
    Pipes,
    /// On the web; heard when it is asked.
    Web,
}

/// A server in the jail: from its greeting to its end.
pub(super) async fn over_pipes(frames: Frames, profile: Profile, says: Says, undertaker: Undertaker) {
    let how = converse(frames, At::Pipes, profile, says, &undertaker).await;
    undertaker.nonsense(&how);
}

/// A server on the web: from its greeting to the end of the conversation.
pub(super) async fn over_the_web(
    web: Web,
    url: String,
    profile: Profile,
    says: Says,
    undertaker: Undertaker,
) {
    let limit = Duration::from_secs(profile.limits.task_s);
    let how = converse(
        remote::transport(remote::by_gateway(web), &url, limit),
        At::Web,
        profile,
        says,
        &undertaker,
    )
    .await;
    undertaker.ended(FailureCode::App, &how, false, None);
}

/// Greets the server and compares what it offers with what the manifest needs. Then keeps the conversation alive.
/// Returns how it ended.
async fn converse<T>(transport: T, at: At, profile: Profile, says: Says, undertaker: &Undertaker) -> String
where
    T: Transport<RoleClient> + 'static,
{
    let offered = Offered::new();
    let (asks, heard) = wish::channel();
    let client = Client { wishes: profile.wishes, asks, offered: offered.clone(), says };
    let greeting = async {
        let running = client.serve(transport).await.map_err(|error| ungreeted(&error))?;
        offered.look(running.peer(), &profile.functions).await?;
        Ok::<_, String>(running)
    };
    let running = match tokio::time::timeout(GREETING, greeting).await {
        Ok(Ok(running)) => running,
        Ok(Err(how)) => {
            // An app that has just ended could not greet either; then its end is the better word.
            tokio::time::sleep(Duration::from_millis(100)).await;
            return cut(&how, MAX_WORDS);
        }
        Err(_) => return format!("did not greet within {GREETING:?}"),
    };
    let (app, peer) = (profile.app.clone(), running.peer().clone());
    let server = Arc::new(Server { app, at, peer: peer.clone(), offered: offered.clone(), heard });
    undertaker.0.send_if_modified(|life| match life {
        Life::Starting => {
            *life = Life::Serving(server);
            true
        }
        _ => false,
    });
    tokio::select! {
        // An app in the jail has closed its output.
        _ = running.waiting() => {}
        () = offered.keep(&peer, &profile.functions) => {}
    }
    match at {
        At::Pipes => {
            tokio::time::sleep(super::CLOSING).await;
            "closed its output without ending".to_owned()
        }
        At::Web => "ended the conversation".to_owned(),
    }
}

/// A server on the web that nobody trusts yet: greeted, and asked what it offers. Returns why it could not be.
pub(crate) async fn asked(fetch: remote::Fetch, url: &str, wishes: Wishes) -> Result<Offer, String> {
    let asked = async {
        // As it will be spoken to at work: some servers offer more to a client that declares more.
        let running = info(wishes)
            .serve(remote::transport(fetch, url, GREETING))
            .await
            .map_err(|error| ungreeted(&error))?;
        let offer = everything(running.peer()).await;
        // So that the server may forget the session; if it does not answer to that, it keeps it.
        let _ = tokio::time::timeout(FAREWELL, running.cancel()).await;
        offer
    };
    match tokio::time::timeout(GREETING, asked).await {
        Ok(offer) => offer.map_err(|how| cut(&how, MAX_WORDS)),
        Err(_) => Err(format!("did not answer as an MCP server within {} s", GREETING.as_secs())),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = next.source();
    }
    said
}

/// Why a server was not greeted. The protocol's library puts the names of its own types before the web's words.
fn ungreeted(error: &ClientInitializeError) -> String {
    let words = match error {
        ClientInitializeError::TransportError { error, .. } => match error.error.downcast_ref() {
            Some(remote::Refused::Client(failure)) => failure.detail.clone(),
            Some(remote::Refused::UnexpectedServerResponse(words)) => words.to_string(),
            _ => chain(error.error.as_ref()),
        },
        other => chain(other),
    };
    format!("did not greet as an MCP server: {words}")
}

/// Why a call has no result.
pub(super) enum NotCalled {
    /// For the reason said.
    Failure(Failure),
    /// The server is no longer there.
    Gone,
}

impl Server {
    /// Calls what the functionality stands for. Dropping this tells the server to stop.
    pub(super) async fn call(&self, job: &Job, function: &Function, args: Value) -> Result<Value, NotCalled> {
        if function.method == Method::Tool {
            if self.at == At::Web {
                self.offered.outdated(NEWS);
            }
            self.offered.permits(&self.app, function.name.as_str()).await.map_err(NotCalled::Failure)?;
        }
        let _calling = self.heard.calling();
        let mut call = std::pin::pin!(self.ask(function, args));
        let mut wishes = FuturesUnordered::new();
        loop {
            tokio::select! {
                result = &mut call => return result,
                asked = self.heard.next(), if wishes.len() < MAX_WISHES => wishes.push(wish::answer(job, asked)),
                Some(answered) = wishes.next() => answered.map_err(NotCalled::Failure)?,
            }
        }
    }

    async fn ask(&self, function: &Function, args: Value) -> Result<Value, NotCalled> {
        let name = function.name.as_str();
        let args = object(args).map_err(NotCalled::Failure)?;
        let field = |name: &str| {
            args.as_ref()
                .and_then(|args| args.get(name))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let peer = &self.peer;
        let not_called = |error| self.not_called(name, error);
        match function.method {
            Method::Tool => {
                let mut request = CallToolRequestParams::new(name.to_owned());
                request.arguments = args;
                match peer.call_tool(request).await {
                    Ok(result) if result.is_error == Some(true) => Err(self.failed(answer::said(&result))),
                    Ok(result) => Ok(answer::value(result)),
                    Err(error) => Err(not_called(error)),
                }
            }
            Method::ListResources => {
                let resources = pages(|params| {
                    peer.list_resources(params).map_ok(|page| (page.resources, page.next_cursor))
                });
                let templates = pages(|params| {
                    peer.list_resource_templates(params)
                        .map_ok(|page| (page.resource_templates, page.next_cursor))
                });
                let (resources, templates) = tokio::join!(resources, templates);
                // Few servers have templates, and many of them do not know the question.
                let templates = templates.unwrap_or_default();
                Ok(json!({
                    "resources": plain(&resources.map_err(not_called)?),
                    "templates": plain(&templates),
                }))
            }
            Method::ReadResource => {
                let request = ReadResourceRequestParams::new(field("uri"));
                peer.read_resource(request).await.map(|read| plain(&read)).map_err(not_called)
            }
            Method::ListPrompts => {
                let prompts =
                    pages(|params| peer.list_prompts(params).map_ok(|page| (page.prompts, page.next_cursor)));
                Ok(json!({"prompts": plain(&prompts.await.map_err(not_called)?)}))
            }
            Method::GetPrompt => {
                let mut request = GetPromptRequestParams::new(field("name"));
                request.arguments =
                    args.as_ref().and_then(|args| args.get("arguments")).and_then(Value::as_object).cloned();
                peer.get_prompt(request).await.map(|prompt| plain(&prompt)).map_err(not_called)
            }
        }
    }

    fn not_called(&self, name: &str, error: ServiceError) -> NotCalled {
        match error {
            ServiceError::McpError(ErrorData { message, .. }) => self.failed(cut(&message, MAX_WORDS)),
            ServiceError::UnexpectedResponse => NotCalled::Failure(Failure::new(
                FailureCode::AppNonsense,
                format!("the answer to {name} is not one that MCP knows"),
            )),
            ServiceError::TransportClosed | ServiceError::TransportSend(_) if self.at == At::Pipes => {
                NotCalled::Gone
            }
            other => self.failed(cut(&chain(&other), MAX_WORDS)),
        }
    }

    /// The app says that it failed; and what to do, if it lacks what its jail does not show.
    fn failed(&self, words: String) -> NotCalled {
        let words = match hint::of(&self.app, &words) {
            Some(hint) => format!("{words}; {hint}"),
            None => words,
        };
        NotCalled::Failure(Failure::new(FailureCode::App, words))
    }
}

/// A list that a server gives in pages, up to a bound: some never end.
async fn pages<T, F>(
    mut page: impl FnMut(Option<PaginatedRequestParams>) -> F,
) -> Result<Vec<T>, ServiceError>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), ServiceError>>,
{
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let params = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let (entries, next) = page(params).await?;
        all.extend(entries);
        cursor = next;
        if cursor.is_none() || MAX_ENTRIES <= all.len() {
            break;
        }
    }
    all.truncate(MAX_ENTRIES);
    Ok(all)
}

fn plain(said: &impl Serialize) -> Value {
    serde_json::to_value(said).unwrap_or_default()
}

fn object(args: Value) -> Result<Option<JsonObject>, Failure> {
    match args {
        Value::Object(args) => Ok(Some(args)),
        Value::Null => Ok(None),
        _ => Err(Failure::new(FailureCode::Arguments, "the arguments of a tool are an object")),
    }
}
