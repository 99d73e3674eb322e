//! `secgpt model serve`: the scripted model for any OpenAI client.
//!
//! Answers: where does it listen?
//! Never: hides what it is.

use std::time::Duration;

use super::{interrupted, print, print_json};
use crate::cli::{Global, Model};
use crate::config::Config;
use crate::error::Error;
use crate::model::{self, MODEL_ID, ModelConfig};
use crate::provider::SCRIPTED_NOTE;

/// Serves until interrupted.
///
/// # Errors
/// If the scripts do not load or the address is taken.
pub async fn run(config: &Config, global: &Global, command: &Model) -> Result<u8, Error> {
    let Model::Serve { listen, delay, key } = command;
    let mut served = model::serve(ModelConfig {
        listen: *listen,
        scripts: config.scripts_dir(),
        delay: Duration::from_millis(*delay),
        key: key.clone(),
        faults: Vec::new(),
    })
    .await
    .map_err(|error| Error::failed("the scripted model does not start").because(error))?;
    let url = served.base_url();
    match global.json {
        true => print_json(&serde_json::json!({ "ready": true, "base_url": url, "model": MODEL_ID }))?,
        false => print(&format!("{MODEL_ID} at {url}\n{SCRIPTED_NOTE}\n")),
    }
    tokio::select! {
        () = interrupted() => {}
        () = served.ended() => return Err(Error::failed("the scripted model ended by itself")),
    }
    served.stop().await;
    Ok(0)
}
