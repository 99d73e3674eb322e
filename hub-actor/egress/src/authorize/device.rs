//! Leave by a code that is typed on any device. RFC 8628.
//!
//! Answers: has a person typed the code by now?
//! Never: asks more often than the server wants, or for longer than the code is good; shows a person what is no code.
//! Carries: I-15, I-16.

use bus::launch::authorize::Said;
use bus::message::egress::{WebError, WebFailure};
use bus::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{AuthorizeError, Flow, Got, missing, refused};
use crate::credential::oauth::{TokenAnswer, protocol_word, seconds, useless};

/// Seconds between two questions, unless the server says otherwise (RFC 8628, section 3.2).
const INTERVAL: u64 = 5;

/// So many seconds more when the server asks for it, each time (section 3.5).
const SLOWER: u64 = 5;

/// The longest pause that is kept to, seconds. A server that wants longer ones wants no answer.
const LONGEST_INTERVAL: u64 = 60;

/// The longest life of a code that is waited for, seconds; and the life of one of which nothing is said.
const LONGEST_LIFE: u64 = 1800;

/// The longest code that is shown. A person has to type it.
const LONGEST_CODE: usize = 32;

#[derive(Deserialize)]
struct Raw {
    device_code: Option<Secret>,
    user_code: Option<String>,
    // One large provider writes it so.
    #[serde(alias = "verification_url")]
    verification_uri: Option<String>,
    verification_uri_complete: Option<String>,
    expires_in: Option<Value>,
    interval: Option<Value>,
    error: Option<String>,
}

/// What the server gave, checked.
struct Granted {
    device_code: Secret,
    seconds: u64,
    interval: u64,
}

impl Flow<'_> {
    /// Has a code made, shows it, and asks until it was typed.
    pub(super) async fn device(&mut self, tell: &mut dyn FnMut(Said)) -> Got {
        let how = self.how;
        let url = how.server.device_url.as_deref().ok_or_else(|| missing(self.name, "device_url"))?;
        self.known(None).await?;
        let granted = self.code(url, tell).await?;
        let deadline = Instant::now() + self.pace.second.saturating_mul(part(granted.seconds));
        let mut interval = granted.interval;
        loop {
            sleep(self.pace.second.saturating_mul(part(interval))).await;
            if deadline <= Instant::now() {
                return Err(AuthorizeError::TooLate);
            }
            let form = self.with_client(vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", granted.device_code.expose()),
            ]);
            let word = match self.asking.token(self.token_url, &form).await {
                Ok(TokenAnswer::Given(given)) => return Ok(given),
                Ok(TokenAnswer::Refused(word)) => word,
                // The server, or the way to it, may be back the next time; the pause grows meanwhile (section 3.5).
                Err(WebFailure { code: WebError::Timeout | WebError::Connect, .. }) => {
                    interval = (interval * 2).min(LONGEST_INTERVAL);
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            match word.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval = (interval + SLOWER).min(LONGEST_INTERVAL),
                _ => return Err(refused(word)),
            }
        }
    }

    async fn code(&self, url: &str, tell: &mut dyn FnMut(Said)) -> Result<Granted, AuthorizeError> {
        let scope = self.scope();
        let mut form = vec![("client_id", self.client_id())];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        form.extend(self.resource());
        let (status, body) = self.asking.post(url, &form).await?;
        let garbage = || useless(format!("its server answers {status}, and no code in the form of RFC 8628"));
        let raw: Raw = serde_json::from_slice(&body).map_err(|_| garbage())?;
        if let Some(word) = raw.error {
            return Err(refused(protocol_word(&word, status)));
        }
        let (Some(device_code), Some(code), Some(place)) =
            (raw.device_code, raw.user_code, raw.verification_uri)
        else {
            return Err(garbage().into());
        };
        if status != 200 || !is_code(&code) {
            return Err(garbage().into());
        }
        let life = raw.expires_in.as_ref().and_then(seconds).unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE);
        let place = self.asking.endpoint(&place)?;
        let complete = raw.verification_uri_complete.and_then(|url| self.asking.endpoint(&url).ok());
        tell(Said::Visit {
            // The same site: a person who was shown one host is not sent to another.
            complete: complete
                .filter(|complete| complete.origin() == place.origin())
                .map(|complete| complete.into()),
            url: place.into(),
            code,
            seconds: life,
        });
        let interval = raw.interval.as_ref().and_then(seconds).unwrap_or(INTERVAL);
        Ok(Granted { device_code, seconds: life, interval: interval.clamp(1, LONGEST_INTERVAL) })
    }
}

/// Is it something to type, and no message to a person?
fn is_code(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.len() <= LONGEST_CODE && text.bytes().all(plain)
}

fn part(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
