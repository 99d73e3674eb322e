//! A real broker for one test.
//!
//! Answers: how does a test get a broker with the project's own configuration and credentials?
//! Never: has settings of its own; the text is that of `bus::server_config`, as in production.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::acl::Role;
use bus::client::{Address, Bus, BusError, WhenLost};
use bus::identity::{Credential, Realm, Signer};
use bus::server_config::{ENVIRONMENT, ServerConfig, ServerDirs, listening_at};
use bus::subject::{Auditor, inbox};

use crate::bundle::bundle;
use crate::program::Program;
use crate::raw::Raw;
use crate::scratch::Scratch;

/// A broker that only its owner knows, on a free loopback port.
pub struct Nats {
    program: Program,
    scratch: Scratch,
    /// The keys of this broker's realm.
    pub realm: Realm,
    /// `nats://127.0.0.1:<port>`.
    pub url: String,
    /// Public keys whose credentials were taken back, and up to when they are void.
    revoked: Vec<(String, u64)>,
}

impl Nats {
    /// Starts one with a realm of its own.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(Scratch::new("nats"), Realm::generate().expect("keys"), None, Vec::new())
    }

    /// Starts one again on what an earlier one left, at the same port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn restarted(self) -> Self {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok());
        let Self { program, scratch, realm, revoked, .. } = self;
        drop(program);
        Self::start_in(scratch, realm, port, revoked)
    }

    /// Takes a credential back, as the supervisor does.
    ///
    /// # Panics
    /// If the broker does not take the statement.
    pub async fn revoke(&mut self, credential: &Credential) {
        let key = nkeys::KeyPair::from_seed(credential.seed.expose()).expect("a key").public_key();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        self.revoked.push((key, now));
        let system = self.realm.system_credential().expect("a credential");
        let claims = self.realm.claims(&self.revoked).expect("claims");
        bus::system_account::push(&self.address(), &system, &claims).await.expect("a broker that takes it");
    }

    fn start_in(scratch: Scratch, realm: Realm, port: Option<u16>, revoked: Vec<(String, u64)>) -> Self {
        let dirs = ServerDirs::under(scratch.path());
        for dir in dirs.all() {
            std::fs::create_dir_all(dir).expect("a folder of the broker");
        }
        let config = ServerConfig {
            name: "test",
            host: Ipv4Addr::LOCALHOST.into(),
            port,
            store_dir: &dirs.store,
            resolver_dir: &dirs.resolver,
            ports_dir: &dirs.ports,
            log_file: None,
        };
        let file = scratch.join("nats.conf");
        std::fs::write(&file, config.render(&realm.claims(&revoked).expect("claims")))
            .expect("the configuration");
        let mut program = Program::start(
            Command::new(&bundle().nats_server).arg("-c").arg(&file).envs(ENVIRONMENT),
            &scratch.join("nats.log"),
        );
        let pid = program.pid();
        let url = program.until("listens", || listening_at(&dirs.ports, pid));
        Self { program, scratch, realm, url, revoked }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { url: self.url.clone(), tls_ca: None }
    }

    /// Signs for it.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.realm.signer().expect("a signer")
    }

    /// A credential for a role.
    #[must_use]
    pub fn credential(&self, role: &Role) -> Credential {
        self.signer().issue(role, None).expect("a credential")
    }

    /// A credential for a role that ends after `lifetime`.
    #[must_use]
    pub fn credential_for(&self, role: &Role, lifetime: Duration) -> Credential {
        self.signer().issue(role, Some(lifetime)).expect("a credential")
    }

    /// Comes on the bus in a role, as its process would.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn bus(&self, role: &Role) -> Bus {
        self.try_bus(role, &self.credential(role)).await.expect("a connection")
    }

    /// Comes on the bus in a role with a given credential.
    ///
    /// # Errors
    /// If the broker does not let it.
    pub async fn try_bus(&self, role: &Role, credential: &Credential) -> Result<Bus, BusError> {
        let (inbox, auditor) = place(role);
        Bus::connect(&self.address(), credential, "test", &inbox, auditor, WhenLost::End).await
    }

    /// A bare connection that can try what the client library would not.
    ///
    /// # Panics
    /// If the broker does not let it.
    #[must_use]
    pub fn raw(&self, role: &Role) -> Raw {
        Raw::connect(&self.url, Some(&self.credential(role))).expect("a connection")
    }

    /// What the broker logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Its folder.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Its process, to be stopped or killed by a test.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

/// Where a role takes replies, and in whose name it writes to the audit.
fn place(role: &Role) -> (String, Option<Auditor>) {
    match role {
        Role::Hub => (inbox::HUB.to_owned(), Some(Auditor::Hub)),
        Role::LlmGateway => (inbox::HUB.to_owned(), Some(Auditor::Llm)),
        Role::EgressGateway => (inbox::HUB.to_owned(), Some(Auditor::Egress)),
        Role::Supervisor => (inbox::OPERATOR.to_owned(), Some(Auditor::Supervisor)),
        Role::Host(host) => (inbox::host(host), Some(Auditor::Host(host.clone()))),
        Role::Spoke(spoke) => (inbox::spoke(spoke), None),
        Role::User(user) => (inbox::user(user), None),
        Role::Tap | Role::Operator => (inbox::OPERATOR.to_owned(), None),
    }
}
