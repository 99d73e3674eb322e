//! Namespaces of a confined process.
//!
//! Answers: which parts of the system are its own?
//! Never: goes on with fewer than asked for.
//! Carries: I-12.

use crate::error::{Error, Layer};
use crate::identity;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

/// What a spoke needs. No pid namespace: it would hold only children, and there are none to come.
pub(crate) const SPOKE: &[Layer] = &[
    Layer::UserNamespace,
    Layer::MountNamespace,
    Layer::NetworkNamespace,
    Layer::IpcNamespace,
    Layer::UtsNamespace,
];

/// What an app needs.
pub(crate) const APP: &[Layer] = &[
    Layer::UserNamespace,
    Layer::MountNamespace,
    Layer::PidNamespace,
    Layer::NetworkNamespace,
    Layer::IpcNamespace,
    Layer::UtsNamespace,
    Layer::CgroupNamespace,
];

/// Makes namespaces and, if a user namespace is among them, its id maps.
pub(crate) fn enter(layers: &[Layer]) -> Result<(), Error> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let mut flags = CloneFlags::empty();
    for layer in layers {
        flags |= flag(*layer)?;
    }
    if let Err(errno) = unshare(flags) {
        return Err(first_refused(layers, errno));
    }
    if layers.contains(&Layer::UserNamespace) {
        identity::map(uid, gid)?;
    }
    Ok(())
}

/// Finds out which one it was, by trying one after the other. The process ends anyway.
fn first_refused(layers: &[Layer], together: Errno) -> Error {
    for layer in layers {
        if let Err(errno) =
            flag(*layer).and_then(|flag| unshare(flag).map_err(|errno| refused(*layer, errno)))
        {
            return errno;
        }
    }
    // One by one they worked: name the first, which the others depend on.
    refused(layers.first().copied().unwrap_or(Layer::UserNamespace), together)
}

fn refused(layer: Layer, errno: Errno) -> Error {
    let error = Error::system(layer, "the kernel refused a new namespace", errno);
    match crate::probe::why_refused(errno) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn flag(layer: Layer) -> Result<CloneFlags, Error> {
    match layer {
        Layer::UserNamespace => Ok(CloneFlags::CLONE_NEWUSER),
        Layer::MountNamespace => Ok(CloneFlags::CLONE_NEWNS),
        Layer::PidNamespace => Ok(CloneFlags::CLONE_NEWPID),
        Layer::NetworkNamespace => Ok(CloneFlags::CLONE_NEWNET),
        Layer::IpcNamespace => Ok(CloneFlags::CLONE_NEWIPC),
        Layer::UtsNamespace => Ok(CloneFlags::CLONE_NEWUTS),
        Layer::CgroupNamespace => Ok(CloneFlags::CLONE_NEWCGROUP),
        other => Err(Error::new(other, "not a namespace")),
    }
}
