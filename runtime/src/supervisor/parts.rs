//! The parts of the system, and how each is started.
//!
//! Answers: with which program, credential and settings does this part run?
//! Never: gives a part more than its own settings; the model's key goes to the llm-gateway, the signing key to the hub.
//! Carries: I-15.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bus::acl::Role;
use bus::client::{Address, Bus, WhenLost};
use bus::id::HostId;
use bus::identity::{Realm, Signer};
use bus::launch::{EgressConfig, HostConfig, HubConfig, LlmConfig};
use bus::message::audit::What;
use bus::secret::Secret;
use bus::subject::{Auditor, inbox};
use tokio::sync::mpsc;

use super::broker::Broker;
use super::bundle::{self, Server};
use super::child::{Running, Spec, signed};
use super::log::{Log, Watcher};
use super::refusal::refusal;
use super::store::Store;
use super::{BROKER, EGRESS, HOST, HUB, LLM, STORE, record};
use crate::config::Config;
use crate::error::Error;
use crate::model::{self, Model, ModelConfig};
use crate::offered;
use crate::provider::Choice;
use crate::state::State;

/// The name of the host on this machine.
const LOCAL: &str = "local";

/// Refusals of the broker that wait to be recorded; a flood beyond them is in the broker's log only.
const REFUSALS: usize = 256;

/// How long a part that ended during its start has to be known by its own words.
const OWN_WORDS: Duration = Duration::from_secs(2);

/// Everything that is needed to start each part, once or again.
pub struct Parts {
    config: Config,
    realm: Realm,
    signer: Signer,
    logs: PathBuf,
    data: PathBuf,
    credentials: PathBuf,
    choice: Choice,
    model: Option<Model>,
    model_url: String,
    broker: Option<Broker>,
    store: Option<Store>,
    address: Address,
    ends: mpsc::Sender<&'static str>,
    bus: Option<Bus>,
    refusals: (mpsc::Sender<String>, Option<mpsc::Receiver<String>>),
}

impl Parts {
    /// Finds programs and makes folders; starts nothing.
    ///
    /// # Errors
    /// If a program is missing or a folder cannot be made.
    pub async fn new(
        config: &Config,
        state: &State,
        choice: Choice,
        ends: mpsc::Sender<&'static str>,
    ) -> Result<Self, Error> {
        let realm = state.realm()?;
        let broker = match &config.bus.url {
            Some(_) => None,
            None => {
                let found =
                    bundle::find(Server::Nats, config.bus.server.as_deref(), &config.data_dir).await?;
                Some(Broker::new(found, &config.bus, state)?)
            }
        };
        let store = match &config.memory.url {
            Some(_) => None,
            None => {
                let named = config.memory.server.as_deref();
                Some(Store::new(bundle::find(Server::Redis, named, &config.data_dir).await?, state)?)
            }
        };
        let address =
            Address { url: config.bus.url.clone().unwrap_or_default(), tls_ca: config.bus.tls_ca.clone() };
        // So that apps that are added later have a place that is known from the start.
        state.folder(crate::install::staging::APPS)?;
        let (refused, refusals) = mpsc::channel(REFUSALS);
        Ok(Self {
            signer: realm.signer()?,
            realm,
            logs: state.folder("log")?,
            data: state.folder("data")?,
            credentials: state.folder("credentials")?,
            model_url: choice.base_url.clone().unwrap_or_default(),
            choice,
            model: None,
            config: config.clone(),
            broker,
            store,
            address,
            ends,
            bus: None,
            refusals: (refused, Some(refusals)),
        })
    }

    /// The bus's address; known once the broker runs.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Starts all parts, those that do not need each other at the same time.
    ///
    /// # Errors
    /// With what was started before, for it to be stopped.
    pub async fn start_all(
        &mut self,
        ended: &mut mpsc::Receiver<&'static str>,
        told: impl Fn(&str),
    ) -> Result<Vec<Running>, (Error, Vec<Running>)> {
        let mut running = Vec::new();
        let (gone, started) = {
            let mut starting = std::pin::pin!(self.start_in_order(&mut running, told));
            tokio::select! {
                started = &mut starting => (None, started),
                // A part that ends while it is being started says why itself, and better.
                Some(gone) = ended.recv() => {
                    let own = tokio::time::timeout(OWN_WORDS, starting).await;
                    (Some(gone), own.unwrap_or(Ok(())))
                }
            }
        };
        match (gone, started) {
            (None, Ok(())) => Ok(running),
            (Some(gone), Err(_)) if running.iter().any(|part| part.name == gone) => {
                Err((went(gone, &running), running))
            }
            (Some(gone), Ok(())) => Err((went(gone, &running), running)),
            (_, Err(error)) => Err((error, running)),
        }
    }

    async fn start_in_order(&mut self, running: &mut Vec<Running>, told: impl Fn(&str)) -> Result<(), Error> {
        self.start_model().await?;
        told("the servers");
        let (broker_log, store_log) = (self.log(BROKER)?, self.log(STORE)?);
        let store = async {
            match &self.store {
                Some(store) => store.start(store_log, self.ends.clone()).await.map(Some),
                None => Ok(None),
            }
        };
        let broker = async {
            match &mut self.broker {
                Some(broker) => broker.start(&self.realm, broker_log, self.ends.clone()).await.map(Some),
                None => Ok(None),
            }
        };
        let (store, broker) = tokio::join!(store, broker);
        let broker = broker.map(|started| {
            started.map(|(part, address)| {
                self.address = address;
                part
            })
        });
        gather(running, [store, broker])?;
        self.connect().await?;
        told("hub and gateways");
        // The first that fails ends the others, whose input closes with them: nobody waits for a hub in vain.
        let (hub, llm, egress) =
            tokio::try_join!(self.start_ours(HUB), self.start_ours(LLM), self.start_ours(EGRESS))?;
        running.extend([hub, llm, egress]);
        told("the host of spokes");
        gather(running, [self.start_ours(HOST).await.map(Some)])
    }

    /// Starts one part again.
    ///
    /// # Errors
    /// If it is not ready in time.
    pub async fn start(&mut self, name: &'static str) -> Result<Running, Error> {
        let log = self.log(name)?;
        match name {
            BROKER => {
                let broker =
                    self.broker.as_mut().ok_or_else(|| Error::failed("there is no broker of ours"))?;
                let (running, address) = broker.start(&self.realm, log, self.ends.clone()).await?;
                self.address = address;
                Ok(running)
            }
            STORE => {
                let store = self.store.as_ref().ok_or_else(|| Error::failed("there is no store of ours"))?;
                store.start(log, self.ends.clone()).await
            }
            ours => self.start_ours(ours).await,
        }
    }

    async fn start_ours(&self, name: &'static str) -> Result<Running, Error> {
        let log = self.log(name)?;
        match name {
            HUB => self.launch(HUB, log, &Role::Hub, self.hub().await?).await,
            LLM => self.launch(LLM, log, &Role::LlmGateway, self.llm()).await,
            EGRESS => self.launch(EGRESS, log, &Role::EgressGateway, self.egress()?).await,
            _ => {
                let host = HostId::parse(LOCAL)?;
                let config = host_config(&self.config, host.clone(), self.data.clone())?;
                self.launch(HOST, log, &Role::Host(host), config).await
            }
        }
    }

    fn log(&self, name: &'static str) -> Result<Log, Error> {
        Log::open(&self.logs, name, (name == BROKER).then(|| self.watcher()))
    }

    async fn launch<C: serde::Serialize>(
        &self,
        name: &'static str,
        log: Log,
        role: &Role,
        config: C,
    ) -> Result<Running, Error> {
        let spec = Spec { name, program: program(name)?, args: Vec::new(), env: &[], ours: true };
        let mut running = Running::start(&spec, log, self.ends.clone())?;
        match running.launch(&self.address, signed(&self.signer, role), config).await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }

    async fn hub(&self) -> Result<HubConfig, Error> {
        let config = &self.config;
        let account = self.realm.claims(&[])?.account.0;
        let memory_url = match (&self.store, &config.memory.url) {
            (Some(store), _) => store.url(),
            (None, url) => Secret::new(url.clone().unwrap_or_default()),
        };
        Ok(HubConfig {
            apps: config.apps.dirs.clone(),
            enabled: config.apps.enabled.clone(),
            authorized: offered::authorized(config).await?,
            prompts: config.prompts_dir(),
            preset: config.permission.preset.clone(),
            presets: config.presets_dir(),
            policies: config.permission.policies.clone(),
            prompt_timeout_ms: millis(config.permission.prompt_timeout),
            memory_url,
            memory_ttl_s: config.memory.ttl.as_secs(),
            summary_token_limit: config.memory.summary_token_limit,
            signing_seed: self.realm.signing.clone(),
            account,
            limits: config.limits,
            embeddings: config.model.embeddings_model.is_some(),
        })
    }

    fn llm(&self) -> LlmConfig {
        LlmConfig {
            base_url: self.model_url.clone(),
            model: self.choice.model.clone(),
            api_key: self.choice.key.clone(),
            embeddings_model: self.config.model.embeddings_model.clone(),
            timeout_ms: millis(self.config.model.timeout),
        }
    }

    fn egress(&self) -> Result<EgressConfig, Error> {
        let settings = &self.config.egress;
        let credentials_key = settings.key_file.as_ref().map(|file| {
            std::fs::read_to_string(file).map(|key| Secret::new(key.trim().to_owned())).map_err(|error| {
                Error::failed(format!("the key cannot be read from {}", file.display()))
                    .because(error)
                    .hint("correct egress.key_file, or leave it out")
            })
        });
        Ok(EgressConfig {
            apps: self.config.apps.dirs.clone(),
            credentials: self.credentials.clone(),
            credentials_key: credentials_key.transpose()?,
            suffix_list: settings.suffix_list.clone(),
            tls_ca: settings.tls_ca.clone(),
        })
    }

    async fn start_model(&mut self) -> Result<(), Error> {
        if self.choice.base_url.is_some() {
            return Ok(());
        }
        let config = ModelConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            scripts: self.config.scripts_dir(),
            delay: Duration::ZERO,
            key: None,
            faults: Vec::new(),
        };
        let model = model::serve(config)
            .await
            .map_err(|error| Error::failed("the scripted model does not start").because(error))?;
        self.model_url = model.base_url();
        self.model = Some(model);
        Ok(())
    }

    /// Returns if the scripted model ends by itself; never, if there is none.
    pub async fn model_ended(&mut self) {
        match &mut self.model {
            Some(model) => model.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Stops the scripted model, if there is one.
    pub async fn stop_model(&mut self) {
        if let Some(model) = self.model.take() {
            model.stop().await;
        }
    }

    /// Comes on the bus as supervisor, to write to the audit what the broker refuses.
    async fn connect(&mut self) -> Result<(), Error> {
        let credential = self.signer.issue(&Role::Supervisor, None)?;
        let auditor = Some(Auditor::Supervisor);
        let bus =
            Bus::connect(&self.address, &credential, "supervisor", inbox::HUB, auditor, WhenLost::Reconnect)
                .await?;
        if let Some(mut refusals) = self.refusals.1.take() {
            let bus = bus.clone();
            tokio::spawn(async move {
                while let Some(detail) = refusals.recv().await {
                    let (op, record) = record(What::Refused { detail });
                    bus.audit(op, record).await;
                }
            });
        }
        self.bus = Some(bus);
        Ok(())
    }

    fn watcher(&self) -> Watcher {
        let refused = self.refusals.0.clone();
        Arc::new(move |line: &str| {
            if let Some(refusal) = refusal(line) {
                // When the queue is full the line is still in the broker's log.
                let _ = refused.try_send(refusal);
            }
        })
    }

    /// Leaves the bus, whose broker is about to be stopped.
    pub fn leave(&mut self) {
        self.bus = None;
    }

    /// Writes to the audit.
    pub async fn note(&self, what: What) {
        if let Some(bus) = &self.bus {
            let (op, record) = record(what);
            bus.audit(op, record).await;
        }
    }
}

/// Takes what was started, all of it; then the first error, if there is one.
fn gather<const N: usize>(
    running: &mut Vec<Running>,
    started: [Result<Option<Running>, Error>; N],
) -> Result<(), Error> {
    let mut first = Ok(());
    for part in started {
        match part {
            Ok(part) => running.extend(part),
            Err(error) if first.is_ok() => first = Err(error),
            Err(_) => {}
        }
    }
    first
}

/// A part ended while others were still being started.
fn went(gone: &str, running: &[Running]) -> Error {
    let (how, words) = match running.iter().find(|part| part.name == gone) {
        Some(part) => (part.how(), part.last_words()),
        None => ("ended".to_owned(), String::new()),
    };
    Error::failed(format!("{gone} ended during the start: {how}")).hint(format!("its last words: {words}"))
}

/// The settings of a host of spokes on this machine.
///
/// # Errors
/// If the spoke program is missing.
pub fn host_config(config: &Config, host: HostId, data: PathBuf) -> Result<HostConfig, Error> {
    Ok(HostConfig {
        host,
        apps: config.apps.dirs.clone(),
        spoke: program("spoke")?,
        data,
        capacity: config.capacity,
        env: BTreeMap::new(),
    })
}

/// A program of ours: beside this one.
///
/// # Errors
/// If it is not there.
pub fn program(name: &str) -> Result<PathBuf, Error> {
    let own = std::env::current_exe()
        .map_err(|error| Error::failed("the own program cannot be found").because(error))?;
    let own = own.canonicalize().unwrap_or(own);
    // Test programs live one folder below the others.
    let beside = own.parent().into_iter().flat_map(|dir| [Some(dir), dir.parent()]).flatten();
    beside.map(|dir: &Path| dir.join(name)).find(|program| program.is_file()).ok_or_else(|| {
        Error::failed(format!("the program `{name}` is not beside {}", own.display()))
            .hint("build all programs: cargo build --workspace --bins (or `make build`)")
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
