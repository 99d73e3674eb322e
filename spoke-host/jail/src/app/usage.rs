//! What an app uses, where the kernel does not keep count for us.
//!
//! Answers: is the app over its memory or its data folder?
//! Never: follows a link, or spends more than a small part of its time on looking.
//! Carries: I-16. Between two looks an app can be over; the limits of the kernel bound by how much.

use super::AppEnd;
use crate::limits::AppLimits;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// `st_blocks` counts these, whatever the file system's own blocks are.
const BLOCK: u64 = 512;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// Looking takes at most a tenth of the time.
const REST_PER_WORK: u32 = 9;
/// More files than this in a data folder is over the limit, whatever they hold: each costs an inode.
const MOST_FILES: usize = 100_000;

pub(super) struct Usage {
    memory_mb: u64,
    data_mb: u64,
    next: Instant,
}

impl Usage {
    pub(super) fn new(limits: &AppLimits) -> Usage {
        Usage { memory_mb: limits.memory_mb, data_mb: limits.data_mb, next: Instant::now() + BETWEEN_LOOKS }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Instant {
        self.next
    }

    /// Looks, if it is time, and says what is over.
    pub(super) fn look(&mut self) -> Option<AppEnd> {
        let begun = Instant::now();
        if begun < self.next {
            return None;
        }
        let end = self.over();
        let work = begun.elapsed();
        self.next = Instant::now() + BETWEEN_LOOKS.max(work * REST_PER_WORK);
        end
    }

    fn over(&self) -> Option<AppEnd> {
        let memory = memory() / MIB;
        if self.memory_mb < memory {
            return Some(AppEnd::OverMemory { used_mb: memory, limit_mb: self.memory_mb });
        }
        let (bytes, files) = data(Path::new("/data"));
        let used_mb = (bytes + unlinked()) / MIB;
        (self.data_mb < used_mb || MOST_FILES < files)
            .then_some(AppEnd::OverData { used_mb, limit_mb: self.data_mb })
    }
}

/// Processes of the jail except init.
fn processes() -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name != "1" && name.bytes().all(|byte| byte.is_ascii_digit())
        })
        .map(|entry| entry.path())
}

/// Private resident memory of all processes, in bytes. Shared pages (programs, libraries) are not
/// the app's to pay for; what it shares with itself lies in `/tmp` and `/dev/shm`, which have sizes.
fn memory() -> u64 {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096);
    processes()
        .filter_map(|process| {
            let text = std::fs::read_to_string(process.join("statm")).ok()?;
            let mut fields = text.split_ascii_whitespace().skip(1);
            let resident: u64 = fields.next()?.parse().ok()?;
            let shared: u64 = fields.next()?.parse().ok()?;
            Some(resident.saturating_sub(shared).saturating_mul(page))
        })
        .sum()
}

/// Bytes on disk and number of files below a folder; a file with several names counts once.
fn data(top: &Path) -> (u64, usize) {
    let (mut bytes, mut files) = (0_u64, 0_usize);
    let mut several_names = HashSet::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Of the entry itself, never of what a link leads to.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            files += 1;
            if MOST_FILES < files {
                return (bytes, files);
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if metadata.is_dir()
                || metadata.nlink() == 1
                || several_names.insert((metadata.dev(), metadata.ino()))
            {
                bytes = bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK));
            }
        }
    }
    (bytes, files)
}

/// Bytes of files that have no name any more but are still open.
fn unlinked() -> u64 {
    let mut seen = HashSet::new();
    let mut bytes = 0_u64;
    for process in processes() {
        let descriptors = std::fs::read_dir(process.join("fd"));
        for entry in descriptors.into_iter().flatten().flatten() {
            let Ok(metadata) = std::fs::metadata(entry.path()) else {
                continue;
            };
            if metadata.is_file() && metadata.nlink() == 0 && seen.insert((metadata.dev(), metadata.ino())) {
                bytes = bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK));
            }
        }
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{MIB, data};

    #[test]
    fn a_file_counts_once_and_a_link_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, vec![1; 2 * MIB as usize]).unwrap();
        std::fs::hard_link(&file, folder.path().join("b")).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("c")).unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        let (bytes, files) = data(folder.path());
        assert_eq!(bytes / MIB, 2);
        assert_eq!(files, 4);
    }
}
