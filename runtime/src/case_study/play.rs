//! Playing a case study, in either system.
//!
//! Answers: what happens when this is asked, with fresh data?
//! Never: touches the data of a real user.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bus::id::{SessionId, UserId};

use super::{Evidence, Play, Study};
use crate::baseline;
use crate::cli::Global;
use crate::config::Config;
use crate::consent::Consent;
use crate::conversation::{Conversation, Ended, Keys, View};
use crate::error::Error;
use crate::past::Past;
use crate::state::State;
use crate::system::System;

/// Plays it in the isolated system, as a user who never was there before.
///
/// # Errors
/// If the hub cannot be asked.
pub async fn isolated(
    config: &Config,
    global: &Global,
    system: &mut System,
    study: &Study,
    consent: Consent,
) -> Result<Play, Error> {
    let user = UserId::parse(&format!("study{}-{}", study.number, fresh()))?;
    let client = system.client(&user).await?;
    let keys = Keys::Terminal;
    let mut conversation = Conversation::new(client, SessionId::fresh(), false, consent, keys);
    let steps: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut outcomes = Vec::new();
    for query in study.queries {
        note(&steps, format!("user: {query}"));
        let written = Arc::clone(&steps);
        // Prompts that a person answers are shown; those that a rule answers are among the steps.
        let view = View::new(global, consent != Consent::Ask, false)
            .with_steps(Box::new(move |line| note(&written, line)));
        let ended = system.during(conversation.ask(query, None, view)).await?;
        let Ended::Outcome(mut outcome, _) = ended else { return Err(Error::failed("cancelled")) };
        outcome.model = outcome.model.or_else(|| system.note.clone());
        let answer = outcome.answer.clone().or_else(|| outcome.error.clone()).unwrap_or_default();
        note(&steps, format!("answer: {answer}"));
        let (user, query, attended) = (user.clone(), (*query).to_owned(), consent.attends());
        let past = Past { user, query, attended, outcome: (*outcome).clone(), played: true };
        crate::command::remember(config, past);
        outcomes.push(*outcome);
    }
    let evidence = Evidence { data: config.state_dir.join("data").join(user.as_str()), outcomes };
    let verdict = evidence.verdict(study.number);
    let steps = steps.lock().map(|steps| steps.clone()).unwrap_or_default();
    Ok(Play { system: "isolated", steps, outcomes: evidence.outcomes, verdict })
}

/// Plays it in the baseline, with fresh data.
///
/// # Errors
/// If the model cannot be asked.
pub async fn baseline(config: &Config, study: &Study) -> Result<Play, Error> {
    let state = State::open(&config.state_dir)?;
    let data: PathBuf = state.folder("baseline")?.join(format!("study{}-{}", study.number, fresh()));
    let session = SessionId::fresh();
    let queries: Vec<String> = study.queries.iter().map(|&query| query.to_owned()).collect();
    let mut steps = Vec::new();
    let outcomes =
        baseline::run(config, &session, &queries, Some(&data), &mut |line| steps.push(line)).await?;
    let evidence = Evidence { data, outcomes };
    let verdict = evidence.verdict(study.number);
    Ok(Play { system: "baseline", steps, outcomes: evidence.outcomes, verdict })
}

fn fresh() -> String {
    SessionId::fresh().as_str().chars().rev().take(10).collect()
}

fn note(steps: &Arc<Mutex<Vec<String>>>, line: String) {
    if let Ok(mut steps) = steps.lock() {
        steps.push(line);
    }
}
