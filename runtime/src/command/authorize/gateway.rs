//! The egress-gateway's program, run for one change of its credentials, or for one request of an app.
//!
//! Answers: what does it say to this?
//! Never: gives it a secret by argument or variable.
//! Carries: I-12, I-15.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use bus::id::{AppId, UserId};
use bus::launch::authorize::{Client, Said};
use bus::message::egress::{FetchReply, FetchRequest, WebError, WebFailure};
use futures_util::stream::unfold;
use serde_json::{Value, json};
use spoke::remote::{Fetch, Fetched};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::config::Config;
use crate::environment;
use crate::error::Error;
use crate::state::State;
use crate::supervisor::program;

/// The program and where it finds things.
pub struct Gateway {
    program: PathBuf,
    folder: PathBuf,
    apps: Vec<PathBuf>,
    tls_ca: Option<PathBuf>,
    key_file: Option<PathBuf>,
    suffix_list: Option<PathBuf>,
}

/// Which credential.
pub struct Whose {
    /// Of which app.
    pub app: AppId,
    /// Its name in the manifest.
    pub name: String,
    /// Of whom; none for everyone.
    pub user: Option<UserId>,
}

impl Whose {
    /// For people.
    pub fn who(&self) -> String {
        self.user.as_ref().map_or_else(|| "everyone".to_owned(), ToString::to_string)
    }

    /// For programs.
    pub fn shown(&self) -> Value {
        json!({"app": self.app, "credential": self.name, "user": self.user})
    }
}

impl Gateway {
    /// Finds it.
    ///
    /// # Errors
    /// If the program or the state folder is missing.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            program: program("egress-gateway")?,
            folder: State::open(&config.state_dir)?.folder("credentials")?,
            apps: config.apps.dirs.clone(),
            tls_ca: config.egress.tls_ca.clone(),
            key_file: config.egress.key_file.clone(),
            suffix_list: config.egress.suffix_list.clone(),
        })
    }

    /// All that there are, without the secrets.
    ///
    /// # Errors
    /// In its own words.
    pub async fn list(&self) -> Result<Vec<Value>, Error> {
        // Where nothing was ever kept there is nobody to ask, at each start of a system.
        if !self.folder.join("credentials.sealed").exists() {
            return Ok(Vec::new());
        }
        let said = self.once(self.command("list"), None).await?;
        said.lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::failed("the egress-gateway's list is not understood").because(error))
    }

    /// Forgets one.
    ///
    /// # Errors
    /// In its own words.
    pub async fn remove(&self, whose: &Whose) -> Result<(), Error> {
        self.once(self.of("remove", whose), None).await.map(drop)
    }

    /// Keeps one.
    ///
    /// # Errors
    /// In its own words.
    pub async fn set(&self, whose: &Whose, credential: &Value) -> Result<(), Error> {
        self.once(self.of("set", whose), Some(credential.to_string())).await.map(drop)
    }

    /// Asks a service for one. `tell` hears what a person has to do; what is said last comes back.
    ///
    /// # Errors
    /// If it cannot be run, or ends without a last word.
    pub async fn ask(
        &self,
        whose: &Whose,
        client: &Client,
        device: bool,
        mut tell: impl FnMut(&Said) -> Result<(), Error>,
    ) -> Result<Said, Error> {
        let mut command = self.of("authorize", whose);
        for folder in &self.apps {
            command.arg("--apps").arg(folder);
        }
        if let Some(file) = &self.tls_ca {
            command.arg("--tls-ca").arg(file);
        }
        if device {
            command.arg("--device");
        }
        let input = serde_json::to_string(client)
            .map_err(|error| Error::failed("the client cannot be written as JSON").because(error))?;
        let mut child = start(&mut command, Some(input)).await?;
        let broke = |error| Error::failed("the egress-gateway cannot be heard").because(error);
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await.map_err(broke)? {
                let said: Said = serde_json::from_str(&line).map_err(|error| {
                    Error::failed("the egress-gateway says what is not understood").because(error)
                })?;
                tell_or_last(&said, &mut tell)?;
                if matches!(said, Said::Stored { .. } | Said::Failed { .. }) {
                    // It has said its last word and ends; what it does after that is of no interest.
                    let _ = child.wait().await;
                    return Ok(said);
                }
            }
        }
        Err(own_words(&mut child).await)
    }

    /// The way to the web of the app whose manifest stands in this folder; with the credentials of this user, if one is
    /// named. Each request is a process of its own, which ends with whoever reads its answer.
    #[must_use]
    pub fn way(&self, app: &Path, user: Option<&UserId>) -> Fetch {
        let mut arguments = vec!["fetch".into(), "--app".into(), app.as_os_str().to_owned()];
        let mut more = |name: &str, value: Option<&Path>| {
            arguments.extend(value.into_iter().flat_map(|value| [name.into(), value.as_os_str().to_owned()]));
        };
        more("--tls-ca", self.tls_ca.as_deref());
        more("--suffix-list", self.suffix_list.as_deref());
        if let Some(user) = user {
            more("--folder", Some(&self.folder));
            more("--key-file", self.key_file.as_deref());
            more("--user", Some(Path::new(user.as_str())));
        }
        let program = self.program.clone();
        Arc::new(move |request: FetchRequest| {
            let mut command = Command::new(&program);
            command.args(&arguments);
            Box::pin(carry(command, request))
        })
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["credential", what, "--folder"]).arg(&self.folder);
        if let Some(file) = &self.key_file {
            command.arg("--key-file").arg(file);
        }
        command
    }

    fn of(&self, what: &str, whose: &Whose) -> Command {
        let mut command = self.command(what);
        // With a `=`, so that a name that begins with a dash is no option.
        command.arg(format!("--app={}", whose.app)).arg(format!("--name={}", whose.name));
        if let Some(user) = &whose.user {
            command.arg(format!("--user={user}"));
        }
        command
    }

    async fn once(&self, mut command: Command, input: Option<String>) -> Result<String, Error> {
        let mut child = start(&mut command, input).await?;
        let mut said = String::new();
        if let Some(stdout) = &mut child.stdout {
            let broke = |error| Error::failed("the egress-gateway cannot be heard").because(error);
            stdout.read_to_string(&mut said).await.map_err(broke)?;
        }
        match child.wait().await {
            Ok(status) if status.success() => Ok(said),
            _ => Err(own_words(&mut child).await),
        }
    }
}

/// One request by the gateway's program.
async fn carry(mut command: Command, request: FetchRequest) -> Result<Fetched, WebFailure> {
    let broken = |error: Error| WebFailure::new(WebError::Stopped, error.to_string());
    let input = serde_json::to_string(&request).map_err(|error| lost(&error))?;
    let mut child = start(&mut command, Some(input)).await.map_err(broken)?;
    let Some(stdout) = child.stdout.take() else { return Err(broken(own_words(&mut child).await)) };
    let mut lines = BufReader::new(stdout).lines();
    match next(&mut lines).await? {
        Some(FetchReply::Head { status, headers, .. }) => {
            let body = unfold(Some((child, lines)), |held| async {
                // Held to the end: who drops this ends the process.
                let (child, mut lines) = held?;
                match next(&mut lines).await {
                    Ok(Some(FetchReply::Chunk { bytes, .. })) => Some((Ok(bytes), Some((child, lines)))),
                    Ok(Some(FetchReply::End { .. })) => None,
                    Ok(Some(FetchReply::Failed(failure))) | Err(failure) => Some((Err(failure), None)),
                    Ok(_) => Some((Err(WebFailure::new(WebError::Cut, "the answer broke off")), None)),
                }
            });
            Ok(Fetched { status, headers, body: Box::pin(body) })
        }
        Some(FetchReply::Failed(failure)) => Err(failure),
        _ => Err(broken(own_words(&mut child).await)),
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Option<FetchReply>, WebFailure> {
    match lines.next_line().await.map_err(|error| lost(&error))? {
        Some(line) => serde_json::from_str(&line).map(Some).map_err(|error| lost(&error)),
        None => Ok(None),
    }
}

fn lost(error: &dyn std::fmt::Display) -> WebFailure {
    WebFailure::new(WebError::Stopped, format!("the egress-gateway is not understood: {error}"))
}

fn tell_or_last(said: &Said, tell: &mut impl FnMut(&Said) -> Result<(), Error>) -> Result<(), Error> {
    match said {
        Said::Open { .. } | Said::Visit { .. } => tell(said),
        Said::Stored { .. } | Said::Failed { .. } => Ok(()),
    }
}

async fn start(command: &mut Command, input: Option<String>) -> Result<Child, Error> {
    let failed = |error: std::io::Error| Error::failed("the egress-gateway cannot be started").because(error);
    command.env_clear().envs(environment::for_children());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // If it does not listen, it says why itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    Ok(child)
}

/// Why it ended, as it says on standard error.
async fn own_words(child: &mut Child) -> Error {
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        // Words that cannot be read are as good as none.
        let _ = stderr.read_to_string(&mut said).await;
    }
    let last = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
    Error::failed(crate::show::clean::line(last.unwrap_or("the egress-gateway ended without a word"), 2000))
}

/// Opens an address in the person's browser, if there is a screen to show one on.
pub fn open_browser(url: &str) -> bool {
    let screen =
        ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].iter().any(|name| environment::var(name).is_some());
    let null = Stdio::null;
    screen
        && std::process::Command::new("xdg-open")
            .arg(url)
            .stdin(null())
            .stdout(null())
            .stderr(null())
            .spawn()
            .is_ok()
}
