//! The first moment of a confined process.
//!
//! Answers: does this process end with its parent, and hold only what was named for it?
//! Never: reads anything from outside.
//! Carries: I-10.

use crate::descriptors;
use crate::error::{Error, Layer};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use std::os::fd::RawFd;

/// To be called first in `main`: the process ends with its parent, files it makes are private, and
/// every descriptor from 3 up that is not in `keep` is closed.
///
/// `parent` is the process id of the parent, when it passed it on: only then can a parent be
/// noticed that ended before this call. The signal comes when the *thread* that started this process
/// ends, so a parent starts its spokes from a thread that lives as long as it does.
///
/// # Errors
/// The parent is gone, or a descriptor could not be closed.
pub fn prepare(parent: Option<u32>, keep: &[RawFd]) -> Result<(), Error> {
    end_with_parent(parent)?;
    umask(Mode::from_bits_truncate(0o077));
    descriptors::close_unnamed(keep)
}

/// Has the kernel end this process with its parent. A change of user id takes it back, so it is
/// repeated after one.
pub(crate) fn end_with_parent(parent: Option<u32>) -> Result<(), Error> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| Error::system(Layer::ParentDeath, "could not ask to end with the parent", errno))?;
    match parent {
        Some(parent) if u32::try_from(nix::unistd::getppid().as_raw()) != Ok(parent) => {
            Err(Error::new(Layer::ParentDeath, "the parent ended before its child began"))
        }
        _ => Ok(()),
    }
}
