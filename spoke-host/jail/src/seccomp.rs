//! System call filters, as they are installed.
//!
//! Answers: which programs put the written policy in force, and what is a call's name?
//! Never: builds a program while running, leaves one out, or differs between debug and release.
//! Carries: I-11, I-12. A [`Filter`] cannot be empty: the only values are the ones the build made.

pub mod policy;

use crate::error::{Error, Layer};
use crate::sys;
use libc::sock_filter;
use nix::errno::Errno;
use std::os::fd::OwnedFd;

#[allow(missing_docs)]
mod compiled {
    use libc::sock_filter;
    include!(concat!(env!("OUT_DIR"), "/filters.rs"));
}

/// The text of the policies, for tests that are generated from them.
pub const SPOKE_POLICY: &str = include_str!("../policy/seccomp/spoke.json");
/// See [`SPOKE_POLICY`].
pub const APP_POLICY: &str = include_str!("../policy/seccomp/app.json");

/// A policy in the form the kernel takes: several programs, of which the strictest answer counts.
#[derive(Clone, Copy)]
pub struct Filter {
    main_kills: &'static [sock_filter],
    main_reports: &'static [sock_filter],
    errors: &'static [&'static [sock_filter]],
    main_first: bool,
}

impl Filter {
    /// The filter of a spoke.
    #[must_use]
    pub fn spoke() -> Filter {
        Filter {
            main_kills: &compiled::SPOKE_KILL,
            main_reports: &compiled::SPOKE_REPORT,
            errors: compiled::SPOKE_ERRORS,
            main_first: compiled::SPOKE_MAIN_FIRST,
        }
    }

    /// The filter of an app child.
    #[must_use]
    pub fn app() -> Filter {
        Filter {
            main_kills: &compiled::APP_KILL,
            main_reports: &compiled::APP_REPORT,
            errors: compiled::APP_ERRORS,
            main_first: compiled::APP_MAIN_FIRST,
        }
    }

    /// How many programs the kernel will show for a process with this filter (never 0).
    #[must_use]
    pub fn programs(&self) -> u32 {
        1 + u32::try_from(self.errors.len()).unwrap_or(u32::MAX - 1)
    }

    /// Puts the filter in force; whatever no rule names kills the process.
    ///
    /// # Errors
    /// The kernel refused a program.
    pub fn install_killing(self) -> Result<(), Error> {
        self.install(|filter| sys::install_filter(filter.main_kills).map_err(refused))
    }

    /// As [`Filter::install_killing`], but the process gets SIGSYS for whatever no rule names, so
    /// that the handler of [`crate::confine`] can say which call it was before the process ends.
    pub(crate) fn install_trapping(self) -> Result<(), Error> {
        self.install(|filter| sys::install_filter(filter.main_reports).map_err(refused))
    }

    /// As [`Filter::install_killing`], but whatever no rule names waits for the holder of the
    /// descriptor that is returned, which ends the process. Without a holder the call fails.
    ///
    /// `None` when an outer sandbox already listens (only one can): then the process is killed.
    pub(crate) fn install_listening(self) -> Result<Option<OwnedFd>, Error> {
        self.install(|filter| match sys::install_filter_listening(filter.main_reports) {
            Ok(listener) => Ok(Some(listener)),
            Err(Errno::EBUSY) => {
                sys::install_filter(filter.main_kills).map_err(refused)?;
                Ok(None)
            }
            Err(errno) => Err(refused(errno)),
        })
    }

    /// All programs, in the order in which each still permits the next to be installed.
    fn install<T>(self, main: impl FnOnce(Filter) -> Result<T, Error>) -> Result<T, Error> {
        let errors =
            || self.errors.iter().try_for_each(|program| sys::install_filter(program).map_err(refused));
        if self.main_first {
            let installed = main(self)?;
            errors()?;
            Ok(installed)
        } else {
            errors()?;
            main(self)
        }
    }
}

fn refused(errno: Errno) -> Error {
    Error::system(Layer::Seccomp, "the kernel refused the system call filter", errno)
}

/// The name of a call, if a policy names it.
#[must_use]
pub fn call_name(number: u32) -> Option<&'static str> {
    compiled::NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The number of a call, if a policy names it.
#[must_use]
pub fn call_number(name: &str) -> Option<u32> {
    compiled::NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
