//! A broker and a store of a test's own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bus::acl::Role;
use bus::client::{Address, Bus, WhenLost};
use bus::identity::{Realm, Signer};
use bus::server_config::{ServerConfig, ServerDirs, listening_at};
use bus::subject::{Auditor, inbox};
use tempfile::TempDir;

/// A program that ends with the test.
pub struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder of nats-server and redis-server.
fn bundle() -> &'static Path {
    static BUNDLE: OnceLock<PathBuf> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/bundle.sh");
        let out = Command::new(script).stderr(Stdio::inherit()).output().expect("deploy/bundle.sh");
        assert!(out.status.success(), "deploy/bundle.sh failed");
        PathBuf::from(String::from_utf8(out.stdout).unwrap().trim())
    })
}

/// Waits for something that a program does.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A broker with a realm of its own.
pub struct Broker {
    program: Option<Program>,
    pub folder: TempDir,
    pub realm: Realm,
    pub url: String,
}

impl Broker {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let realm = Realm::generate().unwrap();
        let mut broker = Self { program: None, folder, realm, url: String::new() };
        broker.run(None);
        broker
    }

    /// Kills it, and starts it again at the same place after a moment.
    pub fn restart(&mut self, after: Duration) {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok());
        self.program = None;
        std::thread::sleep(after);
        self.run(port);
    }

    fn run(&mut self, port: Option<u16>) {
        let Self { folder, realm, .. } = self;
        let dirs = ServerDirs::under(folder.path());
        for dir in dirs.all() {
            std::fs::create_dir_all(dir).unwrap();
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
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, config.render(&realm.claims(&[]).unwrap())).unwrap();
        let log = std::fs::File::create(folder.path().join("nats.log")).unwrap();
        let child = Command::new(bundle().join("nats-server"))
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server");
        let pid = child.id();
        let program = Program(child);
        let url = until("nats-server listens", || listening_at(&dirs.ports, pid));
        (self.program, self.url) = (Some(program), url);
    }

    pub fn address(&self) -> Address {
        Address { url: self.url.clone(), tls_ca: None }
    }

    pub fn signer(&self) -> Signer {
        self.realm.signer().unwrap()
    }

    /// Comes on the bus in a role, as its process would.
    pub async fn bus(&self, role: &Role) -> Bus {
        let (inbox, auditor) = match role {
            Role::Hub => (inbox::HUB.to_owned(), Some(Auditor::Hub)),
            Role::LlmGateway => (inbox::HUB.to_owned(), Some(Auditor::Llm)),
            Role::EgressGateway => (inbox::HUB.to_owned(), Some(Auditor::Egress)),
            Role::Host(host) => (inbox::host(host), Some(Auditor::Host(host.clone()))),
            Role::User(user) => (inbox::user(user), None),
            Role::Tap => (inbox::OPERATOR.to_owned(), None),
            other => panic!("no test plays {other:?}"),
        };
        let credential = self.signer().issue(role, None).unwrap();
        Bus::connect(&self.address(), &credential, "test", &inbox, auditor, WhenLost::Reconnect)
            .await
            .unwrap()
    }
}

/// A store of its own.
pub struct Redis {
    program: Option<Program>,
    folder: TempDir,
}

impl Redis {
    pub fn start() -> Self {
        let mut redis = Self { program: None, folder: tempfile::tempdir().unwrap() };
        redis.go_on();
        redis
    }

    /// An address at which nobody answers.
    pub fn absent() -> Self {
        Self { program: None, folder: tempfile::tempdir().unwrap() }
    }

    pub fn go_on(&mut self) {
        let socket = self.socket();
        let child = Command::new(bundle().join("redis-server"))
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        self.program = Some(Program(child));
        until("redis-server listens", || std::os::unix::net::UnixStream::connect(&socket).ok());
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }
}
