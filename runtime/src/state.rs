//! The state folder: keys, data, logs, and who uses it now.
//!
//! Answers: where is what is kept, and is another instance at work on it?
//! Never: readable by anybody else; two instances at once.
//! Carries: I-15.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bus::identity::Realm;
use bus::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The state folder.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

/// Shows that no other instance works on this state folder, as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who works on it.
#[derive(Debug)]
pub struct Holder {
    /// Its process id, if it has said so yet.
    pub pid: Option<u32>,
}

/// What an instance says about itself once it can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its process id.
    pub pid: u32,
    /// The bus's address.
    pub url: String,
    /// For TLS.
    pub tls_ca: Option<PathBuf>,
    /// The command that it was started with: `up`, `chat`, `ask` …
    pub command: String,
    /// The model that answers.
    pub model: String,
    /// What the user should know about it.
    pub note: Option<String>,
}

impl Running {
    /// Will it stay until somebody ends it? One that was started for a single query will not.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self.command.as_str(), "up" | "chat")
    }
}

impl State {
    /// Opens the folder; makes it if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or others may read it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        make_private(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A place in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A folder in it, made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.path(name);
        make_private(&dir)?;
        Ok(dir)
    }

    /// Takes the lock, or says who has it.
    ///
    /// # Errors
    /// If the lock file cannot be used at all.
    pub fn try_lock(&self) -> Result<Result<Lock, Holder>, Error> {
        let path = self.path("lock");
        let failed = |error: std::io::Error| {
            Error::failed(format!("the lock file {} cannot be used", path.display())).because(error)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
                writeln!(file, "{}", std::process::id()).map_err(failed)?;
                Ok(Ok(Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(failed)?;
                Ok(Err(Holder { pid: text.trim().parse().ok() }))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// What the instance that has the lock says about itself. Means nothing if nobody has the lock.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        serde_json::from_slice(&fs::read(self.path("running.json")).ok()?).ok()
    }

    /// Says that this instance can be used; the caller has the lock.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn set_running(&self, running: &Running) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(running)
            .map_err(|error| Error::failed("running.json cannot be written").because(error))?;
        write_private(&self.path("running.json"), &text)
    }

    /// Says that this instance can no longer be used.
    pub fn clear_running(&self) {
        // It is not there if the start did not get that far.
        let _ = fs::remove_file(self.path("running.json"));
    }

    /// The roots of trust of this installation: made once by whoever has the lock, then kept.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn realm(&self) -> Result<Realm, Error> {
        let dir = self.folder("keys")?;
        let file = |name: &str| dir.join(format!("{name}.nk"));
        let read = |name: &str| {
            fs::read_to_string(file(name)).map(|text| Secret::new(text.trim().to_owned())).map_err(|error| {
                Error::failed(format!("the key {} cannot be read", file(name).display()))
                    .because(error)
                    .hint("keys are made together; to start anew, remove the whole `keys` folder")
            })
        };
        if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_none()) {
            let realm = Realm::generate()?;
            let all = [
                ("operator", &realm.operator),
                ("account", &realm.account),
                ("signing", &realm.signing),
                ("system", &realm.system),
            ];
            // All together or none: half of them, as a full disk would leave, are of no use to the next start.
            let new = self.path("keys.new");
            let _ = fs::remove_dir_all(&new);
            make_private(&new)?;
            for (name, key) in all {
                write_private(&new.join(format!("{name}.nk")), format!("{}\n", key.expose()).as_bytes())?;
            }
            fs::rename(&new, &dir).map_err(|error| {
                Error::failed(format!("the folder {} cannot be put in place", dir.display())).because(error)
            })?;
        }
        Ok(Realm {
            operator: read("operator")?,
            account: read("account")?,
            signing: read("signing")?,
            system: read("system")?,
        })
    }

    /// A secret that is made once and then kept: 64 hexadecimal digits.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn secret(&self, name: &str) -> Result<Secret, Error> {
        let path = self.folder("keys")?.join(name);
        if let Ok(text) = fs::read_to_string(&path)
            && !text.trim().is_empty()
        {
            return Ok(Secret::new(text.trim().to_owned()));
        }
        let mut bytes = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut bytes))
            .map_err(|error| Error::failed("the random source cannot be read").because(error))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&path, text.as_bytes())?;
        Ok(Secret::new(text))
    }
}

/// Makes a folder that only its owner may enter; refuses one that others may.
///
/// # Errors
/// If it cannot be made, is not ours, or is open to others.
pub fn make_private(dir: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("the folder {} cannot be made", dir.display())).because(error)
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let found = fs::metadata(dir).map_err(failed)?;
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(Error::failed(format!("the folder {} belongs to somebody else", dir.display()))
            .hint("name another one with SECGPT_STATE_DIR or `[state] dir`"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        return Err(Error::failed(format!("others may look into the folder {}", dir.display()))
            .hint(format!("it holds keys: chmod 700 {}", dir.display())));
    }
    Ok(())
}

/// Writes a file that only its owner may read, all or nothing.
///
/// # Errors
/// If it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::failed(format!("{} cannot be written", path.display())).because(error);
    let new = path.with_extension("new");
    // Left behind by an instance that was killed in the middle.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_learns_who_has_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let lock = state.try_lock().unwrap().unwrap();
        let holder = state.try_lock().unwrap().unwrap_err();
        assert_eq!(holder.pid, Some(std::process::id()));
        drop(lock);
        assert!(state.try_lock().unwrap().is_ok());
    }

    #[test]
    fn keys_are_made_once_and_nobody_else_may_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let (first, second) = (state.realm().unwrap(), state.realm().unwrap());
        assert_eq!(first.signing, second.signing);
        for entry in fs::read_dir(state.path("keys")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(state.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn keys_that_were_half_made_do_not_stand_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        make_private(&state.path("keys.new")).unwrap();
        fs::write(state.path("keys.new").join("operator.nk"), "").unwrap();
        let first = state.realm().unwrap();
        assert_eq!(first.system, state.realm().unwrap().system);
        assert!(!state.path("keys.new").exists());
    }

    #[test]
    fn a_state_folder_that_others_may_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = State::open(dir.path()).unwrap_err();
        assert!(error.way_out().unwrap().starts_with("it holds keys: chmod 700 "), "{error:?}");
    }
}
