//! Which model answers.
//!
//! Answers: which server, which model, with which key?
//! Never: sends anything but a question for the list of models; the key goes to the llm-gateway alone.
//! Carries: I-15.

use std::time::Duration;

use bus::secret::Secret;
use serde_json::Value;

use crate::config::{ModelSettings, Provider};
use crate::environment;
use crate::error::Error;
use crate::model::MODEL_ID;

/// The model that was chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Where it is; none for the scripted model, which is started with the rest.
    pub base_url: Option<String>,
    /// Its name.
    pub model: String,
    /// The key, if the server wants one.
    pub key: Option<Secret>,
    /// For the banner.
    pub said: String,
    /// What must be said with every answer.
    pub note: Option<String>,
}

/// What is said with every answer of the scripted model.
pub const SCRIPTED_NOTE: &str = "scripted model: answers come from rules, not from a language model; it obeys whatever it reads, on purpose";

const OPENAI: &str = "https://api.openai.com/v1";
const OPENAI_MODEL: &str = "gpt-5-mini";
const OLLAMA: &str = "http://127.0.0.1:11434/v1";

/// A server on this machine answers at once or is not there.
const LOCAL_PROBE: Duration = Duration::from_millis(200);

/// A server on the web may take longer to list its models.
const LIST_MODELS: Duration = Duration::from_secs(10);

/// Chooses: as configured; else a key in the environment; else Ollama on its usual port; else the scripted model.
///
/// # Errors
/// If what is configured cannot be had.
pub async fn choose(settings: &ModelSettings) -> Result<Choice, Error> {
    let key = environment::text(&settings.api_key_env).map(Secret::new);
    match settings.provider {
        Provider::Scripted => scripted(settings),
        Provider::Openai => openai(settings, key).await,
        Provider::Ollama => ollama(settings, LIST_MODELS).await?.ok_or_else(|| {
            let url = settings.base_url.as_deref().unwrap_or(OLLAMA);
            Error::failed(format!("no Ollama answers at {url}"))
                .hint("start it with `ollama serve`, or name another provider with SECGPT_MODEL_PROVIDER")
        }),
        Provider::Auto if settings.base_url.is_some() || key.is_some() => openai(settings, key).await,
        Provider::Auto => match ollama(settings, LOCAL_PROBE).await? {
            Some(found) => Ok(found),
            None => scripted(settings),
        },
    }
}

fn scripted(settings: &ModelSettings) -> Result<Choice, Error> {
    match (&settings.base_url, settings.model.as_deref()) {
        (Some(_), _) => {
            Err(Error::usage("the scripted model runs inside this program and takes no model.base_url")
                .hint("for a scripted model on another port, use provider = \"openai\" with its base_url"))
        }
        (None, Some(model)) if model != MODEL_ID => {
            Err(Error::usage(format!("no server for the model {model:?} was found"))
                .hint("set model.base_url, or put a key into OPENAI_API_KEY, or start Ollama"))
        }
        _ => Ok(Choice {
            base_url: None,
            model: MODEL_ID.to_owned(),
            key: None,
            said: format!("{MODEL_ID} ({SCRIPTED_NOTE})"),
            note: Some(SCRIPTED_NOTE.to_owned()),
        }),
    }
}

async fn openai(settings: &ModelSettings, key: Option<Secret>) -> Result<Choice, Error> {
    let base_url = settings.base_url.clone().unwrap_or_else(|| OPENAI.to_owned());
    if key.is_none() && settings.base_url.is_none() {
        return Err(Error::usage(format!("the variable {} holds no key", settings.api_key_env))
            .hint("put the key there, or set model.base_url to a server that needs none"));
    }
    let model = match &settings.model {
        Some(model) => model.clone(),
        None if settings.base_url.is_none() => OPENAI_MODEL.to_owned(),
        None => first_model(&base_url, key.as_ref(), LIST_MODELS).await?.ok_or_else(|| {
            Error::failed(format!("the model server at {base_url} has no model to offer"))
                .hint("name one with SECGPT_MODEL_MODEL or `[model] model`")
        })?,
    };
    let note = (model == MODEL_ID).then(|| SCRIPTED_NOTE.to_owned());
    Ok(Choice { said: format!("{model} at {base_url}"), base_url: Some(base_url), model, key, note })
}

/// Nothing if nobody listens there.
async fn ollama(settings: &ModelSettings, limit: Duration) -> Result<Option<Choice>, Error> {
    let base_url = settings.base_url.clone().unwrap_or_else(|| OLLAMA.to_owned());
    let Ok(offered) = first_model(&base_url, None, limit).await else { return Ok(None) };
    let Some(model) = settings.model.clone().or(offered) else {
        return Err(Error::failed(format!("Ollama at {base_url} has no model"))
            .hint("bring one with `ollama pull`, or use SECGPT_MODEL_PROVIDER=scripted"));
    };
    Ok(Some(Choice {
        said: format!("{model} at {base_url} (Ollama)"),
        base_url: Some(base_url),
        model,
        key: None,
        note: None,
    }))
}

/// The first model that a server offers.
async fn first_model(base_url: &str, key: Option<&Secret>, limit: Duration) -> Result<Option<String>, Error> {
    let list = models(base_url, key, limit).await?;
    Ok(list.into_iter().next())
}

/// The models that a server offers.
///
/// # Errors
/// If it cannot be reached or does not accept the key.
pub async fn models(base_url: &str, key: Option<&Secret>, limit: Duration) -> Result<Vec<String>, Error> {
    let failed = || {
        Error::failed(format!("the model server at {base_url} cannot be used"))
            .hint("check model.base_url (with its /v1) and the key; `secgpt doctor` tries it")
    };
    let client =
        reqwest::Client::builder().timeout(limit).build().map_err(|error| failed().because(error))?;
    let mut request = client.get(format!("{}/models", base_url.trim_end_matches('/')));
    if let Some(key) = key {
        request = request.bearer_auth(key.expose());
    }
    let answer = request.send().await.map_err(|error| failed().because(error.without_url()))?;
    if !answer.status().is_success() {
        return Err(failed().because(format!("it answered {}", answer.status())));
    }
    let body = answer.bytes().await.map_err(|error| failed().because(error.without_url()))?;
    let list: Value = serde_json::from_slice(&body).map_err(|error| failed().because(error))?;
    let ids = list.get("data").and_then(Value::as_array).into_iter().flatten();
    Ok(ids.filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(provider: Provider) -> ModelSettings {
        ModelSettings {
            provider,
            base_url: None,
            model: None,
            api_key_env: "SECGPT_NO_SUCH_KEY".into(),
            embeddings_model: None,
            timeout: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn the_scripted_model_says_what_it_is() {
        let choice = choose(&settings(Provider::Scripted)).await.unwrap();
        assert!(choice.said.contains("rules, not from a language model"));
        assert!(choice.note.is_some());
    }

    #[tokio::test]
    async fn a_missing_key_is_named_by_its_variable() {
        let error = choose(&settings(Provider::Openai)).await.unwrap_err();
        assert_eq!(error.line(), "the variable SECGPT_NO_SUCH_KEY holds no key");
    }

    #[tokio::test]
    async fn a_named_model_is_not_replaced_by_the_scripted_one() {
        let mut settings = settings(Provider::Scripted);
        settings.model = Some("llama".into());
        assert!(choose(&settings).await.is_err());
    }
}
