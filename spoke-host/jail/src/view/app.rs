//! The file system an app sees.
//!
//! Answers: which folders are at which place, and which of them can be written to?
//! Never: shows the state directory, a home or another app because it lies beside something shown.
//! Carries: I-12.

use super::{become_root, cover, failed, private};
use crate::error::{Error, Layer};
use crate::identity::INSIDE;
use crate::sys;
use libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, chroot, fchdir};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// What an app is shown beside the system's own folders.
pub(crate) struct Shown {
    /// Read-only at `/app`.
    pub(crate) app_dir: PathBuf,
    /// Read-write at `/data`.
    pub(crate) data_dir: PathBuf,
    /// Read-only at their own place.
    pub(crate) read: Vec<PathBuf>,
    /// Size of `/tmp` in MiB.
    pub(crate) tmp_mb: u64,
}

/// Programs and libraries. A link (as `/bin` is on most systems) is made again as a link.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// What programs need of `/etc`: the library cache, certificates, the time zone, names of services.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Parts of `/proc` that speak of the whole machine and that no ordinary program needs; and what init
/// was started with, which has paths of the machine in it.
const MASKED: &[&str] = &[
    "1/cmdline",
    "acpi",
    "asound",
    "bus",
    "cmdline",
    "config.gz",
    "crypto",
    "device-tree",
    "diskstats",
    "driver",
    "fb",
    "fs",
    "iomem",
    "ioports",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "locks",
    "modules",
    "mtrr",
    "pagetypeinfo",
    "partitions",
    "pressure",
    "sched_debug",
    "schedstat",
    "scsi",
    "slabinfo",
    "swaps",
    "sysrq-trigger",
    "sysvipc",
    "timer_list",
    "timer_stats",
    "tty",
    "vmallocinfo",
];

/// Places of the jail's own, which a further path must not cover.
const OWN: &[&str] = &["/app", "/data", "/dev", "/proc", "/sys", "/tmp"];

const READ_ONLY: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
const READ_WRITE: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

/// Something of the old root, ready to be put into the new one.
struct Source {
    tree: OwnedFd,
    is_dir: bool,
    place: PathBuf,
}

/// Furnishes a new root and goes there. To be run by the init of the jail: `/proc` shows the pid
/// namespace of whoever mounts it.
pub(crate) fn build(shown: &Shown) -> Result<(), Error> {
    private()?;
    // Before the new root hides nothing but is ours to write to; readable for the app's user id.
    umask(Mode::from_bits_truncate(0o022));
    let sources = sources(shown)?;
    let root = sys::file_system(
        c"tmpfs",
        &[(c"size", c"1m"), (c"nr_inodes", c"1024"), (c"mode", c"0755")],
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    )
    .map_err(failed("could not make a file system for the new root"))?;
    cover(&root)?;
    links(SYSTEM)?;
    etc()?;
    devices()?;
    scratch("tmp", shown.tmp_mb)?;
    for source in &sources {
        place(source)?;
    }
    proc()?;
    sys::set_mount_attributes(root.as_fd(), READ_ONLY, false)
        .map_err(failed("could not make the new root read-only"))?;
    become_root()?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(())
}

/// Goes on in a copy of the view that no table of mounts holds: `/proc/<pid>/mountinfo` of every process of the jail is
/// empty, and with it where on the machine's disks the shown folders lie, and for whom. To be run by init, after the last
/// namespace was made.
pub(crate) fn leave_the_table() -> Result<(), Error> {
    let copy = sys::open_tree(c"/").map_err(failed("could not copy the view"))?;
    fchdir(&copy).map_err(failed("could not enter the copy of the view"))?;
    // What is a root stays mounted for as long as it is one, all below it too.
    chroot(".").map_err(failed("could not make the copy of the view the root"))?;
    chdir("/").map_err(failed("could not enter the copy of the view"))
}

/// Opens everything that is to be shown while the old root is still the only one.
fn sources(shown: &Shown) -> Result<Vec<Source>, Error> {
    let mut sources: Vec<Source> = Vec::new();
    for path in SYSTEM.iter().chain(ETC).map(Path::new) {
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        if !metadata.is_symlink() {
            sources.push(open(path, path, READ_ONLY)?);
        }
    }
    for path in DEVICES.iter().map(Path::new) {
        sources.push(open(path, path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)?);
    }
    sources.push(open(&shown.app_dir, Path::new("/app"), READ_ONLY)?);
    sources.push(open(&shown.data_dir, Path::new("/data"), READ_WRITE)?);
    let mut read = shown.read.clone();
    // A folder before what lies in it, which is then already there.
    read.sort();
    for path in &read {
        check_further(path)?;
        for place in [path.clone(), canonical(path)?] {
            if !sources.iter().any(|source| place.starts_with(&source.place)) {
                sources.push(open(path, &place, READ_ONLY)?);
            }
        }
    }
    Ok(sources)
}

/// A path a manifest may name: absolute, plain, and not a place that means something else inside.
fn check_further(path: &Path) -> Result<(), Error> {
    let plain = path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // Below /tmp is fine; /tmp itself would replace the private one.
    let own = OWN.iter().any(|own| path == Path::new(own))
        || ["/app", "/data", "/dev", "/proc", "/sys"].iter().any(|own| path.starts_with(own));
    if plain && !own && path != Path::new("/") && path != Path::new("/etc") {
        return Ok(());
    }
    Err(Error::new(
        Layer::View,
        format!("{} cannot be shown to an app", path.display()),
    )
    .with_hint(
        "`[filesystem] read` takes absolute paths without `..`; not /, /etc as a whole, /tmp as a whole, or anything \
         below /app, /data, /dev, /proc or /sys",
    ))
}

fn canonical(path: &Path) -> Result<PathBuf, Error> {
    let canonical = path.canonicalize().map_err(|error| unreadable(path, error))?;
    check_further(&canonical)?;
    Ok(canonical)
}

fn open(path: &Path, place: &Path, attributes: u64) -> Result<Source, Error> {
    let is_dir = path.metadata().map_err(|error| unreadable(path, error))?.is_dir();
    let name = sys::c_path(path).map_err(|errno| unreadable(path, errno.into()))?;
    let tree = sys::open_tree(&name).map_err(|errno| unreadable(path, errno.into()))?;
    sys::set_mount_attributes(tree.as_fd(), attributes, true)
        .map_err(failed("could not restrict a part of the view"))?;
    Ok(Source { tree, is_dir, place: place.to_owned() })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    let text = format!("{} cannot be shown inside the jail", path.display());
    let error = Error::system(Layer::View, text, error);
    if missing {
        error.with_hint(
            "the path does not exist on this machine; see `command` and `[filesystem] read` of the manifest",
        )
    } else if denied {
        error.with_hint("the user who runs the host must be able to reach the path")
    } else {
        error
    }
}

/// Puts a source where it belongs in the new root, which is the working directory.
fn place(source: &Source) -> Result<(), Error> {
    let place = relative(&source.place);
    let made = if source.is_dir {
        std::fs::create_dir_all(&place)
    } else {
        place
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).open(&place).map(drop))
    };
    made.map_err(|error| {
        Error::system(Layer::View, format!("could not make room for {}", source.place.display()), error)
    })?;
    let name = sys::c_path(&place).map_err(failed("a path with a zero byte"))?;
    sys::move_mount(source.tree.as_fd(), &name).map_err(failed("could not mount a part of the view"))
}

fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// Makes links of the old root again.
fn links(paths: &[&str]) -> Result<(), Error> {
    for path in paths.iter().map(Path::new) {
        if let Ok(target) = path.read_link() {
            let place = relative(path);
            place
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::os::unix::fs::symlink(target, place))
                .map_err(|error| Error::system(Layer::View, "could not make a link", error))?;
        }
    }
    Ok(())
}

/// Users, hosts and where to look them up: made for the app, never the machine's.
fn etc() -> Result<(), Error> {
    let files = [
        ("passwd", format!("app:x:{INSIDE}:{INSIDE}::/data:/bin/sh\n")),
        ("group", format!("app:x:{INSIDE}:\n")),
        ("hosts", "127.0.0.1 localhost app\n::1 localhost app\n".to_owned()),
        ("hostname", "app\n".to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
        ("resolv.conf", String::new()),
    ];
    std::fs::create_dir_all("etc").map_err(unmade)?;
    for (name, text) in files {
        std::fs::write(Path::new("etc").join(name), text).map_err(unmade)?;
    }
    links(ETC)
}

fn devices() -> Result<(), Error> {
    std::fs::create_dir_all("dev").map_err(unmade)?;
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, Path::new("dev").join(name)).map_err(unmade)?;
    }
    // Semaphores of the C library live there; a small part of what /tmp may hold is enough.
    scratch("dev/shm", 16)
}

/// A private folder in memory.
fn scratch(place: &str, mb: u64) -> Result<(), Error> {
    std::fs::create_dir_all(place).map_err(unmade)?;
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).map_err(unmade)?;
    let size = std::ffi::CString::new(format!("{}m", mb.max(1))).unwrap_or_default();
    let tmp = sys::file_system(
        c"tmpfs",
        // As many files as small ones would fill it with, so that inodes are bounded too.
        &[(c"size", &size), (c"nr_inodes", c"65536"), (c"mode", c"1777")],
        READ_WRITE,
    )
    .map_err(failed("could not make a private folder"))?;
    let name = sys::c_path(Path::new(place)).map_err(failed("a path with a zero byte"))?;
    sys::move_mount(tmp.as_fd(), &name).map_err(failed("could not mount a private folder"))
}

/// The processes of the jail, and nothing of the machine that need not be seen. Not hidden from each
/// other: there is one user, and init could not count memory of what hides from it.
fn proc() -> Result<(), Error> {
    let refused = |errno: Errno| {
        let error = Error::system(Layer::Proc, "could not mount /proc for the jail", errno);
        if errno == Errno::EPERM {
            error.with_hint(
                "the /proc outside is partly covered, as containers do, and the kernel does not show an unprivileged \
                 user more than it sees already; run the container with an unmasked /proc (docker: \
                 --security-opt systempaths=unconfined), or run the host outside of it",
            )
        } else {
            error
        }
    };
    std::fs::create_dir_all("proc").map_err(unmade)?;
    let proc = sys::file_system(c"proc", &[], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
        .map_err(refused)?;
    sys::move_mount(proc.as_fd(), c"proc").map_err(refused)?;
    for name in MASKED {
        let place = Path::new("proc").join(name);
        let Ok(metadata) = place.symlink_metadata() else {
            continue;
        };
        let mask = if metadata.is_dir() {
            sys::file_system(
                c"tmpfs",
                &[(c"size", c"4k"), (c"nr_inodes", c"1"), (c"mode", c"0555")],
                READ_ONLY | MOUNT_ATTR_NOEXEC,
            )
        } else {
            sys::open_tree(c"/dev/null")
        }
        .map_err(refused)?;
        sys::set_mount_attributes(mask.as_fd(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, false)
            .map_err(refused)?;
        let name = sys::c_path(&place).map_err(refused)?;
        sys::move_mount(mask.as_fd(), &name).map_err(refused)?;
    }
    let settings = sys::open_tree(c"proc/sys").map_err(refused)?;
    sys::set_mount_attributes(settings.as_fd(), READ_ONLY | MOUNT_ATTR_NOEXEC, true).map_err(refused)?;
    sys::move_mount(settings.as_fd(), c"proc/sys").map_err(refused)
}

fn unmade(error: std::io::Error) -> Error {
    Error::system(Layer::View, "could not furnish the new root", error)
}

#[cfg(test)]
mod tests {
    use super::check_further;
    use std::path::Path;

    #[track_caller]
    fn check(path: &str, allowed: bool) {
        assert_eq!(check_further(Path::new(path)).is_ok(), allowed, "{path}");
    }

    #[test]
    fn a_manifest_cannot_show_the_whole_machine_or_cover_the_jails_own_places() {
        check("/opt/node", true);
        check("/tmp/x", true);
        check("/etc/foo.conf", true);
        check("/", false);
        check("/etc", false);
        check("/proc/1", false);
        check("/data/x", false);
        check("/tmp", false);
        check("opt", false);
        check("/opt/../root", false);
    }
}
