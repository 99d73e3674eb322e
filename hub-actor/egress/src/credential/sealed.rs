//! The file that holds the credentials.
//!
//! Answers: what is in it, and how is it changed without ever being half written?
//! Never: writes a secret unsealed; lets anybody but its owner read file or key; goes on with a key that does not fit.
//! Carries: I-15. Form: 8 bytes `SECGPTC1`, a 12-byte nonce, and the JSON sealed with ChaCha20-Poly1305 (RFC 8439).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bus::secret::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{Credential, Owner};

/// All of them.
pub type Held = BTreeMap<Owner, Credential>;

/// Says what it is and binds the seal to it.
const MAGIC: &[u8; 8] = b"SECGPTC1";

/// The largest file that is read, bytes; thousands of credentials.
const LARGEST: u64 = 16 << 20;

/// The folder `credentials`: the sealed file, a lock, and the key, unless that is given.
pub struct Sealed {
    folder: PathBuf,
    key: LessSafeKey,
    /// What was read, and of which state of the file.
    seen: Mutex<Option<(State, Arc<Held>)>>,
}

/// Tells one writing of the file from the next: each is a new file.
type State = (u64, Option<SystemTime>, u64);

/// Why a key is none.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Of another form.
    #[error("the key is not 64 hexadecimal digits")]
    Form,
    /// Others may read it.
    #[error("{0} may be read by others; run `chmod 600` on it, and renew the credentials")]
    Open(PathBuf),
}

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Reading or writing.
    #[error("cannot {doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Sealed with another key, or changed since.
    #[error("{0} was sealed with another key, or was changed")]
    Seal(PathBuf),
    /// Not in the form of this version.
    #[error("{0} is not of a form that this version knows")]
    Form(PathBuf),
}

/// A list of pairs: JSON has no keys that are objects.
#[derive(Serialize, Deserialize)]
struct Entry {
    owner: Owner,
    credential: Credential,
}

impl Sealed {
    /// Opens the folder and makes it, and a key, where there is none. The file is read once, so that a key that does
    /// not fit is known at the start.
    ///
    /// # Errors
    /// If the key or the file cannot be used.
    pub fn open(folder: &Path, key: Option<&Secret>) -> Result<Self, SealError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| SealError::File { doing: "make", path: folder.to_owned(), source })?;
        let bytes = match key {
            Some(key) => from_hex(key.expose()).ok_or(KeyError::Form)?,
            None => own_key(&folder.join("key"))?,
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| KeyError::Form)?;
        let sealed = Self { folder: folder.to_owned(), key: LessSafeKey::new(key), seen: Mutex::default() };
        sealed.read()?;
        Ok(sealed)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("credentials.sealed")
    }

    /// All of them, as they are now: another process may have changed the file.
    ///
    /// # Errors
    /// If the file cannot be read with this key.
    pub fn read(&self) -> Result<Arc<Held>, SealError> {
        let path = self.path();
        let state = match fs::metadata(&path) {
            Ok(found) => (found.ino(), found.modified().ok(), found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(source) => return Err(SealError::File { doing: "read", path, source }),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, held)) = seen.as_ref()
            && *then == state
        {
            return Ok(Arc::clone(held));
        }
        let held = Arc::new(self.unseal()?);
        *seen = Some((state, Arc::clone(&held)));
        Ok(held)
    }

    /// Changes them; a change of another process at the same time waits.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn change<T>(&self, change: impl FnOnce(&mut Held) -> T) -> Result<T, SealError> {
        let lock = self.folder.join("lock");
        let fault = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| SealError::File { doing, path, source }
        };
        let locked =
            owned().write(true).create(true).truncate(false).open(&lock).map_err(fault("open", &lock))?;
        locked.lock().map_err(fault("lock", &lock))?;
        let path = self.path();
        let mut held = if path.exists() { self.unseal()? } else { Held::new() };
        let result = change(&mut held);
        let bytes = self.seal(held)?;
        let fresh = self.folder.join("credentials.new");
        let mut file =
            owned().write(true).create(true).truncate(true).open(&fresh).map_err(fault("write", &fresh))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fault("write", &fresh))?;
        fs::rename(&fresh, &path).map_err(fault("replace", &path))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(fault("save", &self.folder))?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(result)
    }

    fn seal(&self, held: Held) -> Result<Vec<u8>, SealError> {
        let form = || SealError::Form(self.path());
        let entries: Vec<Entry> =
            held.into_iter().map(|(owner, credential)| Entry { owner, credential }).collect();
        let mut body = serde_json::to_vec(&entries).map_err(|_| form())?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| form())?;
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(MAGIC), &mut body)
            .map_err(|_| form())?;
        Ok([MAGIC.as_slice(), &nonce, &body].concat())
    }

    fn unseal(&self) -> Result<Held, SealError> {
        let path = self.path();
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
            .map_err(|source| SealError::File { doing: "read", path: path.clone(), source })?;
        let form = || SealError::Form(path.clone());
        let (magic, rest) = bytes.split_at_checked(MAGIC.len()).ok_or_else(form)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or_else(form)?;
        if magic != MAGIC {
            return Err(form());
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| form())?;
        let mut body = body.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(MAGIC), &mut body)
            .map_err(|_| SealError::Seal(path.clone()))?;
        let entries: Vec<Entry> = serde_json::from_slice(plain).map_err(|_| form())?;
        Ok(entries.into_iter().map(|entry| (entry.owner, entry.credential)).collect())
    }
}

/// For files that only their owner may read.
fn owned() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// The key in the folder; made, where there is none.
fn own_key(path: &Path) -> Result<Vec<u8>, SealError> {
    let fault = |doing| {
        let path = path.to_owned();
        move |source| SealError::File { doing, path, source }
    };
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| fault("make")(io::Error::other("no random numbers")))?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Written whole under another name first, and linked, so that two processes at once end with one whole key.
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    if !path.exists() {
        let made = owned().write(true).create(true).truncate(true).open(&fresh);
        made.and_then(|mut file| file.write_all(hex.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(fault("make"))?;
        match fs::hard_link(&fresh, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fault("make")(error)),
            _ => {}
        }
        let _ = fs::remove_file(&fresh);
    }
    if fs::metadata(path).map_err(fault("read"))?.mode() & 0o077 != 0 {
        return Err(KeyError::Open(path.to_owned()).into());
    }
    let text = fs::read_to_string(path).map_err(fault("read"))?;
    Ok(from_hex(text.trim()).ok_or(KeyError::Form)?)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}
