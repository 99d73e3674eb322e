//! A person gives an app leave to use an account.
//!
//! Answers: how does a token come from an authorization server into the sealed file?
//! Never: prints a token, a code or a secret; speaks to another host than those that the manifest names for it; keeps
//! anything of a flow that did not come to its good end.
//! Carries: I-13, I-15. OAuth 2.0 for programs on people's machines: RFC 8252 with PKCE (RFC 7636), RFC 8628,
//! RFC 7591 where nobody has registered a client, and RFC 8707 for whom the token is.

mod device;
mod listener;
mod redirect;
mod register;

use std::net::SocketAddr;
use std::time::Duration;

use bus::id::AppId;
use bus::launch::authorize::{Client, Said};
use bus::message::egress::WebFailure;
use bus::secret::Secret;
use manifest::{CredentialKind, CredentialUse};

use crate::credential::Oauth2;
use crate::credential::oauth::{Asking, Given};
use crate::fetch::Web;

/// How a person gives leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// In a browser on this machine, which comes back to a port of it.
    Redirect,
    /// In any browser, with a code to type.
    Device,
}

/// How long things take. A value, so that a test does not wait for minutes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What the server means by a second.
    pub second: Duration,
    /// For a person to come back from the browser.
    pub person: Duration,
}

/// In force. Who has not signed in after ten minutes has gone away.
pub const STANDARD: Pace = Pace { second: Duration::from_secs(1), person: Duration::from_secs(600) };

/// Why there is no leave.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The manifest has none of this name.
    #[error("the manifest of {0} has no credential {1}")]
    Unknown(AppId, String),
    /// It is a key, which nobody gives out this way.
    #[error("the credential {0} is an API key, and not had from a server")]
    ApiKey(String),
    /// The manifest does not say where.
    #[error("the manifest does not say where the credential {name} is had: {missing} is missing")]
    Missing {
        /// The credential.
        name: String,
        /// The key of the manifest.
        missing: &'static str,
    },
    /// A person, or the server in their name, said no.
    #[error("it was refused at the authorization server")]
    Denied,
    /// Nobody came back.
    #[error("nobody gave leave in time")]
    TooLate,
    /// What came back was not asked for.
    #[error("what came back from the browser was not the answer to this question (its state is another)")]
    State,
    /// What came back is no answer.
    #[error("what came back from the browser is no answer: {0}")]
    Callback(&'static str),
    /// The server's word for what went wrong.
    #[error("the authorization server answers {0}")]
    Refused(String),
    /// Nobody has registered a client, and the server takes none from us.
    #[error("no client could be registered at the authorization server: {0}")]
    Register(String),
    /// The server could not be asked, or answers with what is of no use.
    #[error("{0}")]
    Web(String),
    /// No port of this machine.
    #[error("no port of this machine can be listened on")]
    Listen(#[source] std::io::Error),
}

impl AuthorizeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unknown(app, _) => {
                return Some(format!("`secgpt apps show {app}` shows those that there are"));
            }
            Self::ApiKey(_) => "give the key itself: leave out --device",
            Self::Missing { missing: "client_id", .. } => {
                "register a client with the service, and name it with --client-id"
            }
            Self::Register(_) => "register one with the service by hand, and name it with --client-id",
            Self::Missing { .. } => "add it to the credential in the app's app.toml",
            Self::TooLate | Self::State | Self::Callback(_) | Self::Denied => {
                "to try again, run the command again"
            }
            Self::Refused(_) | Self::Web(_) | Self::Listen(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<WebFailure> for AuthorizeError {
    fn from(failure: WebFailure) -> Self {
        Self::Web(failure.detail)
    }
}

/// Where and as whom to ask: the manifest's words, with a person's where it has none.
struct Flow<'a> {
    asking: Asking<'a>,
    name: &'a str,
    how: &'a CredentialUse,
    token_url: &'a str,
    client: Client,
    pace: Pace,
}

/// Asks for leave, and returns with the token. `tell` hears what a person has to do.
///
/// # Errors
/// Says what is missing or went wrong. Then nothing is to be kept.
pub async fn authorize(
    web: &Web,
    app: &AppId,
    local: &[SocketAddr],
    (name, used): (&str, &CredentialUse),
    client: Client,
    (how, pace): (How, Pace),
    tell: &mut dyn FnMut(Said),
) -> Result<Oauth2, AuthorizeError> {
    if used.kind != CredentialKind::Oauth2 {
        return Err(AuthorizeError::ApiKey(name.to_owned()));
    }
    let token_url = used.server.token_url.as_deref().ok_or_else(|| missing(name, "token_url"))?;
    let id = client.id.or_else(|| used.server.client_id.clone());
    // A secret whose client nobody names is no reason to make another client.
    if id.is_none() && (used.server.registration_url.is_none() || client.secret.is_some()) {
        return Err(missing(name, "client_id"));
    }
    let mut flow = Flow {
        asking: Asking { web, app, local },
        name,
        how: used,
        token_url,
        client: Client { id, secret: client.secret },
        pace,
    };
    // Read before a person is sent anywhere: a code is of no use if it cannot be exchanged.
    flow.asking.endpoint(token_url)?;
    let given = match how {
        How::Redirect => flow.redirect(tell).await?,
        How::Device => flow.device(tell).await?,
    };
    Ok(Oauth2 {
        access: Some(given.access),
        expires: given.expires,
        refresh: given.refresh,
        token_url: token_url.to_owned(),
        client_id: flow.client.id.unwrap_or_default(),
        client_secret: flow.client.secret,
        resource: used.server.resource.clone(),
    })
}

impl Flow<'_> {
    fn client_id(&self) -> &str {
        self.client.id.as_deref().unwrap_or_default()
    }

    /// For which service the token is to be good, in each question that the server has to know it for.
    fn resource(&self) -> Option<(&str, &str)> {
        self.how.server.resource.as_deref().map(|resource| ("resource", resource))
    }

    fn scope(&self) -> String {
        self.how.server.scopes.join(" ")
    }

    /// What every question for a token holds besides.
    fn with_client<'b>(&'b self, mut form: Vec<(&'b str, &'b str)>) -> Vec<(&'b str, &'b str)> {
        form.push(("client_id", self.client_id()));
        form.extend(self.client.secret.as_ref().map(|secret| ("client_secret", Secret::expose(secret))));
        form.extend(self.resource());
        form
    }
}

fn missing(name: &str, missing: &'static str) -> AuthorizeError {
    AuthorizeError::Missing { name: name.to_owned(), missing }
}

/// A refusal in the protocol's words.
fn refused(word: String) -> AuthorizeError {
    match word.as_str() {
        "access_denied" => AuthorizeError::Denied,
        "expired_token" => AuthorizeError::TooLate,
        _ => AuthorizeError::Refused(word),
    }
}

/// What is said when a token is kept.
#[must_use]
pub fn stored(token: &Oauth2) -> Said {
    Said::Stored { expires: token.expires, renewable: token.refresh.is_some() }
}

type Got = Result<Given, AuthorizeError>;
