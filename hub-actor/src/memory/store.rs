//! Where conversations are kept: Redis.
//!
//! Answers: what is stored under whose name?
//! Never: waits longer than its deadline; builds a key but by [`super::key`]; stores a query marked private (its
//! callers do not come here with one).
//! Carries: I-14.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::id::UserId;
use bus::secret::Secret;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError};
use serde_json::{Value, json};

use super::key::{Owner, Part, key, owners, read_owner};
use super::text::{Conversation, Said, Summary};

/// A connection that comes back by itself. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    connection: ConnectionManager,
    ttl: Duration,
}

/// What did not work, and what kind of fault it is.
#[derive(Debug, thiserror::Error)]
#[error("conversation memory: cannot {doing}: {kind}")]
pub struct StoreError {
    /// What was being done.
    pub doing: &'static str,
    /// For programs.
    pub kind: StoreErrorKind,
    /// Why.
    #[source]
    pub source: Option<RedisError>,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreErrorKind {
    /// The URL is not one.
    #[error("its address is not a redis:// or unix:// URL")]
    Address,
    /// The server is not there, or was not there in time. The next attempt connects anew.
    #[error("the Redis server does not answer")]
    Unreachable,
    /// The server answered, and not as it should.
    #[error("the Redis server refused it")]
    Refused,
}

/// How long any one thing may take. Memory is a help, not a need: a query must not hang on it.
const DEADLINE: Duration = Duration::from_secs(2);

/// Turns kept of one conversation. The summary holds what went before.
const MAX_TURNS: isize = 200;

/// Bytes kept of one turn.
const MAX_TURN: usize = 16 << 10;

impl Store {
    /// Prepares the connection; it is made with the first use, and made again after it was lost. `ttl` counts from
    /// the last use.
    ///
    /// # Errors
    /// If the address is malformed.
    pub fn open(url: &Secret, ttl: Duration) -> Result<Self, StoreError> {
        let wrong =
            |source| StoreError { doing: "open it", kind: StoreErrorKind::Address, source: Some(source) };
        let client = Client::open(url.expose()).map_err(wrong)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(DEADLINE))
            .set_response_timeout(Some(DEADLINE))
            .set_number_of_retries(2)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(200));
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(wrong)?;
        Ok(Self { connection, ttl: ttl.max(Duration::from_secs(1)) })
    }

    /// All that is remembered of a conversation; nothing if there is none. Its time begins anew.
    ///
    /// # Errors
    /// If the server does not answer or what is stored cannot be read.
    pub async fn conversation(&self, user: &UserId, owner: &Owner) -> Result<Conversation, StoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic()
            .lrange(key(user, owner, Part::History), 0, -1)
            .hgetall(key(user, owner, Part::Summary))
            .hgetall(key(user, owner, Part::Entities));
        self.refresh(&mut pipe, user, owner);
        let (turns, summary, entities): (Vec<String>, BTreeMap<String, String>, BTreeMap<String, String>) =
            self.run("read it", &pipe).await?;
        // What this program did not write itself is left out rather than guessed at.
        let turns: Vec<Said> = turns.iter().filter_map(|turn| serde_json::from_str(turn).ok()).collect();
        let number =
            |field: &str| summary.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        Ok(Conversation {
            forgotten: number("turns").saturating_sub(turns.len() as u64),
            turns,
            summary: Summary {
                text: summary.get("text").cloned().unwrap_or_default(),
                covers: number("covers"),
            },
            entities,
            learned: number("learned"),
        })
    }

    /// Adds turns at the end.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn append(&self, user: &UserId, owner: &Owner, turns: &[Said]) -> Result<(), StoreError> {
        if turns.is_empty() {
            return Ok(());
        }
        let bounded = |said: &Said| {
            let text: String = said.text.chars().take(MAX_TURN).collect();
            serde_json::to_string(&Said { who: said.who, text }).unwrap_or_default()
        };
        let lines: Vec<String> = turns.iter().map(bounded).collect();
        let history = key(user, owner, Part::History);
        let mut pipe = redis::pipe();
        pipe.atomic()
            .rpush(&history, lines)
            .ignore()
            .ltrim(&history, MAX_TURNS.saturating_neg(), -1)
            .ignore()
            .hincr(key(user, owner, Part::Summary), "turns", turns.len())
            .ignore();
        self.refresh(&mut pipe, user, owner);
        self.run("add to it", &pipe).await
    }

    /// Replaces the summary, unless there is one that covers more.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn summarised(
        &self,
        user: &UserId,
        owner: &Owner,
        summary: &Summary,
    ) -> Result<(), StoreError> {
        let known = self.conversation(user, owner).await?;
        if summary.covers <= known.summary.covers {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        let fields = [("text", summary.text.clone()), ("covers", summary.covers.to_string())];
        pipe.atomic().hset_multiple(key(user, owner, Part::Summary), &fields).ignore();
        self.refresh(&mut pipe, user, owner);
        self.run("keep its summary", &pipe).await
    }

    /// Adds to the entities and replaces those of the same name. `covers` is how many turns, from the very first, they
    /// were taken from.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn learned(
        &self,
        user: &UserId,
        owner: &Owner,
        entities: &BTreeMap<String, String>,
        covers: u64,
    ) -> Result<(), StoreError> {
        let fields: Vec<(&String, &String)> = entities.iter().collect();
        let mut pipe = redis::pipe();
        pipe.atomic().hset(key(user, owner, Part::Summary), "learned", covers.to_string()).ignore();
        if !fields.is_empty() {
            pipe.hset_multiple(key(user, owner, Part::Entities), &fields).ignore();
        }
        self.refresh(&mut pipe, user, owner);
        self.run("keep its entities", &pipe).await
    }

    /// What is remembered, of one owner or all, for the user to see.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn show(&self, user: &UserId, owner: Option<&Owner>) -> Result<Value, StoreError> {
        let mut shown = Vec::new();
        for owner in self.owners(user, owner).await? {
            let memory = self.conversation(user, &owner).await?;
            if memory != Conversation::default() {
                shown.push(json!({
                    "of": owner.to_string(),
                    "turns": memory.turns,
                    "summary": memory.summary.text,
                    "entities": memory.entities,
                }));
            }
        }
        Ok(Value::Array(shown))
    }

    /// Forgets it, of one owner or all. Returns how many memories there were.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn forget(&self, user: &UserId, owner: Option<&Owner>) -> Result<u64, StoreError> {
        let mut forgotten = 0_u64;
        for owner in self.owners(user, owner).await? {
            let keys: Vec<String> = Part::ALL.iter().map(|part| key(user, &owner, *part)).collect();
            let mut pipe = redis::pipe();
            pipe.atomic().del(keys).srem(owners(user), owner.to_string()).ignore();
            let (removed,): (u64,) = self.run("forget it", &pipe).await?;
            forgotten = forgotten.saturating_add(u64::from(0 < removed));
        }
        Ok(forgotten)
    }

    /// Is the server there?
    ///
    /// # Errors
    /// If it is not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("PING").ignore();
        self.run("reach it", &pipe).await
    }

    async fn owners(&self, user: &UserId, owner: Option<&Owner>) -> Result<Vec<Owner>, StoreError> {
        if let Some(owner) = owner {
            return Ok(vec![owner.clone()]);
        }
        let mut connection = self.connection.clone();
        let names = connection.smembers(owners(user));
        let names: Vec<String> = within("list it", names).await?;
        let mut all: Vec<Owner> = names.iter().filter_map(|name| read_owner(name)).collect();
        all.sort();
        Ok(all)
    }

    /// Everything of this owner's lives on for the time set, and so does the list of owners.
    fn refresh(&self, pipe: &mut redis::Pipeline, user: &UserId, owner: &Owner) {
        let seconds = i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX);
        for part in Part::ALL {
            pipe.expire(key(user, owner, part), seconds).ignore();
        }
        pipe.sadd(owners(user), owner.to_string()).ignore();
        pipe.expire(owners(user), seconds).ignore();
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        doing: &'static str,
        pipe: &redis::Pipeline,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        within(doing, pipe.query_async(&mut connection)).await
    }
}

/// Waits no longer than the deadline, whatever the client library does about connecting again.
async fn within<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => {
            let lost = source.is_io_error() || source.is_timeout() || source.is_connection_dropped();
            let kind = if lost { StoreErrorKind::Unreachable } else { StoreErrorKind::Refused };
            Err(StoreError { doing, kind, source: Some(source) })
        }
        Err(_) => Err(StoreError { doing, kind: StoreErrorKind::Unreachable, source: None }),
    }
}
