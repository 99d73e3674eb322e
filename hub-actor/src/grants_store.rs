//! Where grants are kept for good: a key-value bucket of the bus.
//!
//! Answers: which grants were there when the hub stopped?
//! Never: keeps one that is not for always; waits longer than its deadline.
//! Carries: I-05.

use std::time::Duration;

use async_nats::jetstream::{self, kv, stream::StorageType};
use bus::acl::GRANTS_BUCKET;
use bus::id::UserId;
use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::Serialize;

use crate::permission::grant::{Grant, GrantId, Scope};

/// The bucket. Cheap to clone.
#[derive(Clone)]
pub struct GrantsStore {
    bucket: kv::Store,
}

/// What did not work.
#[derive(Debug, thiserror::Error)]
#[error("grants: cannot {doing}: {kind}")]
pub struct GrantsError {
    /// What was being done.
    pub doing: &'static str,
    /// For programs.
    pub kind: GrantsErrorKind,
    /// Why.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantsErrorKind {
    /// The bus did not answer in time.
    #[error("the bus does not answer (is JetStream on?)")]
    Timeout,
    /// The bus refused it.
    #[error("the bus refused it")]
    Refused,
    /// What is stored is no grant.
    #[error("what is stored is not understood")]
    Damaged,
}

/// How long any one thing may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// A grant is a few hundred bytes; its labels and receivers may be many.
const MAX_GRANT: i32 = 64 << 10;

impl GrantsStore {
    /// Opens the bucket, or makes it.
    ///
    /// # Errors
    /// If the bus does not let us.
    pub async fn open(client: &async_nats::Client) -> Result<Self, GrantsError> {
        let jetstream = jetstream::new(client.clone());
        let config = kv::Config {
            bucket: GRANTS_BUCKET.to_owned(),
            description: "what users allowed for always".to_owned(),
            history: 1,
            storage: StorageType::File,
            max_value_size: MAX_GRANT,
            ..kv::Config::default()
        };
        let opened = async {
            match jetstream.get_key_value(GRANTS_BUCKET).await {
                Ok(bucket) => Ok(bucket),
                Err(_) => jetstream.create_key_value(config).await,
            }
        };
        Ok(Self { bucket: within("open the bucket", opened).await? })
    }

    /// All of them. One that cannot be read is an error, not a gap: the user believes it to be in force or revoked.
    ///
    /// # Errors
    /// If the bus does not answer or something stored is no grant.
    pub async fn load(&self) -> Result<Vec<Grant>, GrantsError> {
        let mut grants = Vec::new();
        // What has a key of another form is none: see `choosing/store.rs`.
        for key in self.keys().await?.into_iter().filter(|key| key.matches('.').count() == 1) {
            // Revoked since it was listed: then it is not one.
            let Some(value) = self.read(&key).await? else { continue };
            let grant: Grant = serde_json::from_slice(&value).map_err(|source| GrantsError {
                doing: "read one",
                kind: GrantsErrorKind::Damaged,
                source: Some(Box::new(source)),
            })?;
            grants.push(grant);
        }
        grants.sort_by_key(|grant| grant.created);
        Ok(grants)
    }

    /// Keeps one. Those that are not for always are not kept.
    ///
    /// # Errors
    /// If the bus does not take it. Then it is not in force either.
    pub async fn put(&self, grant: &Grant) -> Result<(), GrantsError> {
        if grant.scope != Scope::Always {
            return Ok(());
        }
        self.write(&key(&grant.user, &grant.id), grant).await
    }

    /// Forgets one.
    ///
    /// # Errors
    /// If the bus does not take it.
    pub async fn remove(&self, user: &UserId, id: &GrantId) -> Result<(), GrantsError> {
        self.forget(&key(user, id)).await
    }

    /// The keys of all that is in the bucket.
    pub(crate) async fn keys(&self) -> Result<Vec<String>, GrantsError> {
        let keys = within("list them", async {
            let keys = self.bucket.keys().await.map_err(boxed)?;
            keys.try_collect::<Vec<String>>().await.map_err(boxed)
        });
        keys.await
    }

    /// What is there under this key, if anything is.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Bytes>, GrantsError> {
        within("read one", self.bucket.get(key)).await
    }

    /// Keeps something under this key.
    pub(crate) async fn write(&self, key: &str, value: &impl Serialize) -> Result<(), GrantsError> {
        let value = serde_json::to_vec(value).map_err(|source| GrantsError {
            doing: "keep one",
            kind: GrantsErrorKind::Damaged,
            source: Some(Box::new(source)),
        })?;
        within("keep one", self.bucket.put(key, value.into())).await.map(|_| ())
    }

    /// Forgets what is under this key.
    pub(crate) async fn forget(&self, key: &str) -> Result<(), GrantsError> {
        within("forget one", self.bucket.purge(key)).await
    }
}

/// Neither name can hold a dot.
fn key(user: &UserId, id: &GrantId) -> String {
    format!("{user}.{id}")
}

fn boxed<E: std::error::Error + Send + Sync + 'static>(error: E) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(error)
}

async fn within<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, GrantsError> {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => {
            Err(GrantsError { doing, kind: GrantsErrorKind::Refused, source: Some(source.into()) })
        }
        Err(_) => Err(GrantsError { doing, kind: GrantsErrorKind::Timeout, source: None }),
    }
}
