//! `secgpt chat`: talk, with history and permission prompts.
//!
//! Answers: what does the person want next?
//! Never: leaves running what it started.

use std::io::IsTerminal;

use bus::id::{AppId, FunctionName, SessionId, UserId};
use bus::message::user::{Admin, Ending, Verdict};

use super::{exit_of, interrupted, print, say, starting, user};
use crate::cli::{Chat, Global};
use crate::config::Config;
use crate::consent::Consent;
use crate::conversation::{Conversation, Ended, Keys, View};
use crate::editor::{Editor, Line};
use crate::error::Error;
use crate::past::Past;
use crate::show;
use crate::show::paint::Paint;
use crate::state::State;
use crate::system::System;

const HELP: &str = "\
  Type a question. Commands:
  /exit            leave (also Ctrl-D, or Ctrl-C twice)
  /new             begin a new conversation
  /replan          a new plan for the last question, without what was refused
  /private         keep nothing from now on, and offer apps nothing that is stored; again: back
  /apps            the installed apps
  /grants          permissions given for good; `/grants revoke ID` takes one back
  /defaults        which app does it, where several can; `/defaults clear NAME` has you asked again
  /memory          what is remembered; `/memory forget [APP]` forgets it
  Prompts: o once, s this session, a always, m for a month, d (or Esc) deny. Choices between apps: a number, d (or Esc) none.
";

/// Talks until the person leaves.
///
/// # Errors
/// If the system does not start, or ends too often.
pub async fn run(config: &Config, global: &Global, chat: &Chat) -> Result<u8, Error> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let user = user(chat.who.user.as_ref())?;
    let mut system = tokio::select! {
        system = System::open(config, "chat", starting(global.quiet)) => system?,
        () = interrupted() => return Err(Error::failed("interrupted during the start")),
    };
    let note = system.note.clone();
    let result = match system.client(&user).await {
        Ok(client) => {
            let consent = chat.consent.unwrap_or(Consent::Ask);
            let session = chat.who.session.clone().unwrap_or_else(SessionId::fresh);
            let mut talk = Talk {
                conversation: Conversation::new(
                    client,
                    session,
                    chat.who.private,
                    consent,
                    Keys::new(terminal),
                ),
                last_query: None,
                config,
                user: user.clone(),
                global,
                note,
                code: 0,
            };
            if !global.quiet {
                talk.banner(&user.to_string(), system.model.as_deref());
            }
            system.during(talk.run(terminal)).await
        }
        Err(error) => Err(error),
    };
    if !global.quiet && result.is_ok() {
        say("stopping");
    }
    system.close().await;
    result
}

struct Talk<'a> {
    conversation: Conversation,
    last_query: Option<String>,
    config: &'a Config,
    user: UserId,
    global: &'a Global,
    note: Option<String>,
    code: u8,
}

/// Go on, or leave?
enum Next {
    On,
    Leave,
}

impl Talk<'_> {
    fn banner(&self, user: &str, model: Option<&str>) {
        let paint = Paint::stdout(self.global.color);
        let apps = super::apps::installed(self.config).0;
        let names: Vec<&str> = apps.iter().map(|app| app.app.as_str()).collect();
        print(&format!(
            "{}  for {user} · model {} · {} apps: {}\n",
            paint.bold("secgpt"),
            model.unwrap_or("as the hub has it"),
            apps.len(),
            names.join(", ")
        ));
        if let Some(note) = &self.note {
            print(&format!("{}\n", paint.warning(note)));
        }
        print(&format!("{}\n", paint.dim("/help shows the commands, /exit leaves")));
    }

    /// The exit code of a chat on a pipe is that of its last query.
    async fn run(&mut self, terminal: bool) -> Result<u8, Error> {
        let state = State::open(&self.config.state_dir)?;
        let mut editor = match terminal {
            true => Some(Editor::start(state.path("history"))),
            false => None,
        };
        let mut left_once = false;
        loop {
            let line = match &mut editor {
                Some(editor) => editor.line(if self.conversation.private { "private> " } else { "> " }).await,
                None => tokio::select! {
                    line = self.conversation.keys.line() => line.map_or(Line::End, Line::Text),
                    () = interrupted() => Line::End,
                },
            };
            match line {
                Line::End => break,
                Line::Interrupt if left_once => break,
                Line::Interrupt => {
                    left_once = true;
                    say("Ctrl-C again, or /exit, leaves");
                }
                Line::Text(text) => {
                    left_once = false;
                    let text = text.trim();
                    if text.is_empty() {
                        continue;
                    }
                    match self.one(text).await {
                        Ok(Next::On) => {}
                        Ok(Next::Leave) => break,
                        // One query that fails does not end the chat.
                        Err(error) => {
                            self.code = error.kind().exit_code();
                            say(show::failure(&error, Paint::stderr(self.global.color)).trim_end());
                        }
                    }
                }
            }
        }
        Ok(if terminal { 0 } else { self.code })
    }

    async fn one(&mut self, text: &str) -> Result<Next, Error> {
        let mut words = text.split_whitespace();
        let client = self.conversation.client.clone();
        match (words.next().unwrap_or_default(), words.next(), words.next()) {
            ("/exit" | "/quit", ..) => return Ok(Next::Leave),
            ("/help", ..) => print(HELP),
            ("/new", ..) => {
                self.conversation.session = SessionId::fresh();
                (self.conversation.last, self.last_query) = (None, None);
                say("a new conversation");
            }
            ("/private", ..) => {
                self.conversation.private = !self.conversation.private;
                say(match self.conversation.private {
                    true => "private: nothing is kept, nothing stored is offered",
                    false => "no longer private",
                });
            }
            ("/apps", ..) => {
                super::apps::run(self.config, self.global, &crate::cli::Apps::List).await?;
            }
            ("/grants", Some("revoke"), Some(id)) => {
                client.admin(&Admin::Revoke { grant: id.to_owned() }).await?;
                say("revoked");
            }
            ("/grants", ..) => print(&super::grants::table(&client.admin(&Admin::Grants).await?)),
            ("/defaults", Some("clear"), Some(name)) => {
                client.admin(&Admin::ClearDefault { name: FunctionName::parse(name)? }).await?;
                say("cleared");
            }
            ("/defaults", ..) => print(&super::defaults::table(&client.admin(&Admin::Defaults).await?)),
            ("/memory", Some("forget"), app) => {
                client.admin(&Admin::Forget { app: app.map(AppId::parse).transpose()? }).await?;
                say("forgotten");
            }
            ("/memory", app, _) => {
                let app = app.map(AppId::parse).transpose()?;
                print(&super::memory::shown(&client.admin(&Admin::Memory { app }).await?));
            }
            ("/replan", ..) => return self.replan().await,
            (command, ..) if command.starts_with('/') => {
                return Err(Error::usage(format!("there is no command {command}")).hint("/help lists them"));
            }
            _ => return self.query(text.to_owned(), None).await,
        }
        Ok(Next::On)
    }

    async fn replan(&mut self) -> Result<Next, Error> {
        match (self.last_query.clone(), self.conversation.last.clone()) {
            (Some(query), Some(last)) => self.query(query, Some(last)).await,
            _ => Err(Error::usage("there is no question yet to make a new plan for")),
        }
    }

    async fn query(&mut self, text: String, replan_of: Option<bus::id::WorkId>) -> Result<Next, Error> {
        let (mut text, mut replan_of) = (text, replan_of);
        loop {
            let stream = std::io::stdout().is_terminal() && !self.global.json;
            let view = View::new(self.global, self.global.quiet || self.global.json, stream);
            let ended = self.conversation.ask(&text, replan_of, view).await?;
            self.last_query = Some(text.clone());
            let Ended::Outcome(mut outcome, streamed) = ended else { return Ok(Next::Leave) };
            self.code = exit_of(outcome.outcome);
            if !self.conversation.private {
                let (user, attended) = (self.user.clone(), self.conversation.consent.attends());
                let (query, outcome) = (text.clone(), (*outcome).clone());
                super::remember(self.config, Past { user, query, attended, outcome, played: false });
            }
            outcome.model = outcome.model.take().or_else(|| self.note.clone());
            match self.global.json {
                true => super::print_json(&outcome)?,
                false => {
                    // The banner has said it; in a chat it need not stand under every answer.
                    outcome.model = None;
                    print(&show::outcome(&outcome, &streamed, Paint::stdout(self.global.color)));
                }
            }
            let refused = outcome.outcome == Ending::Refused
                || (outcome.outcome == Ending::Failed
                    && outcome.flows.iter().any(|flow| flow.decision == Verdict::Deny));
            if !refused || !self.conversation.keys.yes("Make a new plan without what was refused?").await {
                return Ok(Next::On);
            }
            replan_of = self.conversation.last.clone();
            text = self.last_query.clone().unwrap_or_default();
        }
    }
}
