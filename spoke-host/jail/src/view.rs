//! The file system a confined process sees.
//!
//! Answers: what is at `/`?
//! Never: leaves the old root reachable, or shows what was not named.
//! Carries: I-12. The store's socket, the state directory and every credential are files: what is not
//! in the view cannot be reached.

pub(crate) mod app;

use crate::error::{Error, Layer};
use crate::sys;
use libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, fchdir, pivot_root};
use std::os::fd::{AsFd, OwnedFd};

/// Puts an empty folder that cannot be written to in the place of the root.
pub(crate) fn empty() -> Result<(), Error> {
    private()?;
    // One inode: the root folder itself.
    let root = sys::file_system(
        c"tmpfs",
        &[(c"size", c"4k"), (c"nr_inodes", c"1"), (c"mode", c"0555")],
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    )
    .map_err(failed("could not make an empty file system"))?;
    cover(&root)?;
    become_root()
}

/// Nothing mounted from now on is seen outside.
fn private() -> Result<(), Error> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("could not make the mounts private"))
}

/// Mounts a new root over the old one and goes there. Absolute paths still lead into the old root,
/// relative ones into the new: that is how sources are found while the new one is furnished.
fn cover(root: &OwnedFd) -> Result<(), Error> {
    sys::move_mount(root.as_fd(), c"/").map_err(failed("could not mount the new root"))?;
    fchdir(root).map_err(failed("could not enter the new root"))
}

/// Makes the working directory the root, and lets the old one go.
fn become_root() -> Result<(), Error> {
    // Both the same: the old root ends up on top of the new, and is taken off again.
    pivot_root(".", ".").map_err(failed("could not change the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("could not let the old root go"))?;
    chdir("/").map_err(failed("could not enter the new root"))
}

fn failed(what: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| {
        let error = Error::system(Layer::View, what, errno);
        match errno {
            Errno::ENOSYS => {
                error.with_hint("this kernel lacks the call; a kernel of 5.12 or newer is needed")
            }
            // Ubuntu's rule lets the user namespace be made and refuses what it is for.
            Errno::EPERM | Errno::EACCES => match crate::probe::why_refused(errno) {
                Some(hint) => error.with_hint(hint),
                None => error.with_hint(
                    "mounting inside a user namespace is refused; a security module forbids it: allow mount, \
                     fsopen, move_mount and pivot_root to these programs",
                ),
            },
            _ => error,
        }
    }
}
