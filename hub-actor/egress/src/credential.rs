//! The credentials that are added to apps' requests.
//!
//! Answers: which credential goes with this request of this app for this user?
//! Never: hands one to an app, a log, the audit or the bus; attaches one in the clear, or to a host it is not for.
//! Carries: I-15. Kept in one sealed file; whoever may change it runs as the user whose secrets they are.

pub(crate) mod oauth;
mod sealed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bus::id::{AppId, UserId};
use bus::launch::chain;
use bus::message::egress::{WebError, WebFailure};
use bus::secret::Secret;
use manifest::{CredentialKind, CredentialUse};
use reqwest::header::HeaderName;
use serde::{Deserialize, Serialize};

pub use sealed::{KeyError, SealError, Sealed};

use self::oauth::Asking;
use crate::allowed_host::within;
use crate::app_rules::AppRules;
use crate::fetch::{Attached, Web};
use crate::url_rule::{Permitted, Scheme, Target};

/// What belongs to whom: a user (or everybody on this installation), an app, and the name in its manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Whose; `None` for all users of this installation.
    pub user: Option<UserId>,
    /// Which app's requests carry it.
    pub app: AppId,
    /// As under `[credentials]` in the app's manifest.
    pub name: String,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// Sent as it is.
    ApiKey {
        /// The header's whole value.
        value: Secret,
    },
    /// Sent as `Bearer`, and renewed.
    Oauth2(Oauth2),
}

/// A token and what is needed to renew it (RFC 6749, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// The token.
    pub access: Option<Secret>,
    /// Until when it is good, seconds since 1970; `None` if the server did not say.
    #[serde(default)]
    pub expires: Option<u64>,
    /// For a new one.
    #[serde(default)]
    pub refresh: Option<Secret>,
    /// Where a new one is had; `https`, or `http` on this machine's loopback.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// With which word, if with one.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// For which service, if the server was told (RFC 8707); it is told again.
    #[serde(default)]
    pub resource: Option<String>,
}

/// The credentials, and the one way to use them.
pub struct Credentials {
    sealed: Sealed,
    /// One renewal at a time for each: two at once would make some servers revoke both.
    renewing: Mutex<BTreeMap<Owner, Arc<tokio::sync::Mutex<()>>>>,
}

/// Is the present token to be used, or is it known to be refused?
#[derive(Clone, Debug)]
pub enum Freshness {
    /// Renewed only if its time is over.
    Usual,
    /// The server refused this value: renewed unless another request has done it by now.
    Refused(Secret),
}

/// Renewed so long before its end that it does not end under way, seconds.
const MARGIN: u64 = 60;

impl Credentials {
    /// Opens the folder, with its own key or the one given.
    ///
    /// # Errors
    /// If there is no key, or another one than the file was sealed with.
    pub fn open(folder: &Path, key: Option<&Secret>) -> Result<Self, SealError> {
        Ok(Self { sealed: Sealed::open(folder, key)?, renewing: Mutex::default() })
    }

    /// The file behind them.
    #[must_use]
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The apps of which one is kept, whoever's. None if they cannot be read; what wants one then says why.
    #[must_use]
    pub fn authorized(&self) -> Vec<AppId> {
        let held = self.sealed.read().unwrap_or_else(|error| {
            tracing::error!(%error, "the credentials cannot be read");
            Arc::default()
        });
        let apps: BTreeSet<&AppId> = held.keys().map(|owner| &owner.app).collect();
        apps.into_iter().cloned().collect()
    }

    /// What goes with this request. `None` if the manifest names nothing for this host, or the user gave nothing.
    ///
    /// # Errors
    /// If there is one that cannot be used.
    pub async fn attach(
        &self,
        web: &Web,
        app: &AppId,
        user: Option<&UserId>,
        rules: &AppRules,
        permitted: &Permitted,
        freshness: &Freshness,
    ) -> Result<Option<Attached>, WebFailure> {
        let used = rules.credentials.iter().find(|(_, how)| belongs(how, permitted));
        let Some((name, how)) = used else { return Ok(None) };
        let unusable = |detail: String| WebFailure::new(WebError::Credential, detail);
        let Some((owner, credential)) = self.find(app, user, name)? else { return Ok(None) };
        let header = HeaderName::from_bytes(how.header.as_bytes()).map_err(|_| {
            unusable(format!("the manifest sends {name} in {:?}, which is no header", how.header))
        })?;
        let (value, words) = match (credential, how.kind) {
            (Credential::ApiKey { value }, CredentialKind::ApiKey) => {
                let bare = value.expose().rsplit(' ').next().map(|word| Secret::new(word.to_owned()));
                (value.clone(), [Some(value), bare].into_iter().flatten().collect())
            }
            (Credential::Oauth2(token), CredentialKind::Oauth2) => {
                let server = how.server.token_url.as_ref();
                if server.is_some_and(|url| *url != token.token_url) {
                    let detail =
                        format!("the credential {name} is of another server than the manifest names");
                    return Err(unusable(format!("{detail}; run `secgpt apps authorize {app}`")));
                }
                let local = rules.rules.local();
                let asking = Asking { web, app, local: &local };
                let access = self.access(asking, &owner, token, freshness).await?;
                (Secret::new(format!("Bearer {}", access.expose())), vec![access])
            }
            _ => {
                let detail =
                    format!("the credential {name} is of another kind than the manifest of {app} says");
                return Err(unusable(format!("{detail}; run `secgpt apps authorize {app}`")));
            }
        };
        Ok(Some(Attached { name: name.clone(), header, value, words }))
    }

    /// The user's own before the one for everybody.
    fn find(
        &self,
        app: &AppId,
        user: Option<&UserId>,
        name: &str,
    ) -> Result<Option<(Owner, Credential)>, WebFailure> {
        let all = self.sealed.read().map_err(|error| {
            tracing::error!(error = %chain(&error), "the credentials cannot be read");
            WebFailure::new(WebError::Credential, "the gateway cannot read its credentials; see its log")
        })?;
        let owner =
            |user: Option<&UserId>| Owner { user: user.cloned(), app: app.clone(), name: name.to_owned() };
        let candidates = [user.map(|user| owner(Some(user))), Some(owner(None))];
        Ok(candidates.into_iter().flatten().find_map(|owner| {
            let credential = all.get(&owner)?.clone();
            Some((owner, credential))
        }))
    }

    /// A token that is good, renewed if need be.
    async fn access(
        &self,
        asking: Asking<'_>,
        owner: &Owner,
        token: Oauth2,
        freshness: &Freshness,
    ) -> Result<Secret, WebFailure> {
        if let Some(access) = usable(&token, freshness) {
            return Ok(access);
        }
        let lock = {
            let mut renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(renewing.entry(owner.clone()).or_default())
        };
        let _one = lock.lock().await;
        // Whoever held the lock before may have renewed it.
        let token = match self.find(&owner.app, owner.user.as_ref(), &owner.name)? {
            Some((_, Credential::Oauth2(token))) => token,
            _ => token,
        };
        if let Some(access) = usable(&token, freshness) {
            return Ok(access);
        }
        let app = &owner.app;
        let ended = |why: &str| {
            let name = &owner.name;
            WebFailure::new(
                WebError::Credential,
                format!("the credential {name} {why}; run `secgpt apps authorize {app}`"),
            )
        };
        if token.refresh.is_none() {
            return Err(ended("has expired and cannot be renewed"));
        }
        let renewed = oauth::renew(asking, &token).await.map_err(|error| match error {
            oauth::RenewError::Revoked => ended("was revoked or has expired"),
            oauth::RenewError::Failed(failure) => failure,
        })?;
        let access = renewed.access.clone();
        let saved = self.sealed.change(|all| {
            all.insert(owner.clone(), Credential::Oauth2(renewed));
        });
        if let Err(error) = saved {
            tracing::error!(error = %chain(&error), "a renewed credential was not saved");
        }
        access.ok_or_else(|| ended("could not be renewed"))
    }
}

/// Does this credential go to that host?
fn belongs(how: &CredentialUse, permitted: &Permitted) -> bool {
    // In the clear only to an address that the manifest names: that is a program on a network the user vouched for.
    match (&permitted.host, permitted.scheme) {
        (Target::Name(host), Scheme::Https) => how.hosts.iter().any(|domain| within(host, domain)),
        (Target::Name(_), Scheme::Http) => false,
        (Target::Address(address), _) => {
            how.hosts.contains(&SocketAddr::new(*address, permitted.port).to_string())
        }
    }
}

fn usable(token: &Oauth2, freshness: &Freshness) -> Option<Secret> {
    let access = token.access.clone()?;
    if let Freshness::Refused(refused) = freshness
        && refused.expose() == access.expose()
    {
        return None;
    }
    token.expires.is_none_or(|expires| now() + MARGIN < expires).then_some(access)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
