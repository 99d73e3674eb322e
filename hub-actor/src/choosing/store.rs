//! Where users' default apps are kept for good: beside the grants, in the hub's own bucket.
//!
//! Answers: which app did a user want for this from then on?
//! Never: mistakes a default for a grant, which has a key of another form.

use bus::id::{AppId, FunctionName, UserId};
use serde::{Deserialize, Serialize};

use crate::grants_store::{GrantsError, GrantsStore};

/// The middle of a key; a grant's key has none.
const KIND: &str = "default";

/// An app that does something from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which.
    pub app: AppId,
    /// When it was chosen, Unix seconds.
    pub created: u64,
}

/// The bucket. Cheap to clone.
#[derive(Clone)]
pub struct DefaultsStore {
    bucket: GrantsStore,
}

impl DefaultsStore {
    /// In the bucket of the grants.
    #[must_use]
    pub fn beside(grants: &GrantsStore) -> Self {
        Self { bucket: grants.clone() }
    }

    /// All of them. One that is not understood is left out and logged: then the user is asked again.
    ///
    /// # Errors
    /// If the bus does not answer.
    pub async fn load(&self) -> Result<Vec<(UserId, FunctionName, Kept)>, GrantsError> {
        let mut defaults = Vec::new();
        for key in self.bucket.keys().await? {
            let Some((user, name)) = read_key(&key) else { continue };
            let Some(value) = self.bucket.read(&key).await? else { continue };
            match serde_json::from_slice(&value) {
                Ok(default) => defaults.push((user, name, default)),
                Err(error) => tracing::warn!(%error, key, "a default is not understood"),
            }
        }
        Ok(defaults)
    }

    /// Keeps one, in place of an earlier one.
    ///
    /// # Errors
    /// If the bus does not take it.
    pub async fn put(&self, user: &UserId, name: &FunctionName, default: &Kept) -> Result<(), GrantsError> {
        self.bucket.write(&key(user, name), default).await
    }

    /// Forgets one.
    ///
    /// # Errors
    /// If the bus does not take it.
    pub async fn remove(&self, user: &UserId, name: &FunctionName) -> Result<(), GrantsError> {
        self.bucket.forget(&key(user, name)).await
    }
}

/// No name can hold a dot.
fn key(user: &UserId, name: &FunctionName) -> String {
    format!("{user}.{KIND}.{name}")
}

fn read_key(key: &str) -> Option<(UserId, FunctionName)> {
    match key.split('.').collect::<Vec<_>>().as_slice() {
        [user, KIND, name] => Some((UserId::parse(user).ok()?, FunctionName::parse(name).ok()?)),
        _ => None,
    }
}
