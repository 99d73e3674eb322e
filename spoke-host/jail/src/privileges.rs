//! Giving up privileges.
//!
//! Answers: can this process, or any program it starts, ever have a capability?
//! Never: keeps one for later.
//! Carries: I-11.

use crate::error::{Error, Layer};
use crate::sys;
use libc::{
    SECBIT_KEEP_CAPS_LOCKED, SECBIT_NO_CAP_AMBIENT_RAISE, SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
    SECBIT_NO_SETUID_FIXUP, SECBIT_NO_SETUID_FIXUP_LOCKED, SECBIT_NOROOT, SECBIT_NOROOT_LOCKED,
};
use nix::errno::Errno;

/// User id 0 means nothing, changing ids gives nothing back, and none of this can be undone.
const SECURE_BITS: i32 = SECBIT_NOROOT
    | SECBIT_NOROOT_LOCKED
    | SECBIT_NO_SETUID_FIXUP
    | SECBIT_NO_SETUID_FIXUP_LOCKED
    | SECBIT_KEEP_CAPS_LOCKED
    | SECBIT_NO_CAP_AMBIENT_RAISE
    | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

/// The kernel has room for 64; it answers EINVAL at the first it does not know.
const MOST_CAPABILITIES: u64 = 64;

/// Drops every capability from every set. Needs the capabilities of a user namespace just made.
pub(crate) fn drop_capabilities() -> Result<(), Error> {
    let failed = |what: &'static str| move |errno: Errno| Error::system(Layer::Capabilities, what, errno);
    sys::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS as libc::c_ulong, 0)
        .map_err(failed("could not set the secure bits"))?;
    for capability in 0..MOST_CAPABILITIES {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Ok(_) => (),
            Err(Errno::EINVAL) if 0 < capability => break,
            Err(errno) => return Err(failed("could not empty the bounding set")(errno)),
        }
    }
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)
        .map_err(failed("could not empty the ambient set"))?;
    sys::clear_capabilities().map_err(failed("could not give up capabilities"))
}

/// No program started from now on gains anything by being setuid or carrying capabilities.
pub(crate) fn no_new_privileges() -> Result<(), Error> {
    nix::sys::prctl::set_no_new_privs()
        .map_err(|errno| Error::system(Layer::NoNewPrivileges, "could not set no_new_privs", errno))
}
