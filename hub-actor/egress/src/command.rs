//! The command line over the sealed credentials, for `secgpt apps authorize` and for a person.
//!
//! Answers: which credentials are there, and how does one come in?
//! Never: takes a secret as an argument or variable, which other processes can read; prints one.
//! Carries: I-15.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use bus::id::{AppId, UserId};
use bus::secret::Secret;
use clap::{Args, Subcommand};

pub use crate::credential::chain;
use crate::credential::{Credential, Owner, SealError, Sealed};

/// What can be done without a bus.
#[derive(Subcommand)]
pub enum Command {
    /// Credentials that the gateway adds to apps' requests.
    #[command(subcommand)]
    Credential(Change),
}

/// What can be done with credentials.
#[derive(Subcommand)]
pub enum Change {
    /// Stores one. Standard input: {"api_key":{"value":"…"}} or {"oauth2":{"access":…,"refresh":…,"token_url":…,"client_id":…}}
    Set(Which),
    /// Forgets one.
    Remove(Which),
    /// Lists whose there are, as JSON lines, without the credentials.
    List(Where),
}

/// Which credential.
#[derive(Args)]
pub struct Which {
    #[command(flatten)]
    place: Where,
    /// The app whose requests carry it.
    #[arg(long)]
    app: AppId,
    /// Its name under `[credentials]` in the app's manifest.
    #[arg(long)]
    name: String,
    /// The user whose it is; without it, everybody's on this installation.
    #[arg(long)]
    user: Option<UserId>,
}

/// Where they are.
#[derive(Args)]
pub struct Where {
    /// The folder, as in the gateway's settings.
    #[arg(long)]
    folder: PathBuf,
    /// A file with the key, 64 hexadecimal digits; without it, the key in the folder.
    #[arg(long)]
    key_file: Option<PathBuf>,
}

/// The largest credential that is read, bytes.
const LARGEST: u64 = 64 << 10;

/// Runs it, and says on standard error what went wrong.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let Command::Credential(change) = command;
    match act(change) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn act(change: Change) -> Result<(), String> {
    let sealed = |error: SealError| chain(&error);
    match change {
        Change::Set(which) => {
            let mut text = String::new();
            std::io::stdin()
                .take(LARGEST)
                .read_to_string(&mut text)
                .map_err(|error| format!("standard input cannot be read: {error}"))?;
            // The parser's own words may quote the secret.
            let credential: Credential = serde_json::from_str(&text).map_err(|error| {
                format!(
                    "standard input is not a credential: line {}, column {}",
                    error.line(),
                    error.column()
                )
            })?;
            let (store, owner) = which.open()?;
            store.change(|all| _ = all.insert(owner, credential)).map_err(sealed)
        }
        Change::Remove(which) => {
            let (store, owner) = which.open()?;
            match store.change(|all| all.remove(&owner)).map_err(sealed)? {
                Some(_) => Ok(()),
                None => Err(format!("there is no credential {} for {}", owner.name, owner.app)),
            }
        }
        Change::List(place) => {
            let mut lines = String::new();
            for (owner, credential) in place.open()?.read().map_err(sealed)?.iter() {
                let kind = match credential {
                    Credential::ApiKey { .. } => "api_key",
                    Credential::Oauth2(_) => "oauth2",
                };
                let line = serde_json::json!({ "user": owner.user, "app": owner.app, "name": owner.name, "kind": kind });
                lines.push_str(&format!("{line}\n"));
            }
            std::io::Write::write_all(&mut std::io::stdout(), lines.as_bytes())
                .map_err(|error| error.to_string())
        }
    }
}

impl Where {
    fn open(&self) -> Result<Sealed, String> {
        let key = match &self.key_file {
            None => None,
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Some(Secret::new(text.trim().to_owned()))
            }
        };
        Sealed::open(&self.folder, key.as_ref()).map_err(|error| chain(&error))
    }
}

impl Which {
    fn open(self) -> Result<(Sealed, Owner), String> {
        Ok((self.place.open()?, Owner { user: self.user, app: self.app, name: self.name }))
    }
}
