//! One model server: asked, and its troubles told in sentences that a person can act on.
//!
//! Answers: what does the model say to this conversation?
//! Never: puts the key, the whole URL or an unbounded text of the server's into an error.
//! Carries: I-15.

use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput};
use bus::launch::LlmConfig;
use bus::message::chat::{ChatError, ChatRequest};
use bus::secret::Secret;
use futures_util::StreamExt;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::reply::{Assembly, NoReply, Piece, Reply};
use crate::request::{estimate, translate};
use crate::transport::{Failure, Transport, innermost};

/// The longest text of a server that is handed on, characters.
const SAID: usize = 300;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);

/// The model's server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider {
    client: reqwest::Client,
    base_url: String,
    host: String,
    authorization: Option<HeaderValue>,
    key: Option<Secret>,
    embeddings_model: Option<String>,
    timeout: Duration,
}

/// Why there is no answer, for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For programs.
    pub code: ChatError,
    /// For people: what happened, with whom, and what to do.
    pub detail: String,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not a URL.
    #[error("[model] base_url is not a URL with http or https: {0}")]
    Url(String),
    /// Not something that can go into a header.
    #[error("the model's key holds a line break or another character that no key has")]
    Key,
    /// No TLS, or the like.
    #[error("no client for the model's server: {0}")]
    Client(String),
}

impl Provider {
    /// From the settings. Asks nobody yet.
    ///
    /// # Errors
    /// Says which setting cannot be used.
    pub fn new(config: &LlmConfig) -> Result<Self, SettingsError> {
        let url =
            reqwest::Url::parse(&config.base_url).map_err(|error| SettingsError::Url(error.to_string()))?;
        let name = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let name = name.ok_or_else(|| SettingsError::Url("no host".to_owned()))?;
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let authorization = match config.api_key.as_ref().filter(|key| !key.expose().is_empty()) {
            None => None,
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                    .map_err(|_| SettingsError::Key)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("secgpt");
        // A proxy of the surroundings is for the way out; a server on this machine is not out.
        let loopback = name == "localhost"
            || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if loopback {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| SettingsError::Client(innermost(&error)))?;
        Ok(Self {
            client,
            base_url: config.base_url.trim_end_matches('/').to_owned(),
            host,
            key: authorization.is_some().then(|| config.api_key.clone()).flatten(),
            authorization,
            embeddings_model: config.embeddings_model.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
        })
    }

    /// How long one call may take in all: queue, attempts and answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks for the next turn. New words go into `words` as they come, if the request wants them.
    ///
    /// # Errors
    /// Says why there is no whole turn.
    pub async fn chat(
        &self,
        request: &ChatRequest,
        model: &str,
        deadline: Instant,
        words: mpsc::Sender<String>,
    ) -> Result<Reply, Trouble> {
        let wire = translate(request, model);
        let prompt = estimate(request);
        let answer = async {
            let client = self.client(deadline);
            if !request.stream {
                let whole: Piece =
                    client.chat().create_byot(wire).await.map_err(|error| self.explain(error))?;
                return whole.whole(prompt).map_err(|why| self.no_reply(&why));
            }
            let mut pieces = client
                .chat()
                .create_stream_byot::<_, Piece>(wire)
                .await
                .map_err(|error| self.explain(error))?;
            let mut assembly = Assembly::default();
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| self.explain(error))?;
                if let Some(new) = assembly.add(piece).map_err(|why| self.no_reply(&why))? {
                    // If nobody takes the words any more, the whole turn is still wanted.
                    let _ = words.send(new).await;
                }
            }
            assembly.finish(prompt).map_err(|why| self.no_reply(&why))
        };
        self.by(deadline, answer).await
    }

    /// Asks for one vector for each text.
    ///
    /// # Errors
    /// Says why there is none, for people.
    pub async fn embed(&self, texts: Vec<String>, deadline: Instant) -> Result<Vec<Vec<f32>>, Trouble> {
        #[derive(Deserialize)]
        struct Vectors {
            data: Vec<Vector>,
        }
        #[derive(Deserialize)]
        struct Vector {
            #[serde(default)]
            index: usize,
            embedding: Vec<f32>,
        }
        let Some(model) = self.embeddings_model.clone() else {
            let detail = "no embeddings model is configured; [model] embeddings_model names one".to_owned();
            return Err(Trouble { code: ChatError::Refused, detail });
        };
        let wanted = texts.len();
        let request = CreateEmbeddingRequest {
            model,
            input: EmbeddingInput::StringArray(texts),
            encoding_format: None,
            user: None,
            dimensions: None,
        };
        let answer = async {
            let client = self.client(deadline);
            let mut vectors: Vectors =
                client.embeddings().create_byot(request).await.map_err(|error| self.explain(error))?;
            vectors.data.sort_by_key(|vector| vector.index);
            Ok(vectors.data)
        };
        let vectors = self.by(deadline, answer).await?;
        if vectors.len() != wanted {
            let why = format!("{} vectors for {wanted} texts", vectors.len());
            return Err(self.trouble(ChatError::Nonsense, &format!("answered with {why}")));
        }
        Ok(vectors.into_iter().map(|vector| vector.embedding).collect())
    }

    async fn by<T>(
        &self,
        deadline: Instant,
        answer: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(result) => result,
            Err(_) => Err(self.too_late()),
        }
    }

    /// What is said when the time is over.
    fn too_late(&self) -> Trouble {
        let detail =
            format!("did not finish its answer within {:?}; [model] timeout allows more", self.timeout);
        self.trouble(ChatError::Timeout, &detail)
    }

    fn client(&self, deadline: Instant) -> Client<OpenAIConfig> {
        // The key goes along in the transport, where it is marked as sensitive; the library never has it.
        let config = OpenAIConfig::new()
            .with_api_base(self.base_url.clone())
            .with_api_key("")
            .with_org_id("")
            .with_project_id("");
        let transport = Transport::new(self.client.clone(), self.authorization.clone(), deadline);
        Client::build(self.client.clone(), config).with_http_service(transport)
    }

    /// From the library's error to what the caller is told.
    fn explain(&self, error: OpenAIError) -> Trouble {
        match error {
            OpenAIError::Boxed(error) => match error.downcast::<Failure>() {
                Ok(failure) => self.failure(&failure),
                Err(other) => self.trouble(ChatError::Nonsense, &format!("failed: {other}")),
            },
            OpenAIError::JSONDeserialize(..) => self.trouble(
                ChatError::Nonsense,
                "answered, but not in the OpenAI protocol; is [model] base_url the right one? It mostly ends with /v1",
            ),
            OpenAIError::StreamError(_) => self.trouble(ChatError::Cut, "broke off in the middle of its answer"),
            OpenAIError::Reqwest(error) if error.is_body() || error.is_decode() => {
                self.trouble(ChatError::Cut, "broke off in the middle of its answer")
            }
            OpenAIError::Reqwest(error) => {
                let why = innermost(&error.without_url());
                self.trouble(ChatError::Unreachable, &format!("cannot be asked: {why}"))
            }
            OpenAIError::ApiError(error) => {
                self.trouble(ChatError::Refused, &format!("refuses: {}", self.quote(&error.api_error.message)))
            }
            OpenAIError::InvalidArgument(why) => {
                self.trouble(ChatError::Refused, &format!("cannot be asked: {}", self.quote(&why)))
            }
            OpenAIError::FileSaveError(why) | OpenAIError::FileReadError(why) => {
                self.trouble(ChatError::Nonsense, &format!("failed: {}", self.quote(&why)))
            }
        }
    }

    fn failure(&self, failure: &Failure) -> Trouble {
        match failure {
            Failure::NoConnection(why) => self.trouble(
                ChatError::Unreachable,
                &format!("cannot be reached: {why}. Does it run, and is [model] base_url right?"),
            ),
            // Whatever it says here may quote the key.
            Failure::Status { status: status @ (401 | 403), .. } if self.key.is_some() => self.trouble(
                ChatError::Key,
                &format!("does not accept the key (status {status}); check the variable that [model] api_key_env names"),
            ),
            Failure::Status { status: status @ (401 | 403), .. } => self.trouble(
                ChatError::Key,
                &format!("wants a key (status {status}); put it into a variable and name that in [model] api_key_env"),
            ),
            Failure::Status { status: status @ (408 | 429 | 500..=599), said, attempts } if *status != 501 => {
                let state = if *status == 429 { "limits the rate" } else { "is overloaded or broken" };
                let times = if *attempts == 1 { "one attempt".to_owned() } else { format!("{attempts} attempts") };
                let said = self.quote(said);
                self.trouble(ChatError::Busy, &format!("{state} (status {status} after {times}): {said}"))
            }
            Failure::Status { status: status @ 404, said, .. } => {
                let said = self.quote(said);
                self.trouble(
                    ChatError::Refused,
                    &format!("does not know the model or the path (status {status}): {said}. Check [model] model and base_url"),
                )
            }
            Failure::Status { status, said, .. } => {
                let said = self.quote(said);
                self.trouble(ChatError::Refused, &format!("refuses the request (status {status}): {said}"))
            }
            Failure::Broke(why) => {
                self.trouble(ChatError::Cut, &format!("broke off before its answer: {}", self.quote(why)))
            }
            Failure::TooLarge(size) => {
                self.trouble(ChatError::Nonsense, &format!("answered with {size} bytes, more than any turn has"))
            }
        }
    }

    fn no_reply(&self, why: &NoReply) -> Trouble {
        match why {
            NoReply::Cut => self.trouble(ChatError::Cut, "broke off in the middle of its answer"),
            NoReply::Empty => self.trouble(
                ChatError::Nonsense,
                "answered, but not in the OpenAI protocol (no message in it); is [model] base_url the right one?",
            ),
            NoReply::TooLong => self.trouble(ChatError::Nonsense, "answered with more than a turn may have"),
            NoReply::Withheld => self.trouble(ChatError::Refused, "withheld the answer: its content filter"),
            NoReply::Said(said) => {
                self.trouble(ChatError::Cut, &format!("gave up in its answer: {}", self.quote(said)))
            }
        }
    }

    fn trouble(&self, code: ChatError, what: &str) -> Trouble {
        Trouble { code, detail: format!("the model server at {} {what}", self.host) }
    }

    /// A stranger's text: one line, not too long, and without the key, should the stranger quote it.
    fn quote(&self, said: &str) -> String {
        let said = match &self.key {
            Some(key) => said.replace(key.expose(), "****"),
            None => said.to_owned(),
        };
        let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
        if line.trim().is_empty() { "(no words)".to_owned() } else { line.trim().to_owned() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn config(base_url: &str) -> LlmConfig {
        LlmConfig {
            base_url: base_url.into(),
            model: "m1".into(),
            api_key: Some(Secret::new("planted-key".into())),
            embeddings_model: None,
            timeout_ms: 1000,
        }
    }

    fn provider(base_url: &str) -> Provider {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Provider::new(&config(base_url)).unwrap()
    }

    #[test]
    fn neither_the_key_nor_a_password_in_the_url_is_shown() {
        let provider = provider("http://user:password@models.example:8080/v1/");
        assert_eq!(provider.host, "models.example:8080");
        let shown = format!("{:?}", provider.authorization) + &format!("{:?}", provider.key);
        assert!(!shown.contains("planted-key"));
        assert_eq!(provider.quote("bad key planted-key\nindeed"), "bad key **** indeed");
        for status in [401, 403, 429, 400, 404, 500] {
            let failure = Failure::Status { status, said: "no: planted-key".into(), attempts: 1 };
            let trouble = provider.failure(&failure);
            assert!(
                !trouble.detail.contains("planted-key") && !trouble.detail.contains("password"),
                "{trouble:?}"
            );
            assert!(trouble.detail.starts_with("the model server at models.example:8080 "), "{trouble:?}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused() {
        assert!(matches!(Provider::new(&config("nonsense")), Err(SettingsError::Url(_))));
        assert!(matches!(Provider::new(&config("file:///etc/passwd")), Err(SettingsError::Url(_))));
        let mut split = config("http://localhost/v1");
        split.api_key = Some(Secret::new("a\r\nX-Other: b".into()));
        assert!(matches!(Provider::new(&split), Err(SettingsError::Key)));
    }
}
