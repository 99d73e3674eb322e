//! The command line, for `secgpt apps authorize` and `secgpt apps add`: the sealed credentials, and one request.
//!
//! Answers: which credentials are there, and how does one come in?
//! Never: takes a secret as an argument or variable, which other processes can read; prints one.
//! Carries: I-15.

mod fetch;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bus::id::{AppId, UserId};
use bus::launch::authorize::{Client, Said};
use bus::launch::chain;
use bus::secret::Secret;
use clap::{Args, Subcommand};
use manifest::Manifest;

use crate::authorize::{self, AuthorizeError, How};
use crate::credential::{Credential, Owner, SealError, Sealed};
use crate::dial::system_resolver;
use crate::fetch::{Web, trust};
use crate::limit::STANDARD;

/// What can be done without a bus.
#[derive(Subcommand)]
pub enum Command {
    /// Credentials that the gateway adds to apps' requests.
    #[command(subcommand)]
    Credential(Change),
    /// Sends one request of an app, by its manifest. Standard input and output: JSON
    Fetch(fetch::Once),
}

/// What can be done with credentials.
#[derive(Subcommand)]
pub enum Change {
    /// Stores one. Standard input: {"api_key":{"value":"…"}} or {"oauth2":{"access":…,"refresh":…,"token_url":…,"client_id":…}}
    Set(Which),
    /// Asks an authorization server for one, with the leave of a person. Standard input: {"id":…,"secret":…} of the client
    Authorize(Leave),
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

/// How leave is asked for.
#[derive(Args)]
pub struct Leave {
    #[command(flatten)]
    which: Which,
    /// The folders of the apps, whose manifests name the servers.
    #[arg(long, required = true)]
    apps: Vec<PathBuf>,
    /// A certificate authority to trust besides the system's.
    #[arg(long)]
    tls_ca: Option<PathBuf>,
    /// With a code to be typed on any device, rather than in a browser of this machine.
    #[arg(long)]
    device: bool,
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
    let done = match command {
        Command::Credential(change) => act(change),
        Command::Fetch(once) => once.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn act(change: Change) -> Result<(), String> {
    let sealed = |error: SealError| chain(&error);
    match change {
        Change::Set(which) => {
            let credential: Credential = input(LARGEST)?;
            if let Credential::ApiKey { value } = &credential
                && !value.expose().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
            {
                return Err("the key holds a character that no header takes".into());
            }
            let (store, owner) = which.open()?;
            store.change(|all| _ = all.insert(owner, credential)).map_err(sealed)
        }
        Change::Authorize(leave) => leave.ask(),
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
            std::io::stdout().write_all(lines.as_bytes()).map_err(|error| error.to_string())
        }
    }
}

/// What stands on standard input, of so many bytes at most.
fn input<T: serde::de::DeserializeOwned>(largest: u64) -> Result<T, String> {
    let mut text = String::new();
    std::io::stdin()
        .take(largest)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input cannot be read: {error}"))?;
    // The parser's own words may quote the secret.
    serde_json::from_str(&text).map_err(|error| {
        format!("standard input is not as it should be: line {}, column {}", error.line(), error.column())
    })
}

/// One line on standard output. Whoever reads it may have gone away; then the rest is of no use either.
fn say(said: &impl serde::Serialize) -> Result<(), String> {
    let line = serde_json::to_string(said).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

impl Leave {
    fn ask(self) -> Result<(), String> {
        let client: Client = input(LARGEST)?;
        let app = self.which.app.clone();
        let manifest = installed(&self.apps, &app)?;
        let (store, owner) = self.which.open()?;
        let tls = trust(self.tls_ca.as_deref()).map_err(|error| error.to_string())?;
        let web = Web::new(system_resolver(), tls, STANDARD);
        let how = if self.device { How::Device } else { How::Redirect };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime: {error}"))?;
        let mut gone = None;
        let asked = match manifest.credentials.get_key_value(&owner.name) {
            None => Err(AuthorizeError::Unknown(app, owner.name.clone())),
            Some((name, used)) => runtime.block_on(authorize::authorize(
                &web,
                &app,
                &manifest.network.local,
                (name, used),
                client,
                (how, authorize::STANDARD),
                &mut |said| gone = gone.take().or(say(&said).err()),
            )),
        };
        if let Some(gone) = gone {
            return Err(gone);
        }
        let token = match asked {
            Ok(token) => token,
            Err(error) => {
                say(&Said::Failed { detail: chain(&error), hint: error.hint() })?;
                return Err(chain(&error));
            }
        };
        let stored = authorize::stored(&token);
        store
            .change(|all| _ = all.insert(owner, Credential::Oauth2(token)))
            .map_err(|error| chain(&error))?;
        say(&stored)
    }
}

/// The manifest of an installed app.
fn installed(dirs: &[PathBuf], app: &AppId) -> Result<Manifest, String> {
    let folder =
        dirs.iter().map(|dir| dir.join(app.as_str())).find(|folder| folder.join("app.toml").exists());
    let folder = folder.ok_or_else(|| format!("there is no app {app}"))?;
    Manifest::load(&folder, &manifest::limits::DEFAULT).map_err(|error| error.to_string())
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
