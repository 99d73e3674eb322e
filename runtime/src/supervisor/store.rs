//! The bundled conversation memory.
//!
//! Answers: how is redis-server started, and where is its socket?
//! Never: opens a TCP port; the socket is for its owner alone and wants a password besides.
//! Carries: I-14.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::child::{Running, Spec};
use super::log::Log;
use crate::environment;
use crate::error::Error;
use crate::state::{State, make_private, write_private};

/// A large append-only file takes seconds to read.
const READY: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(3);

/// The kernel's limit on a socket's path is 108 bytes, the final zero included.
const MAX_PATH: usize = 107;

/// All that is needed to start it, and to start it again at the same socket.
#[derive(Debug)]
pub struct Store {
    program: PathBuf,
    dir: PathBuf,
    socket: PathBuf,
    password: Secret,
}

impl Store {
    /// Prepares its folders.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn new(program: PathBuf, state: &State) -> Result<Self, Error> {
        let dir = state.folder("redis")?;
        let socket = socket_in(&dir, &environment::runtime_dir());
        if let Some(parent) = socket.parent() {
            make_private(parent)?;
        }
        Ok(Self { program, dir, socket, password: state.secret("redis")? })
    }

    /// For the hub.
    #[must_use]
    pub fn url(&self) -> Secret {
        Secret::new(format!("unix://{}?pass={}", self.socket.display(), self.password.expose()))
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it does not answer in time; with its last words.
    pub async fn start(&self, log: Log, told: mpsc::Sender<&'static str>) -> Result<Running, Error> {
        let file = self.dir.join("redis.conf");
        write_private(&file, self.settings().as_bytes())?;
        // Left behind when an earlier one was killed.
        let _ = std::fs::remove_file(&self.socket);
        let spec = Spec {
            name: super::STORE,
            program: self.program.clone(),
            args: vec![file.into()],
            env: &[],
            ours: false,
        };
        let running = Running::start(&spec, log, told)?;
        let waited = tokio::time::timeout(READY, async {
            loop {
                if self.answers().await {
                    return true;
                }
                if running.has_ended() {
                    return false;
                }
                tokio::time::sleep(POLL).await;
            }
        });
        if waited.await.unwrap_or(false) {
            return Ok(running);
        }
        let sentence = format!("redis-server does not answer: it {}", running.how());
        let hint = format!("it said: {}", running.last_words());
        running.stop().await;
        Err(Error::failed(sentence).hint(hint))
    }

    /// What is remembered survives a crash but for the last second; when memory is full, what would expire first goes
    /// first.
    fn settings(&self) -> String {
        let quote = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
        format!(
            "port 0\nunixsocket {}\nunixsocketperm 700\nrequirepass {}\ndir {}\nappendonly yes\n\
             appendfsync everysec\nsave \"\"\nmaxmemory 256mb\nmaxmemory-policy volatile-ttl\ndaemonize no\n\
             logfile \"\"\nloglevel notice\ndatabases 1\n",
            quote(&self.socket),
            self.password.expose(),
            quote(&self.dir),
        )
    }

    async fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(&self.socket).await else { return false };
        let words = format!("AUTH {}\r\nPING\r\n", self.password.expose());
        if stream.write_all(words.as_bytes()).await.is_err() {
            return false;
        }
        let (mut said, mut chunk) = (Vec::new(), [0; 256]);
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            said.extend(chunk.iter().take(count));
            let said = String::from_utf8_lossy(&said);
            if said.contains("+PONG") {
                return true;
            }
            if said.contains("-LOADING") || said.contains("-WRONGPASS") {
                return false;
            }
        }
        false
    }
}

/// In the folder itself, or, if that path is too long for a socket, in the runtime folder under a name made from it.
fn socket_in(dir: &Path, runtime: &Path) -> PathBuf {
    let usual = dir.join("redis.sock");
    if usual.as_os_str().len() <= MAX_PATH {
        return usual;
    }
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    runtime.join(format!("secgpt-{:016x}", hasher.finish())).join("redis.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_whose_path_would_be_too_long_is_elsewhere() {
        let (short, long) = (Path::new("/s/redis").to_owned(), Path::new("/").join("d".repeat(120)));
        let runtime = Path::new("/run/user/7");
        assert_eq!(socket_in(&short, runtime), Path::new("/s/redis/redis.sock"));
        let socket = socket_in(&long, runtime);
        assert!(socket.starts_with(runtime) && socket.as_os_str().len() <= MAX_PATH, "{socket:?}");
        assert_eq!(socket, socket_in(&long, runtime));
    }
}
