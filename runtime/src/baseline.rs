//! The baseline (VanillaGPT): the same model and the same apps in one shared context.
//!
//! Answers: what would happen without isolation and without permission?
//! Never: used for anything but comparison. It protects nobody, on purpose, and says so.

mod apis;
mod apps;
mod talk;

use std::path::{Path, PathBuf};
use std::time::Instant;

use bus::id::SessionId;
use bus::message::user::Outcome;
use manifest::AppKind;

use crate::command::failed_outcome;
use crate::config::Config;
use crate::error::Error;
use crate::model::{self, ModelConfig};
use crate::offered;
use crate::provider;
use crate::state::{State, make_private};

use self::apis::Apis;
use self::apps::Apps;
use self::talk::Talk;

/// Writes down what happens.
pub type Steps<'a> = &'a mut dyn FnMut(String);

/// Asks the queries one after the other in one conversation. Apps keep their data in `data`, or, without one, in the
/// state folder.
///
/// # Errors
/// If the model or the prompts cannot be had. What goes wrong with a query is in its outcome.
pub async fn run(
    config: &Config,
    session: &SessionId,
    queries: &[String],
    data: Option<&Path>,
    steps: Steps<'_>,
) -> Result<Vec<Outcome>, Error> {
    let choice = provider::choose(&config.model).await?;
    let (server, base_url) = match &choice.base_url {
        Some(url) => (None, url.clone()),
        None => {
            let server = model::serve(ModelConfig {
                listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
                scripts: config.scripts_dir(),
                delay: std::time::Duration::ZERO,
                key: None,
                faults: Vec::new(),
            })
            .await
            .map_err(|error| Error::failed("the scripted model does not start").because(error))?;
            let url = server.base_url();
            (Some(server), url)
        }
    };
    let data = match data {
        Some(data) => data.to_owned(),
        None => State::open(&config.state_dir)?.folder("baseline")?,
    };
    make_private(&data)?;
    let manifests = offered::apps(config).await?;
    let of_the_web =
        || manifests.iter().filter(|app| matches!(app.kind, AppKind::Http { .. })).map(|app| &app.app);
    let apis = match of_the_web().next() {
        Some(_) => Some(Apis::open(config, of_the_web()).await?),
        None => None,
    };
    let prompt = read(&config.prompts_dir().join("baseline.md"))?;
    let mut apps = Apps::new(manifests, data, apis);
    let mut talk = Talk::new(&base_url, &choice, config.model.timeout, &prompt, &apps)?;
    let mut outcomes = Vec::new();
    for query in queries {
        steps(format!("user: {query}"));
        let begun = Instant::now();
        let mut outcome = match talk.ask(query, &mut apps, steps).await {
            Ok(told) => told.outcome(session.clone()),
            Err(error) => failed_outcome(&error, Some(session.clone())),
        };
        outcome.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcome.model = choice.note.clone();
        let said = outcome.answer.as_ref().or(outcome.error.as_ref());
        steps(format!("answer: {}", said.map_or("", String::as_str)));
        outcomes.push(outcome);
    }
    apps.stop().await;
    if let Some(server) = server {
        server.stop().await;
    }
    Ok(outcomes)
}

fn read(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::failed(format!("{} cannot be read", path.display())).because(error))
}
