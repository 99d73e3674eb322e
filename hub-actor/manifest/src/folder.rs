//! The folder of an app: its files and its pin.
//!
//! Answers: is this the same app that was vetted, and which file does the manifest name?
//! Never: reads outside the folder.
//! Carries: I-17.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ManifestError;
use crate::lock::Lock;

/// More than any app has, so that a folder named by mistake does not keep the hub busy.
const MAX_FILES: usize = 50_000;
const MAX_BYTES: u64 = 1 << 30;

/// What a person agreed to; holds the pin, and so is no part of what is pinned.
pub(crate) const LOCK: &str = "app.lock";

/// The pin of an app: SHA-256, in hex, over every file of its folder but the lock, names and contents, and over the
/// programs that the lock binds. A link counts by where it leads to, and is not followed. The same on every machine.
///
/// # Errors
/// If a file cannot be read, or is neither file, folder nor link; or there are far too many.
pub fn hash_of(dir: &Path) -> Result<String, ManifestError> {
    let programs = Lock::read(dir)?.map(|lock| lock.programs).unwrap_or_default();
    hash_with(dir, &programs)
}

/// As [`hash_of`], for a lock that is still to be written.
pub(crate) fn hash_with(dir: &Path, programs: &BTreeMap<PathBuf, String>) -> Result<String, ManifestError> {
    let files = files_of(dir)?;
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    for name in files {
        let path = dir.join(&name);
        let cannot = |error: std::io::Error| ManifestError::new(&path, format!("cannot be read: {error}"));
        let shown = name.to_string_lossy();
        let meta = fs::symlink_metadata(&path).map_err(cannot)?;
        // Each part is preceded by its length, so that no two different folders look the same.
        let mut part = |kind: &[u8], length: u64| {
            hash.update(kind);
            hash.update((shown.len() as u64).to_be_bytes());
            hash.update(shown.as_bytes());
            hash.update(length.to_be_bytes());
        };
        if meta.is_symlink() {
            let target = fs::read_link(&path).map_err(cannot)?;
            let target = target.to_string_lossy();
            part(b"link", target.len() as u64);
            hash.update(target.as_bytes());
            continue;
        }
        bytes = bytes.saturating_add(meta.len());
        if MAX_BYTES < bytes {
            return Err(ManifestError::new(dir, "the folder holds more than 1 GiB"));
        }
        part(b"file", meta.len());
        let mut file = File::open(&path).map_err(cannot)?.take(MAX_BYTES);
        std::io::copy(&mut file, &mut hash).map_err(cannot)?;
    }
    for (path, digest) in programs {
        let path = path.to_string_lossy();
        for part in ["program", &path, digest] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    Ok(hex(hash))
}

/// All files of the folder but the lock, sorted.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let mut files = Vec::new();
    collect(dir, dir, &mut files)?;
    files.retain(|name| name != Path::new(LOCK));
    files.sort();
    Ok(files)
}

/// The digest of each file of the folder but the lock; of a link, where it leads to.
pub(crate) fn digests_of(dir: &Path) -> Result<BTreeMap<String, String>, ManifestError> {
    let mut digests = BTreeMap::new();
    for name in files_of(dir)? {
        let path = dir.join(&name);
        let cannot = |error: std::io::Error| ManifestError::new(&path, format!("cannot be read: {error}"));
        let digest = match fs::symlink_metadata(&path).map_err(cannot)?.is_symlink() {
            true => format!("link to {}", fs::read_link(&path).map_err(cannot)?.display()),
            false => digest_of(&path).map_err(cannot)?,
        };
        digests.insert(name.to_string_lossy().into_owned(), digest);
    }
    Ok(digests)
}

/// The digest of one file, at most a gibibyte of it.
pub(crate) fn digest_of(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut File::open(path)?.take(MAX_BYTES), &mut hash)?;
    Ok(hex(hash))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), ManifestError> {
    let cannot = |error: std::io::Error| ManifestError::new(dir, format!("cannot be read: {error}"));
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(cannot)?);
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() || kind.is_symlink() {
            files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        } else {
            return Err(ManifestError::new(&path, "is neither file, folder nor link"));
        }
        if MAX_FILES < files.len() {
            return Err(ManifestError::new(root, format!("the folder holds more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

/// Reads a file that the manifest names by a path within the folder.
pub(crate) fn read_inside(dir: &Path, name: &str) -> Result<String, String> {
    let relative = Path::new(name);
    let plain = !name.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(format!("{name:?} is not the name of a file in the app's own folder"));
    }
    let path = dir.join(relative);
    // A link could lead anywhere, also by way of a folder on the path.
    let (real, root) = (fs::canonicalize(&path), fs::canonicalize(dir));
    match (real, root) {
        (Ok(real), Ok(root)) if real.starts_with(&root) => {}
        (Ok(_), Ok(_)) => return Err(format!("{name:?} leads out of the app's own folder")),
        (Err(error), _) | (_, Err(error)) => return Err(format!("{name} cannot be read: {error}")),
    }
    let size = fs::metadata(&path).map_or(0, |meta| meta.len());
    if MAX_TEXT < size {
        return Err(format!("{name} has {size} bytes; at most {MAX_TEXT} are read"));
    }
    fs::read_to_string(&path).map_err(|error| format!("{name} cannot be read: {error}"))
}

/// A description of a large web API has some megabytes.
const MAX_TEXT: u64 = 16 << 20;
