//! The way from the app's loopback to its spoke.
//!
//! Answers: where does an app find the proxy, and how do its connections come to the spoke, which cannot make a socket?
//! Never: reads or writes a byte of a connection; hands on one that did not come from inside the jail.
//! Carries: I-12, I-16.
//!
//! Init listens on the app's loopback, accepts, and hands each connection over as a descriptor (`SCM_RIGHTS`) on a socket
//! pair that was made before the spoke confined itself. The spoke needs no system call for it that it has not already.

use crate::error::{Error, Layer};
use crate::sys;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg, setsockopt, sockopt,
};
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Where the proxy listens, on the app's own loopback. Nothing else is there yet when it is taken.
pub const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);

/// The word that a connection travels with: a descriptor needs a byte to go along.
const CONNECTION: &[u8] = b"c";

/// Init's side.
pub(super) struct Door {
    listener: TcpListener,
    spoke: UnixStream,
}

impl Door {
    /// Listens, before the program runs.
    pub(super) fn open(spoke: UnixStream) -> Result<Door, Error> {
        let failed = |error: std::io::Error| {
            Error::system(Layer::Loopback, "could not listen for the app's proxied connections", error)
        };
        let listener = TcpListener::bind(PROXY).map_err(failed)?;
        // What is accepted inherits it; the spoke may set no option.
        setsockopt(&listener, sockopt::TcpNoDelay, &true).map_err(|errno| failed(errno.into()))?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Door { listener, spoke })
    }

    /// Readable when somebody is there.
    pub(super) fn waits(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Hands over whoever is there. A spoke that does not keep up finds fewer: the connection is closed instead.
    pub(super) fn hand_over(&self) {
        // Each look at the limits is due in between, so not endlessly.
        for _ in 0..16 {
            let Ok((connection, _)) = self.listener.accept() else { return };
            if connection.set_nonblocking(true).is_err() {
                continue;
            }
            let word = [IoSlice::new(CONNECTION)];
            let numbers = [connection.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&numbers)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let _ = sendmsg::<UnixAddr>(self.spoke.as_raw_fd(), &word, &rights, flags, None);
        }
    }
}

/// The spoke's side: the next connection, in non-blocking mode; `None` when init is no more.
///
/// # Errors
/// `WouldBlock` if there is none now; `InvalidData` if a connection came and could not be kept, because too many
/// descriptors are open.
pub fn take(door: &impl AsFd) -> std::io::Result<Option<TcpStream>> {
    let mut word = [0_u8; 1];
    let mut parts = [IoSliceMut::new(&mut word)];
    let mut space = nix::cmsg_space!([i32; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<UnixAddr>(door.as_fd().as_raw_fd(), &mut parts, Some(&mut space), flags) {
        Ok(message) => message,
        // Closed with something of ours unread is closed all the same.
        Err(Errno::ECONNRESET) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(numbers) = control
            && let Some(number) = numbers.first()
        {
            return Ok(Some(TcpStream::from(sys::adopt(*number)?)));
        }
    }
    Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a connection could not be taken over"))
}
