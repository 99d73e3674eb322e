//! The configuration of a local broker, as text for `nats-server -c`.
//!
//! Answers: with which settings does the broker enforce our credentials?
//! Never: lets anybody in without a credential; contains a secret; listens beyond what it is told.
//! Carries: I-01, I-03. What a role may do is in its credential, so the text is the same for every set of apps.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::identity::RealmClaims;
use crate::limits::MAX_PAYLOAD;

/// What differs from one local broker to another.
#[derive(Clone, Debug)]
pub struct ServerConfig<'a> {
    /// Unique in a cluster; shows in `nats server ls`.
    pub name: &'a str,
    /// Where to listen; loopback for a broker that is started by us.
    pub host: IpAddr,
    /// `None`: the server picks a free port and writes it down, see [`listening_at`].
    pub port: Option<u16>,
    /// Where JetStream keeps its streams.
    pub store_dir: &'a Path,
    /// Where the server keeps account statements, those pushed later included. Survives a restart.
    pub resolver_dir: &'a Path,
    /// Where the server writes down its addresses.
    pub ports_dir: &'a Path,
    /// `None`: the log goes to standard error.
    pub log_file: Option<&'a Path>,
}

/// Largest amount of JetStream data on disk, bytes. Audit and grants need far less; a runaway writer stops here
/// and not at a full disk.
const MAX_STORE: u64 = 4 << 30;

/// Bytes that the server keeps for a reader that does not keep up, before it drops that reader: 64 of the largest
/// messages. The server's own default; written down because the slowing of a flooding spoke rests on it.
const MAX_PENDING: usize = 64 * MAX_PAYLOAD;

/// Variables for the server's process, which has no setting for them. Its language collects memory whenever as much was
/// used as is alive, or every 4 MiB: with a body from the web on its way that is a hundred times a second, and was half of
/// all the server did. So: whenever four times as much was used, or every 16 MiB; and more often again where so many are
/// connected that this would be much.
pub const ENVIRONMENT: [(&str, &str); 2] = [("GOGC", "400"), ("GOMEMLIMIT", "1GiB")];

impl ServerConfig<'_> {
    /// The text. Pure; the same input gives the same text.
    #[must_use]
    pub fn render(&self, claims: &RealmClaims) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key}: {value}");
        };
        line("server_name", quote(self.name));
        line("host", quote(&self.host.to_string()));
        line("port", self.port.map_or("-1".to_owned(), |port| port.to_string()));
        line("ports_file_dir", quote_path(self.ports_dir));
        if let Some(file) = self.log_file {
            line("log_file", quote_path(file));
            line("logfile_size_limit", "16MB".to_owned());
            line("logfile_max_num", "3".to_owned());
        }
        line("max_payload", MAX_PAYLOAD.to_string());
        line("max_pending", MAX_PENDING.to_string());
        line(
            "jetstream",
            format!(
                "{{ store_dir: {}, max_memory_store: 16MB, max_file_store: {MAX_STORE} }}",
                quote_path(self.store_dir)
            ),
        );
        line("operator", quote(&claims.operator_jwt));
        line("system_account", quote(&claims.system.0));
        // A directory, because a revocation is pushed as a new statement of the account and must outlive a restart.
        line(
            "resolver",
            format!("{{ type: full, dir: {}, allow_delete: false }}", quote_path(self.resolver_dir)),
        );
        let (bus, system) = (&claims.account, &claims.system);
        line(
            "resolver_preload",
            format!("{{ {}: {}, {}: {} }}", bus.0, quote(&bus.1), system.0, quote(&system.1)),
        );
        text
    }
}

/// Where the server with that process id listens, as it wrote it down in `ports_dir`: `nats://host:port`.
/// `None` until it has; ask again, with a deadline.
#[must_use]
pub fn listening_at(ports_dir: &Path, pid: u32) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Ports {
        nats: Vec<String>,
    }
    let ending = format!("_{pid}.ports");
    let file = std::fs::read_dir(ports_dir)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?;
    let ports: Ports = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
    ports.nats.into_iter().next()
}

fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// A string of the server's configuration language: backslash and quote are escaped, control characters by number.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Where a server keeps what belongs to it, under one folder; all of them are made 0700 by whoever starts it.
#[derive(Clone, Debug)]
pub struct ServerDirs {
    /// For [`ServerConfig::store_dir`].
    pub store: PathBuf,
    /// For [`ServerConfig::resolver_dir`].
    pub resolver: PathBuf,
    /// For [`ServerConfig::ports_dir`].
    pub ports: PathBuf,
}

impl ServerDirs {
    /// The folders under `root`. Makes nothing.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self { store: root.join("jetstream"), resolver: root.join("accounts"), ports: root.join("ports") }
    }

    /// All of them, to be made before the server starts.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.store, &self.resolver, &self.ports].into_iter().map(PathBuf::as_path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::identity::Realm;

    #[test]
    fn a_quote_in_a_path_does_not_end_the_string() {
        assert_eq!(quote("a\"b\\c\nd"), "\"a\\\"b\\\\c\\x0Ad\"");
    }

    #[test]
    fn the_configuration_holds_no_secret() {
        let realm = Realm::generate().unwrap();
        let path = Path::new("state");
        let config = ServerConfig {
            name: "local",
            host: Ipv4Addr::LOCALHOST.into(),
            port: None,
            store_dir: path,
            resolver_dir: path,
            ports_dir: path,
            log_file: None,
        };
        let text = config.render(&realm.claims(&[]).unwrap());
        for seed in [&realm.operator, &realm.account, &realm.signing, &realm.system] {
            assert!(!text.contains(seed.expose()));
        }
        assert!(text.contains("host: \"127.0.0.1\""));
        assert!(!text.contains("no_auth_user"));
    }
}
