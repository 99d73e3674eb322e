//! Holds the model key; speaks to the model for hub and spokes. Started by `secgpt`.

use std::process::ExitCode;

use bus::launch::{Child, LlmConfig};
use bus::subject::Auditor;
use gateway::process::{NotStarted, begin, run, until_stopped};
use llm_gateway::provider::Provider;
use llm_gateway::serve::{Gateway, NAME};

/// What is logged unless `RUST_LOG` says otherwise. The protocol's library logs whole answers when it does not
/// understand them, and those are the user's.
const LOG: &str = "info,async_openai=off";

fn main() -> ExitCode {
    begin(LOG, &[]);
    run(serve())
}

async fn serve() -> Result<(), NotStarted> {
    let mut child = Child::<LlmConfig>::begin().await?;
    let provider = Provider::new(&child.config).map_err(|error| {
        NotStarted::new(error.to_string())
            .hint("correct [model] in secgpt.toml, or its SECGPT_MODEL_… variables")
    })?;
    let bus = child.connect(NAME.listed, Auditor::Llm).await?;
    let model = child.config.model.clone();
    let (gateway, ears) = Gateway::start(bus, provider, model).await?;
    child.ready().await?;
    until_stopped(&mut child, gateway.serve(ears)).await;
    Ok(())
}
