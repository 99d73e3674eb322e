//! Who a confined process is.
//!
//! Answers: which user id outside, and which inside its user namespace?
//! Never: leaves a confined process with the kernel's user 0, or with a supplementary group.
//! Carries: I-11.

use crate::error::{Error, Layer};
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// The id outside that confined processes get when we are root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnprivilegedId(u32);

/// 65534, `nobody` on every distribution: it owns no file that matters.
const NOBODY: u32 = 65534;
/// The one id inside. Not 0: programs do more careless things when they think they are root.
pub(crate) const INSIDE: u32 = 1000;

impl Default for UnprivilegedId {
    fn default() -> UnprivilegedId {
        UnprivilegedId(NOBODY)
    }
}

impl UnprivilegedId {
    /// Another id, for machines where `nobody` is taken. 0 is none.
    #[must_use]
    pub fn new(id: u32) -> Option<UnprivilegedId> {
        (id != 0 && id != u32::MAX).then_some(UnprivilegedId(id))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Are we root, so that there is an id to give up?
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root() || Uid::current().is_root()
}

/// Gives up root for good. Does nothing for an ordinary user, who has one id and keeps it.
pub(crate) fn give_up_root(id: UnprivilegedId) -> Result<(), Error> {
    if !is_root() {
        return Ok(());
    }
    let failed = |what: &'static str| {
        move |errno: nix::errno::Errno| {
            Error::system(Layer::Identity, what, errno).with_hint(
                "root here cannot become another user, as in a user namespace without other ids or a container \
                 without CAP_SETUID and CAP_SETGID; run the host as an ordinary user instead",
            )
        }
    };
    nix::unistd::setgroups(&[]).map_err(failed("could not drop supplementary groups"))?;
    let gid = Gid::from_raw(id.0);
    nix::unistd::setresgid(gid, gid, gid).map_err(failed("could not change the group id"))?;
    let uid = Uid::from_raw(id.0);
    nix::unistd::setresuid(uid, uid, uid).map_err(failed("could not change the user id"))?;
    // The change of id made /proc/self belong to root, and the maps of the namespace are written
    // there next.
    nix::sys::prctl::set_dumpable(true).map_err(failed("could not open /proc/self again"))
}

/// Maps the one id of the user namespace just made to the one outside.
pub(crate) fn map(uid: Uid, gid: Gid) -> Result<(), Error> {
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/self/{file}"), text).map_err(|error| {
            Error::system(Layer::UserNamespace, format!("could not write /proc/self/{file}"), error)
        })
    };
    write("uid_map", format!("{INSIDE} {uid} 1\n"))?;
    // Without this a group map is refused: a process could drop a group that denies it something.
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("{INSIDE} {gid} 1\n"))
}
