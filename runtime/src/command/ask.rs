//! `secgpt ask`: one query, its answer, its exit code.
//!
//! Answers: what came of this query?
//! Never: leaves running what it started; prints anything but the object with `--json`.

use std::io::IsTerminal;

use bus::id::SessionId;
use bus::message::user::{Ending, Outcome};

use super::{interrupted, print, print_json, starting, user};
use crate::cli::{Ask, Global};
use crate::config::Config;
use crate::consent::Consent;
use crate::conversation::{Conversation, Ended, Keys, View};
use crate::error::Error;
use crate::past::Past;
use crate::show::paint::Paint;
use crate::system::System;
use crate::{baseline, show};

/// Asks. With `--json`, settings that cannot be used are an object like any other failure.
///
/// # Errors
/// If there is no outcome at all: the system does not start, or the hub is not heard of.
pub async fn run(config: Result<Config, Error>, global: &Global, ask: &Ask) -> Result<u8, Error> {
    let result = match config {
        Ok(config) if ask.baseline => without_isolation(&config, global, ask).await,
        Ok(config) => isolated(&config, global, ask).await,
        Err(error) => Err(error),
    };
    match result {
        Err(error) if global.json => {
            print_json(&failed_outcome(&error, ask.who.session.clone()))?;
            Ok(error.kind().exit_code())
        }
        result => result,
    }
}

/// Prints the outcome; the result is the exit code.
fn tell(global: &Global, outcome: &Outcome, streamed: &str) -> Result<u8, Error> {
    match global.json {
        true => print_json(outcome)?,
        false => print(&show::outcome(outcome, streamed, Paint::stdout(global.color))),
    }
    Ok(exit_of(outcome.outcome))
}

async fn isolated(config: &Config, global: &Global, ask: &Ask) -> Result<u8, Error> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let consent = Consent::or_usual(ask.consent, terminal);
    let user = user(ask.who.user.as_ref())?;
    let quiet = global.quiet || global.json;
    let mut system = {
        let told = starting(quiet);
        tokio::select! {
            system = System::open(config, "ask", told) => system?,
            () = interrupted() => return Err(Error::failed("interrupted during the start")),
        }
    };
    let result = match system.client(&user).await {
        Ok(client) => {
            let view = View::new(global, quiet, !global.json && std::io::stdout().is_terminal());
            let session = ask.who.session.clone().unwrap_or_else(SessionId::fresh);
            let keys = Keys::new(terminal);
            let mut conversation = Conversation::new(client, session, ask.who.private, consent, keys);
            system.during(conversation.ask(&ask.query, None, view)).await
        }
        Err(error) => Err(error),
    };
    // The answer first: what is remembered of it is taken in while the system stops.
    let result = match result {
        Ok(Ended::Outcome(mut outcome, streamed)) => {
            outcome.model = outcome.model.or_else(|| system.note.clone());
            if !ask.who.private {
                let (user, query, attended) = (user.clone(), ask.query.clone(), consent.attends());
                let outcome = (*outcome).clone();
                super::remember(config, Past { user, query, attended, outcome, played: false });
            }
            tell(global, &outcome, &streamed)
        }
        Ok(Ended::Interrupted) => Err(Error::failed("cancelled")),
        Err(error) => Err(error),
    };
    system.close().await;
    result
}

async fn without_isolation(config: &Config, global: &Global, ask: &Ask) -> Result<u8, Error> {
    if !global.quiet && !global.json {
        super::say("baseline: no isolation, no permission; for comparison only");
    }
    let session = ask.who.session.clone().unwrap_or_else(SessionId::fresh);
    let queries = [ask.query.clone()];
    let mut unseen = |_: String| {};
    let run = baseline::run(config, &session, &queries, None, &mut unseen);
    tokio::select! {
        outcomes = run => {
            let outcome = outcomes?.pop().ok_or_else(|| Error::failed("the baseline gave no outcome"))?;
            tell(global, &outcome, "")
        }
        () = interrupted() => Err(Error::failed("cancelled")),
    }
}

/// The exit code of an ending.
pub fn exit_of(ending: Ending) -> u8 {
    match ending {
        Ending::Answered => 0,
        Ending::Failed => 1,
        Ending::Refused => 3,
    }
}

/// What `--json` prints when there is no outcome at all.
#[must_use]
pub fn failed_outcome(error: &Error, session: Option<SessionId>) -> Outcome {
    Outcome {
        answer: None,
        session: session.unwrap_or_else(SessionId::fresh),
        outcome: Ending::Failed,
        plan: serde_json::json!({ "steps": [] }),
        results: Vec::new(),
        flows: Vec::new(),
        choices: Vec::new(),
        unsupported: Vec::new(),
        model_calls: [("planner".to_owned(), 0), ("spokes".to_owned(), 0)].into(),
        prompts: 0,
        elapsed_ms: 0,
        error: Some(error.line()),
        hint: error.way_out().map(str::to_owned),
        model: None,
    }
}
