//! A client that nobody has registered by hand. RFC 7591.
//!
//! Answers: as whom does this program ask, at a server that takes anybody?
//! Never: registers one where a person or the manifest names one; keeps what the server says besides.
//! Carries: I-15.

use bus::launch::authorize::Client;
use bus::secret::Secret;
use serde::{Deserialize, Serialize};

use super::{AuthorizeError, Flow, missing};
use crate::credential::oauth::{is_token, protocol_word};

/// How people know it at the server. They see it there when they give leave.
const NAME: &str = "secgpt";

/// The longest name of a client that is taken, bytes. Some servers write all they know of it into it.
const LONGEST_ID: usize = 4 << 10;

/// What is asked for: a client without a secret, since this program could keep none from its own machine's user.
#[derive(Serialize)]
struct Asked<'a> {
    client_name: &'a str,
    grant_types: [&'a str; 2],
    token_endpoint_auth_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uris: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_types: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

#[derive(Deserialize)]
struct Raw {
    client_id: Option<String>,
    client_secret: Option<Secret>,
    error: Option<String>,
}

impl Flow<'_> {
    /// Has a client registered, if there is none yet. `back` is where a browser will come back to: a port of its own each
    /// time, and not every server takes another one than it was told. So a client is registered for each leave.
    pub(super) async fn known(&mut self, back: Option<&str>) -> Result<(), AuthorizeError> {
        if self.client.id.is_some() {
            return Ok(());
        }
        let server = &self.how.server;
        let url = server.registration_url.as_deref().ok_or_else(|| missing(self.name, "client_id"))?;
        let asked = serde_json::to_value(request(&self.scope(), back));
        let asked = asked.map_err(|error| AuthorizeError::Register(error.to_string()))?;
        let said = self.asking.json(url, &asked).await;
        let (status, body) = said.map_err(|failure| AuthorizeError::Register(failure.detail))?;
        self.client = read(status, &body).map_err(AuthorizeError::Register)?;
        Ok(())
    }
}

fn request<'a>(scope: &'a str, back: Option<&'a str>) -> Asked<'a> {
    let grant = match back {
        Some(_) => "authorization_code",
        None => "urn:ietf:params:oauth:grant-type:device_code",
    };
    Asked {
        client_name: NAME,
        grant_types: [grant, "refresh_token"],
        token_endpoint_auth_method: "none",
        redirect_uris: back.map(|back| [back]),
        response_types: back.map(|_| ["code"]),
        scope: Some(scope).filter(|scope| !scope.is_empty()),
    }
}

fn read(status: u16, body: &[u8]) -> Result<Client, String> {
    let garbage = || format!("its server answers {status}, and no client in the form of RFC 7591");
    let raw: Raw = serde_json::from_slice(body).map_err(|_| garbage())?;
    if let Some(word) = raw.error {
        return Err(format!("its server answers {}", protocol_word(&word, status)));
    }
    let plain = |id: &String| {
        !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let id = raw.client_id.filter(plain).filter(|_| matches!(status, 200 | 201)).ok_or_else(garbage)?;
    let secret = raw.client_secret.filter(|secret| !secret.expose().is_empty());
    if secret.as_ref().is_some_and(|secret| !is_token(secret)) {
        return Err(garbage());
    }
    Ok(Client { id: Some(id), secret })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_taken_as_the_server_names_it_and_nothing_else_of_its_words() {
        let client =
            read(201, br#"{"client_id":"c-1","client_secret":"","client_name":"\u001b[2J"}"#).unwrap();
        assert_eq!((client.id.as_deref(), client.secret), (Some("c-1"), None));
        let client = read(200, br#"{"client_id":"c-1","client_secret":"s"}"#).unwrap();
        assert_eq!(client.secret, Some(Secret::new("s".to_owned())));
        for (status, body, why) in [
            (201, "", "no client in the form"),
            (201, "[]", "no client in the form"),
            (201, "{}", "no client in the form"),
            (201, r#"{"client_id":""}"#, "no client in the form"),
            (201, r#"{"client_id":"a b"}"#, "no client in the form"),
            (201, "{\"client_id\":\"a\\nb\"}", "no client in the form"),
            (201, r#"{"client_id":"a","client_secret":"b c"}"#, "no client in the form"),
            (403, r#"{"client_id":"a"}"#, "403"),
            (400, r#"{"error":"invalid_redirect_uri"}"#, "invalid_redirect_uri"),
            (400, r#"{"error":"Call 555-1234"}"#, "400, and no known word"),
        ] {
            let said = read(status, body.as_bytes()).unwrap_err();
            assert!(said.contains(why) && !said.contains("555"), "{body}: {said}");
        }
        let long = format!(r#"{{"client_id":"{}"}}"#, "a".repeat(LONGEST_ID + 1));
        assert!(read(201, long.as_bytes()).is_err());
    }
}
