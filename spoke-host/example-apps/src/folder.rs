//! The two folders an app has: its own, read-only, with the seed in it; and its data, which it may write.
//!
//! Answers: what does the app remember, and what has it been told?
//! Never: leaves a half-written file, or lets two processes of one app lose each other's changes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::operation::Refusal;

/// The folders of one app.
pub struct Folder {
    app: PathBuf,
    data: PathBuf,
}

/// Shows that this process alone uses the data folder, as long as it lives.
pub struct Locked<'a> {
    folder: &'a Folder,
    _lock: File,
}

impl Folder {
    /// As `APP_DIR` and `APP_DATA` say; in a jail, `/app` and `/data`.
    pub fn from_environment() -> Folder {
        let path =
            |name: &str, usual: &str| std::env::var_os(name).map_or_else(|| usual.into(), PathBuf::from);
        Folder::at(path("APP_DIR", "/app"), path("APP_DATA", "/data"))
    }

    /// These two.
    pub fn at(app: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Folder {
        Folder { app: app.into(), data: data.into() }
    }

    /// Waits until no other process of this app uses the data folder. Operations are short, so the wait is, too.
    pub fn lock(&self) -> Result<Locked<'_>, Refusal> {
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.data.join("lock"))?;
        lock.lock()?;
        Ok(Locked { folder: self, _lock: lock })
    }
}

impl Locked<'_> {
    /// What `file` holds; at first, what the seed in the app's own folder holds.
    pub fn load_seeded<T: DeserializeOwned>(&self, file: &'static str) -> Result<T, Refusal> {
        let text = match read(&self.folder.data.join(file))? {
            Some(text) => text,
            None => read(&self.folder.app.join(SEED))?
                .ok_or(Refusal::Absent { kind: "file", name: SEED.to_owned() })?,
        };
        serde_json::from_str(&text).map_err(|source| Refusal::Damaged { file, source })
    }

    /// What `file` holds; nothing, if it does not exist yet.
    pub fn load<T: DeserializeOwned + Default>(&self, file: &'static str) -> Result<T, Refusal> {
        read(&self.folder.data.join(file))?
            .map_or_else(|| Ok(T::default()), |text| serde_json::from_str(&text))
            .map_err(|source| Refusal::Damaged { file, source })
    }

    /// Replaces what `file` holds, all or nothing.
    pub fn store(&self, file: &'static str, value: &impl Serialize) -> Result<(), Refusal> {
        let text = serde_json::to_vec_pretty(value).map_err(|source| Refusal::Damaged { file, source })?;
        if MAX_FILE < text.len() as u64 {
            return Err(Refusal::Full);
        }
        let new = self.folder.data.join(format!("{file}.new"));
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.folder.data.join(file))?)
    }

    /// Adds one record at the end of `file`, and says how many it holds now.
    pub fn append(&self, file: &'static str, record: &Value) -> Result<usize, Refusal> {
        let path = self.folder.data.join(file);
        let before = read(&path)?.unwrap_or_default();
        if MAX_FILE < before.len() as u64 {
            return Err(Refusal::Full);
        }
        let mut out = OpenOptions::new().create(true).append(true).open(path)?;
        out.write_all(format!("{record}\n").as_bytes())?;
        Ok(before.lines().count() + 1)
    }

    /// Notes a call in the journal, before it is judged or carried out.
    pub fn note(&self, functionality: &str, arguments: &Map<String, Value>) -> Result<(), Refusal> {
        self.append("journal.jsonl", &json!({ "functionality": functionality, "arguments": arguments }))
            .map(drop)
    }
}

/// The time, as messages and files carry it.
pub fn now() -> String {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    now.format(&Rfc3339).unwrap_or_default()
}

const SEED: &str = "seed.json";

/// Far more than the example data, and little enough to read whole for every operation.
const MAX_FILE: u64 = 4 * 1024 * 1024;

fn read(path: &Path) -> Result<Option<String>, Refusal> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    file.take(2 * MAX_FILE).read_to_string(&mut text)?;
    Ok(Some(text))
}
