//! The system as a command finds it: running already, or started for this command and stopped after it.
//!
//! Answers: where is the bus, and who signs for this command's clients?
//! Never: stops what another command started.

use std::future::Future;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::{Address, Bus, WhenLost};
use bus::id::{SpokeAddr, UserId};
use bus::identity::{Credential, Signer};
use bus::subject::inbox;

use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::provider;
use crate::state::{Holder, State};
use crate::supervisor::Supervisor;

/// A running system.
pub struct System {
    address: Address,
    keys: Keys,
    own: Option<Supervisor>,
    /// The model that answers, if known.
    pub model: Option<String>,
    /// What must be said with every answer.
    pub note: Option<String>,
}

enum Keys {
    Signer(Box<Signer>),
    Given(Credential),
}

/// A credential of a person's client outlives any session at the keyboard, and not much more.
const CLIENT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait for another instance that answers a single query, or is about to start or stop.
const WAIT: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(50);

impl System {
    /// Joins what runs on this state folder, or starts everything. `told` hears what is being started or waited for.
    ///
    /// # Errors
    /// If it can neither be joined nor started.
    pub async fn open(config: &Config, command: &str, told: impl Fn(&str)) -> Result<Self, Error> {
        if let Some(system) = Self::given(config)? {
            return Ok(system);
        }
        let state = State::open(&config.state_dir)?;
        let begun = Instant::now();
        loop {
            let holder = match state.try_lock()? {
                Ok(lock) => {
                    told("looking for a model");
                    let choice = provider::choose(&config.model).await?;
                    let supervisor =
                        Supervisor::start(config, state.clone(), lock, choice, command, |part| {
                            told(&format!("starting {part}"));
                        })
                        .await?;
                    let (model, note) = supervisor.model();
                    return Ok(Self {
                        address: supervisor.address().clone(),
                        keys: Keys::Signer(Box::new(state.realm()?.signer()?)),
                        model: Some(model.to_owned()),
                        note: note.map(str::to_owned),
                        own: Some(supervisor),
                    });
                }
                Err(holder) => holder,
            };
            if let Some(system) = Self::joined(&state, &holder)? {
                return Ok(system);
            }
            if WAIT < begun.elapsed() {
                return Err(held(&state, &holder));
            }
            told(&format!("waiting for another secgpt{}", by(&holder)));
            tokio::time::sleep(POLL).await;
        }
    }

    /// Joins what runs on this state folder.
    ///
    /// # Errors
    /// If nothing runs there.
    pub async fn join(config: &Config) -> Result<Self, Error> {
        if let Some(system) = Self::given(config)? {
            return Ok(system);
        }
        let state = State::open(&config.state_dir)?;
        let nothing = || {
            Error::failed("nothing runs on this state folder")
                .hint("start it with `secgpt up` (or `secgpt`) in another terminal")
        };
        match state.try_lock()? {
            Ok(_) => Err(nothing()),
            Err(_) => {
                let running = state.running().ok_or_else(nothing)?;
                Ok(Self {
                    address: Address { url: running.url, tls_ca: running.tls_ca },
                    keys: Keys::Signer(Box::new(state.realm()?.signer()?)),
                    own: None,
                    model: Some(running.model),
                    note: running.note,
                })
            }
        }
    }

    /// Starts everything, or is refused.
    ///
    /// # Errors
    /// If another instance works on this state folder.
    pub async fn start(config: &Config, command: &str, told: impl Fn(&str)) -> Result<Self, Error> {
        if config.bus.credentials.is_some() {
            return Err(Error::usage("bus.credentials are a client's; with them nothing can be started")
                .hint("to start a hub for the broker of bus.url, leave bus.credentials out: the keys of this installation sign"));
        }
        let state = State::open(&config.state_dir)?;
        if let Err(holder) = state.try_lock()? {
            return Err(held(&state, &holder));
        }
        Self::open(config, command, told).await
    }

    /// A broker elsewhere with a credentials file.
    fn given(config: &Config) -> Result<Option<Self>, Error> {
        let (Some(url), Some(file)) = (&config.bus.url, &config.bus.credentials) else { return Ok(None) };
        Ok(Some(Self {
            address: Address { url: url.clone(), tls_ca: config.bus.tls_ca.clone() },
            keys: Keys::Given(credentials(file)?),
            own: None,
            model: None,
            note: None,
        }))
    }

    /// What another instance started, if it stays long enough to be joined.
    fn joined(state: &State, holder: &Holder) -> Result<Option<Self>, Error> {
        let Some(running) =
            state.running().filter(|running| running.stays() && Some(running.pid) == holder.pid)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            address: Address { url: running.url, tls_ca: running.tls_ca },
            keys: Keys::Signer(Box::new(state.realm()?.signer()?)),
            own: None,
            model: Some(running.model),
            note: running.note,
        }))
    }

    /// The bus's address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Was it started for this command?
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Comes on the bus as that user.
    ///
    /// # Errors
    /// If the broker does not accept it.
    pub async fn client(&self, user: &UserId) -> Result<Client, Error> {
        let credential = self.credential(&Role::User(user.clone()))?;
        Client::connect(&self.address, &credential, user.clone()).await
    }

    /// Comes on the bus to listen.
    ///
    /// # Errors
    /// If the broker does not accept it.
    pub async fn tap(&self) -> Result<Bus, Error> {
        let credential = self.credential(&Role::Tap)?;
        Ok(Bus::connect(&self.address, &credential, "tap", inbox::OPERATOR, None, WhenLost::Reconnect)
            .await?)
    }

    /// Comes on the bus as a process of an app does. For the baseline, which has no spokes.
    ///
    /// # Errors
    /// If the bus is somebody else's, or the broker does not accept it.
    pub async fn spoke(&self, addr: &SpokeAddr) -> Result<Bus, Error> {
        if let Keys::Given(_) = &self.keys {
            return Err(Error::failed("the baseline cannot use apps of the web on somebody else's bus"));
        }
        let credential = self.credential(&Role::Spoke(addr.clone()))?;
        let inbox = inbox::spoke(addr);
        Ok(Bus::connect(&self.address, &credential, "baseline", &inbox, None, WhenLost::End).await?)
    }

    fn credential(&self, role: &Role) -> Result<Credential, Error> {
        match &self.keys {
            Keys::Signer(signer) => Ok(signer.issue(role, Some(CLIENT_LIFETIME))?),
            Keys::Given(credential) => Ok(credential.clone()),
        }
    }

    /// Does some work, unless the system is given up on before it is done.
    ///
    /// # Errors
    /// The work's own, or the reason for giving up.
    pub async fn during<R>(&mut self, work: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        match &mut self.own {
            Some(own) => tokio::select! {
                result = work => result,
                error = own.gave_up() => Err(error),
            },
            None => work.await,
        }
    }

    /// Stops what was started for this command, in order; at once if somebody is impatient.
    pub async fn close(self) {
        if let Some(own) = self.own {
            tokio::select! {
                () = own.stop() => {}
                // What is dropped here is killed, and so is all that hangs on it.
                () = crate::command::interrupted() => {}
            }
        }
    }
}

/// Reads a credentials file.
///
/// # Errors
/// If it cannot be read or holds no credential.
pub fn credentials(file: &std::path::Path) -> Result<Credential, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::usage(format!("the credentials cannot be read from {}", file.display())).because(error)
    })?;
    Credential::from_creds(&text)
        .ok_or_else(|| Error::usage(format!("{} is not a credentials file", file.display())))
}

fn by(holder: &Holder) -> String {
    holder.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn held(state: &State, holder: &Holder) -> Error {
    Error::failed(format!("another secgpt{} works on {}", by(holder), state.dir().display()))
        .hint("join it with `secgpt ask` or `secgpt chat`, stop it, or name another folder with --state")
}
