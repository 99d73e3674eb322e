//! What a person agreed to: `app.lock`, beside `app.toml`.
//!
//! Answers: is this app still the one that was pinned, and if not, what has changed?
//! Never: takes a changed app for the pinned one; pins anything by itself, which is for a person to ask for.
//! Carries: I-17.
//!
//! An app without a lock is as vetted as its folder: the shipped ones are. A lock binds the folder's files, what the
//! server said, and programs that the command names outside of the folder and of the system's own folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bus::message::offer::Tool;
use serde::{Deserialize, Serialize};

use crate::error::ManifestError;
use crate::folder::{LOCK, digest_of, digests_of, hash_with, read_inside};
use crate::load::{AppKind, Manifest};

/// What an MCP server said of itself when it was added: `{"<name>": {"description", "request", …}}`. Kept in the folder,
/// so that it is part of the pin: a server that says something else later is noticed.
pub const DISCOVERED: &str = "discovered.json";

/// What was agreed to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Of this form; 1.
    pub version: u32,
    /// Where the app came from, as a person reads it: `pypi NAME==VERSION`.
    #[serde(default)]
    pub from: String,
    /// The pin: see [`crate::hash_of`].
    pub hash: String,
    /// The manifest's text, to show what has changed in it.
    pub manifest: String,
    /// What the app said of each functionality, also of those that the manifest leaves out.
    pub said: BTreeMap<String, Tool>,
    /// Programs outside of the folder, with the digest of each.
    #[serde(default)]
    pub programs: BTreeMap<PathBuf, String>,
    /// The digest of each file of the folder.
    pub files: BTreeMap<String, String>,
}

/// Something that is no longer as it was pinned.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The text of `app.toml`.
    Manifest {
        /// As it was pinned.
        was: String,
        /// As it is.
        is: String,
    },
    /// What the app says of a functionality; none where it was not, or is no longer, offered.
    Said {
        /// Its name.
        name: String,
        /// As it was pinned.
        was: Option<Box<Tool>>,
        /// As it is.
        is: Option<Box<Tool>>,
    },
    /// A file of the folder.
    File {
        /// Its name within the folder.
        name: String,
        /// What became of it.
        how: How,
    },
    /// A program outside of the folder.
    Program {
        /// Where it is.
        path: PathBuf,
        /// What became of it.
        how: How,
    },
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was not there.
    Added,
    /// It is no longer there.
    Removed,
    /// Its content is another.
    Changed,
}

impl Lock {
    /// The lock for an app as it stands.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of(manifest: &Manifest, from: String) -> Result<Self, ManifestError> {
        let mut lock = Self {
            version: 1,
            from,
            hash: String::new(),
            manifest: manifest_text(&manifest.dir)?,
            said: said(manifest)?,
            programs: BTreeMap::new(),
            files: digests_of(&manifest.dir)?,
        };
        for path in programs(&manifest.kind) {
            let digest = digest_of(&path)
                .map_err(|error| ManifestError::new(&path, format!("cannot be read: {error}")))?;
            lock.programs.insert(path, digest);
        }
        lock.hash = hash_with(&manifest.dir, &lock.programs)?;
        Ok(lock)
    }

    /// Reads the lock of the app in this folder; none if there is none.
    ///
    /// # Errors
    /// If it is there and is not a lock.
    pub fn read(dir: &Path) -> Result<Option<Self>, ManifestError> {
        let file = dir.join(LOCK);
        if fs::symlink_metadata(&file).is_err() {
            return Ok(None);
        }
        let text = read_inside(dir, LOCK).map_err(|what| ManifestError::new(&file, what))?;
        let lock: Self = serde_json::from_str(&text).map_err(|error| {
            ManifestError::new(&file, format!("is not a lock: {error}"))
                .on(Some(error.line()))
                .hint("`secgpt apps pin` writes it anew")
        })?;
        if lock.version != 1 {
            return Err(ManifestError::new(&file, format!("is of version {}, not 1", lock.version)));
        }
        Ok(Some(lock))
    }

    /// As it is written.
    ///
    /// # Errors
    /// If it cannot be written as JSON, which cannot be.
    pub fn text(&self) -> Result<String, ManifestError> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| ManifestError::new(Path::new(LOCK), error.to_string()))
    }

    /// What has changed since; `now` is what the app says today.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn changes(&self, dir: &Path, now: &BTreeMap<String, Tool>) -> Result<Vec<Change>, ManifestError> {
        let mut changes = Vec::new();
        let is = manifest_text(dir)?;
        if is != self.manifest {
            changes.push(Change::Manifest { was: self.manifest.clone(), is });
        }
        for name in self.said.keys().chain(now.keys().filter(|name| !self.said.contains_key(*name))) {
            let (was, is) = (self.said.get(name), now.get(name));
            if was.map(Tool::pin) != is.map(Tool::pin) {
                changes.push(Change::Said {
                    name: name.clone(),
                    was: was.cloned().map(Box::new),
                    is: is.cloned().map(Box::new),
                });
            }
        }
        let files = digests_of(dir)?;
        // These two were shown with their content.
        let shown = |name: &&String| !matches!(name.as_str(), "app.toml" | DISCOVERED);
        let all = self.files.keys().chain(files.keys().filter(|name| !self.files.contains_key(*name)));
        for name in all.filter(shown) {
            if let Some(how) = how(self.files.get(name), files.get(name)) {
                changes.push(Change::File { name: name.clone(), how });
            }
        }
        for (path, was) in &self.programs {
            if let Some(how) = how(Some(was), digest_of(path).ok().as_ref()) {
                changes.push(Change::Program { path: path.clone(), how });
            }
        }
        Ok(changes)
    }
}

fn how(was: Option<&String>, is: Option<&String>) -> Option<How> {
    match (was, is) {
        (None, Some(_)) => Some(How::Added),
        (Some(_), None) => Some(How::Removed),
        (Some(was), Some(is)) if was != is => Some(How::Changed),
        _ => None,
    }
}

/// What the app in this folder says today, as far as its files tell.
///
/// # Errors
/// If `discovered.json` is there and is not what it should be.
pub fn said(manifest: &Manifest) -> Result<BTreeMap<String, Tool>, ManifestError> {
    let file = manifest.dir.join(DISCOVERED);
    if file.is_file() {
        let text = read_inside(&manifest.dir, DISCOVERED).map_err(|what| ManifestError::new(&file, what))?;
        let tools: BTreeMap<String, Tool> = serde_json::from_str(&text).map_err(|error| {
            ManifestError::new(&file, format!("is not what a server said: {error}")).on(Some(error.line()))
        })?;
        return Ok(named(tools));
    }
    let tool = |function: &crate::FunctionSpec| Tool {
        name: function.name.to_string(),
        description: function.description.clone(),
        request: function.request.value().clone(),
        response: function.response.as_ref().map(|schema| schema.value().clone()),
        ..Tool::default()
    };
    Ok(manifest.functions.iter().map(|function| (function.name.to_string(), tool(function))).collect())
}

fn named(mut tools: BTreeMap<String, Tool>) -> BTreeMap<String, Tool> {
    for (name, tool) in &mut tools {
        tool.name.clone_from(name);
    }
    tools
}

/// Refuses an app that is not as it was pinned. `hash` is the folder's today.
///
/// # Errors
/// Says how many things have changed, and names some.
pub(crate) fn check(dir: &Path, hash: &str) -> Result<(), ManifestError> {
    let Some(lock) = Lock::read(dir)? else { return Ok(()) };
    let app = dir.file_name().unwrap_or_default().to_string_lossy();
    let mut changed = Vec::new();
    if lock.hash != hash {
        let files = digests_of(dir)?;
        let all = lock.files.keys().chain(files.keys().filter(|name| !lock.files.contains_key(*name)));
        changed.extend(all.filter(|name| lock.files.get(*name) != files.get(*name)).cloned());
        if changed.is_empty() {
            changed.push(LOCK.to_owned());
        }
    }
    changed.extend(programs_changed(&lock));
    if changed.is_empty() {
        return Ok(());
    }
    let few: Vec<&str> = changed.iter().take(3).map(String::as_str).collect();
    let more = changed.len().saturating_sub(few.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let what = format!("{app} has changed since it was pinned ({}{more}), so it is not used", few.join(", "));
    Err(ManifestError::new(&dir.join("app.toml"), what)
        .hint(format!("`secgpt apps pin {app}` shows the difference and asks")))
}

/// Programs on this machine that are no longer those that were pinned. One that is not there at all may be on the
/// machine that runs the app.
fn programs_changed(lock: &Lock) -> Vec<String> {
    let changed = |(path, was): &(&PathBuf, &String)| digest_of(path).is_ok_and(|is| is != **was);
    lock.programs.iter().filter(changed).map(|(path, _)| path.display().to_string()).collect()
}

/// The programs that the lock of this folder binds; none without a lock.
///
/// # Errors
/// If the lock is there and is not one.
pub fn programs_of(dir: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    Ok(Lock::read(dir)?.map(|lock| lock.programs.into_keys().collect()).unwrap_or_default())
}

/// Does every program that the lock of this folder binds stand on this machine, unchanged? For the host, which runs
/// them.
///
/// # Errors
/// Names the first that does not.
pub fn check_programs(dir: &Path) -> Result<(), ManifestError> {
    let Some(lock) = Lock::read(dir)? else { return Ok(()) };
    for (path, was) in &lock.programs {
        match digest_of(path) {
            Ok(is) if is == *was => {}
            Ok(_) => {
                let app = dir.file_name().unwrap_or_default().to_string_lossy();
                let what = "is not the program that was pinned";
                return Err(ManifestError::new(path, what)
                    .hint(format!("`secgpt apps pin {app}` shows the difference and asks")));
            }
            Err(error) => return Err(ManifestError::new(path, format!("cannot be read: {error}"))),
        }
    }
    Ok(())
}

/// Folders whose programs come and change with the system; whoever may write there is root.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix/store"];

/// Files that the command names by a full path outside of the system's own folders.
fn programs(kind: &AppKind) -> Vec<PathBuf> {
    let AppKind::Stdio { command } = kind else { return Vec::new() };
    let named = command.iter().map(PathBuf::from).filter(|path| path.is_absolute() && path.is_file());
    named.filter(|path| !is_systems(path)).collect()
}

fn is_systems(path: &Path) -> bool {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    SYSTEM.iter().any(|folder| real.starts_with(folder))
}

fn manifest_text(dir: &Path) -> Result<String, ManifestError> {
    read_inside(dir, "app.toml").map_err(|what| ManifestError::new(&dir.join("app.toml"), what))
}

#[cfg(test)]
mod tests;
