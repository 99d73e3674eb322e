//! Leave by a browser on this machine, which comes back to a port of it. RFC 8252, with PKCE (RFC 7636).
//!
//! Answers: what is the browser sent to, and what is asked for the code that it brings back?
//! Never: takes a code that was not asked for; sends one without the proof that it was.
//! Carries: I-15.

use bus::launch::authorize::Said;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::{Instant, timeout_at};

use super::listener::Listener;
use super::{AuthorizeError, Flow, Got, missing, refused};
use crate::credential::oauth::TokenAnswer;

impl Flow<'_> {
    /// Sends a person to the server, waits for the way back, and exchanges the code.
    pub(super) async fn redirect(&mut self, tell: &mut dyn FnMut(Said)) -> Got {
        let how = self.how;
        let server = &how.server;
        let url = server.authorize_url.as_deref().ok_or_else(|| missing(self.name, "authorize_url"))?;
        let mut url = self.asking.endpoint(url)?;
        let listener = Listener::bind().await.map_err(AuthorizeError::Listen)?;
        let back = listener.address().map_err(AuthorizeError::Listen)?;
        self.known(Some(&back)).await?;
        let (state, verifier) = (random()?, random()?);
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref());
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", self.client_id())
                .append_pair("redirect_uri", &back)
                .append_pair("state", &state)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
            if !server.scopes.is_empty() {
                query.append_pair("scope", &self.scope());
            }
            if let Some((name, resource)) = self.resource() {
                query.append_pair(name, resource);
            }
        }
        let deadline = Instant::now() + self.pace.person;
        tell(Said::Open { url: url.into() });
        let code = match timeout_at(deadline, listener.code(&state)).await {
            Err(_) => return Err(AuthorizeError::TooLate),
            Ok(code) => code?,
        };
        let form = self.with_client(vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &back),
            ("code_verifier", &verifier),
        ]);
        match self.asking.token(self.token_url, &form).await? {
            TokenAnswer::Given(given) => Ok(given),
            TokenAnswer::Refused(word) => Err(refused(word)),
        }
    }
}

/// 256 bits that nobody can guess, as 43 letters that need no escape.
fn random() -> Result<String, AuthorizeError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| AuthorizeError::Listen(std::io::Error::other("no random numbers")))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}
