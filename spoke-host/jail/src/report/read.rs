//! Reading `/proc`.
//!
//! Answers: what do the files of a process say?
//! Never: fills in a value that is not there.

use super::{Capabilities, Mount, Namespaces, Report};
use crate::descriptors::Kind;
use crate::error::{Error, Layer};
use nix::sys::statfs::{FsType, PROC_SUPER_MAGIC, TMPFS_MAGIC, statfs};
use nix::sys::statvfs::FsFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) fn report(pid: u32) -> Result<Report, Error> {
    let status = text(&pid, "status")?;
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let number =
        |name: &str| field(name).and_then(|value| value.parse::<u32>().ok()).ok_or_else(|| unknown(name));
    let bits = |name: &str| {
        field(name).and_then(|value| u64::from_str_radix(value, 16).ok()).ok_or_else(|| unknown(name))
    };
    let numbers = |name: &str| -> Result<Vec<u32>, Error> {
        field(name)
            .ok_or_else(|| unknown(name))?
            .split_ascii_whitespace()
            .map(|value| value.parse().map_err(|_| unknown(name)))
            .collect()
    };
    let listed = mounts(&text(&pid, "mountinfo")?);
    let mounts_listed = !listed.is_empty();
    let uids: [u32; 4] = numbers("Uid")?.try_into().map_err(|_| unknown("Uid"))?;
    let owner =
        std::fs::metadata(format!("/proc/{pid}/limits")).map_err(|error| unread("limits", error))?.uid();
    Ok(Report {
        pid,
        seccomp_mode: number("Seccomp")?,
        seccomp_filters: field("Seccomp_filters").and_then(|value| value.parse().ok()),
        no_new_privs: number("NoNewPrivs")? == 1,
        capabilities: Capabilities {
            inheritable: bits("CapInh")?,
            permitted: bits("CapPrm")?,
            effective: bits("CapEff")?,
            bounding: bits("CapBnd")?,
            ambient: bits("CapAmb")?,
        },
        dumpable: uids.get(1) == Some(&owner),
        uids,
        groups: numbers("Groups")?,
        threads: number("Threads")?,
        hard_limits: limits(&text(&pid, "limits")?),
        namespaces: namespaces(pid)?,
        descriptors: descriptors(pid)?,
        environment_bytes: environment(pid)?,
        mounts: if mounts_listed { listed } else { walked(pid)? },
        mounts_listed,
        root_entries: root_entries(pid)?,
        interfaces: interfaces(&text(&pid, "net/dev")?),
    })
}

pub(super) fn namespaces(pid: impl Display) -> Result<Namespaces, Error> {
    let inode = |name: &str| {
        std::fs::metadata(format!("/proc/{pid}/ns/{name}"))
            .map(|metadata| metadata.ino())
            .map_err(|error| unread("ns", error))
    };
    Ok(Namespaces {
        user: inode("user")?,
        mount: inode("mnt")?,
        pid: inode("pid")?,
        network: inode("net")?,
        ipc: inode("ipc")?,
        uts: inode("uts")?,
        cgroup: inode("cgroup")?,
    })
}

/// Lines of a name padded to 26 columns, a soft limit, a hard limit, a unit.
fn limits(text: &str) -> BTreeMap<String, Option<u64>> {
    const NAME: usize = 26;
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let (name, values) = line.split_at_checked(NAME)?;
            let hard = values.split_ascii_whitespace().nth(1)?;
            let hard = match hard {
                "unlimited" => None,
                number => Some(number.parse().ok()?),
            };
            Some((name.trim().to_owned(), hard))
        })
        .collect()
}

fn descriptors(pid: u32) -> Result<BTreeMap<Kind, u32>, Error> {
    let mut kinds = BTreeMap::new();
    let folder = format!("/proc/{pid}/fd");
    for entry in std::fs::read_dir(folder).map_err(|error| unread("fd", error))? {
        let entry = entry.map_err(|error| unread("fd", error))?;
        // Closed since.
        let Ok(link) = std::fs::read_link(entry.path()) else {
            continue;
        };
        *kinds.entry(Kind::of_link(&link.to_string_lossy())).or_insert(0) += 1;
    }
    Ok(kinds)
}

fn environment(pid: u32) -> Result<u64, Error> {
    std::fs::read(format!("/proc/{pid}/environ"))
        .map(|bytes| bytes.len() as u64)
        .map_err(|error| unread("environ", error))
}

/// Lines of: id, parent, device, root, place, options, optional fields, `-`, type, source, options.
fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(4);
            let place = before.next()?.to_owned();
            let options = before.next()?;
            let mut after = after.split(' ');
            let kind = after.next()?.to_owned();
            let whole = after.nth(1)?;
            let read_only = |options: &str| options.split(',').any(|option| option == "ro");
            Some(Mount { place, kind, writable: !read_only(options) && !read_only(whole) })
        })
        .collect()
}

/// More entries of its own than this the root of a jail has not.
const MOST_ENTRIES: usize = 4096;

/// What is mounted in the root's own folders: whatever is on another device. What lies below another mount was given the
/// same attributes with it.
fn walked(pid: u32) -> Result<Vec<Mount>, Error> {
    let top = PathBuf::from(format!("/proc/{pid}/root/"));
    let failed = |error| unread("root", error);
    let device = top.metadata().map_err(failed)?.dev();
    let mut mounts = vec![mount(&top, "/".to_owned())?];
    let mut folders = vec![(top, String::new())];
    let mut seen = 0;
    while let Some((folder, place)) = folders.pop() {
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            seen += 1;
            if MOST_ENTRIES < seen {
                return Err(Error::new(Layer::Report, "the root of the process has too many entries"));
            }
            let place = format!("{place}/{}", entry.file_name().to_string_lossy());
            // Of the entry itself: a link would lead into the reader's own root.
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                continue;
            }
            if entry.path().symlink_metadata().map_err(failed)?.dev() != device {
                mounts.push(mount(&entry.path(), place)?);
            } else if kind.is_dir() {
                folders.push((entry.path(), place));
            }
        }
    }
    Ok(mounts)
}

fn mount(path: &Path, place: String) -> Result<Mount, Error> {
    let about = statfs(path).map_err(|errno| unread("root", errno.into()))?;
    let kind = match about.filesystem_type() {
        TMPFS_MAGIC => "tmpfs".to_owned(),
        PROC_SUPER_MAGIC => "proc".to_owned(),
        FsType(other) => format!("{other:#x}"),
    };
    Ok(Mount { place, kind, writable: !about.flags().contains(FsFlags::ST_RDONLY) })
}

fn root_entries(pid: u32) -> Result<u32, Error> {
    std::fs::read_dir(format!("/proc/{pid}/root/"))
        .map(|entries| u32::try_from(entries.count()).unwrap_or(u32::MAX))
        .map_err(|error| unread("root", error))
}

/// Two lines of headings, then one line for each interface.
fn interfaces(text: &str) -> Vec<String> {
    text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

pub(super) fn app_of(spoke: u32) -> Result<Option<u32>, Error> {
    let depth = |pid: u32| -> Option<Vec<u32>> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_ascii_whitespace().map(|value| value.parse().ok()).collect()
    };
    let mut pending: BTreeSet<u32> = children(spoke)?;
    let mut seen = BTreeSet::new();
    while let Some(pid) = pending.pop_first() {
        if !seen.insert(pid) {
            continue;
        }
        let inside = depth(pid).unwrap_or_default();
        // The first process of a namespace is its init; its first child is the program.
        if 1 < inside.len() && inside.last() == Some(&1) {
            return Ok(children(pid)?.first().copied());
        }
        pending.extend(children(pid)?);
    }
    Ok(None)
}

/// The children of a process: from the list the kernel keeps, or where it does not, by asking every
/// process for its parent.
fn children(pid: u32) -> Result<BTreeSet<u32>, Error> {
    if Path::new("/proc/thread-self/children").exists() {
        let mut all = BTreeSet::new();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(list.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        return Ok(all);
    }
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").map_err(|error| unread("/proc", error))?.flatten() {
        let Ok(other) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if parent.and_then(|parent| parent.trim().parse().ok()) == Some(pid) {
            all.insert(other);
        }
    }
    Ok(all)
}

fn text(pid: &impl Display, file: &str) -> Result<String, Error> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| unread(file, error))
}

fn unread(file: &str, error: std::io::Error) -> Error {
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    let error = Error::system(Layer::Report, format!("could not read {file} of the process"), error);
    if denied {
        error.with_hint(
            "the host must be root with CAP_SYS_PTRACE, or the ordinary user that started the process itself",
        )
    } else {
        error
    }
}

fn unknown(name: &str) -> Error {
    Error::new(Layer::Report, format!("the kernel does not say {name}"))
        .with_hint("a kernel of 5.12 or newer, built with seccomp filters, is needed")
}
