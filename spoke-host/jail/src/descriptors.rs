//! Which descriptors a confined process may hold.
//!
//! Answers: is everything closed that nobody named, and is what remains of a harmless kind?
//! Never: keeps a descriptor because it happens to be open.
//! Carries: I-10.

use crate::error::{Error, Layer};
use crate::sys;
use std::os::fd::RawFd;

/// Standard input, output and error: always kept, named by the parent as pipes.
const STANDARD: u32 = 3;

/// Closes everything from 3 up that is not in `keep`.
pub(crate) fn close_unnamed(keep: &[RawFd]) -> Result<(), Error> {
    let mut keep: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| STANDARD <= *fd).collect();
    keep.sort_unstable();
    keep.dedup();
    let mut first = STANDARD;
    for fd in keep {
        if first < fd {
            close(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close(first, u32::MAX)
}

fn close(first: u32, last: u32) -> Result<(), Error> {
    sys::close_range(first, last).map_err(|errno| {
        Error::system(Layer::Descriptors, "could not close what was inherited", errno)
            .with_hint("a kernel of 5.9 or newer has close_range")
    })
}

/// What a descriptor is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A pipe.
    Pipe,
    /// A connected socket.
    Socket,
    /// An object of the event loop: epoll, event counter, timer, signal or process descriptor.
    Event,
    /// `/dev/null`, and nothing else of `/dev`.
    Null,
    /// A file, folder, device, namespace, kernel object …: nothing a confined process may hold.
    Other,
}

impl Kind {
    /// From the text of the link in `/proc/<pid>/fd`.
    #[must_use]
    pub fn of_link(link: &str) -> Kind {
        if link.starts_with("pipe:[") {
            return Kind::Pipe;
        }
        if link.starts_with("socket:[") {
            return Kind::Socket;
        }
        match link {
            "anon_inode:[eventpoll]"
            | "anon_inode:[eventfd]"
            | "anon_inode:[timerfd]"
            | "anon_inode:[signalfd]"
            | "anon_inode:[pidfd]" => Kind::Event,
            "/dev/null" => Kind::Null,
            _ if link.starts_with("pidfd:[") => Kind::Event,
            _ => Kind::Other,
        }
    }
}

/// Checks that nothing but pipes, sockets and the event loop is open.
pub(crate) fn check() -> Result<(), Error> {
    let failed = |error| Error::system(Layer::Descriptors, "could not list descriptors", error);
    let own = format!("/proc/{}/fd", std::process::id());
    for entry in std::fs::read_dir("/proc/self/fd").map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // One that closed since is fine, it is the listing's own.
        let Ok(link) = std::fs::read_link(entry.path()) else {
            continue;
        };
        let link = link.to_string_lossy();
        if Kind::of_link(&link) == Kind::Other && link != own {
            return Err(Error::new(
                Layer::Descriptors,
                format!(
                    "descriptor {} is {link}; only pipes, sockets and the event loop may be open",
                    entry.file_name().to_string_lossy()
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[track_caller]
    fn check(link: &str, expected: Kind) {
        assert_eq!(Kind::of_link(link), expected, "{link}");
    }

    #[test]
    fn only_pipes_sockets_and_event_objects_are_harmless() {
        check("pipe:[1]", Kind::Pipe);
        check("socket:[1]", Kind::Socket);
        check("anon_inode:[eventpoll]", Kind::Event);
        check("/dev/null", Kind::Null);
        check("/etc/passwd", Kind::Other);
        check("/dev/nullx", Kind::Other);
        check("/dev/mem", Kind::Other);
        check("anon_inode:bpf-prog", Kind::Other);
        check("net:[4026531992]", Kind::Other);
        check("/memfd:x (deleted)", Kind::Other);
    }
}
