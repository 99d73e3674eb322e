//! Another machine, for tests: a user and a network namespace of its own, from which one port of ours can be reached.
//!
//! Answers: does a host work that shares nothing with the hub but an address?
//! Never: needs a right; an ordinary user can have such namespaces. Never stays when its standard input closes.
//!
//! ```text
//! other-machine PORT SOCKET PROGRAM [ARGUMENT …]   127.0.0.1:PORT in there is the unix socket SOCKET out here
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use nix::unistd::{Pid, getgid, getuid};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, outside, program, rest @ ..] = arguments.as_slice() else {
        eprintln!("other-machine PORT SOCKET PROGRAM [ARGUMENT …]");
        std::process::exit(2);
    };
    leave();
    loopback_up();
    let listener =
        TcpListener::bind(("127.0.0.1", port.parse().expect("a port"))).expect("a free port in here");
    let outside = outside.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(there) = UnixStream::connect(&outside) else { continue };
            forward(stream, there);
        }
    });
    let mut child =
        Command::new(program).args(rest).stdin(std::process::Stdio::null()).spawn().expect("the program");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = kill(pid, Signal::SIGTERM);
    });
    let status = child.wait().expect("a child");
    std::process::exit(status.code().unwrap_or(1));
}

/// Into namespaces of our own, as the user that we are. Root needs no user namespace, and could not become anybody
/// else in one.
fn leave() {
    let (user, group) = (getuid(), getgid());
    if user.is_root() {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
        return;
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).expect("namespaces");
    std::fs::write("/proc/self/setgroups", "deny").expect("setgroups");
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1")).expect("uid_map");
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1")).expect("gid_map");
}

/// The only interface of a new network namespace is down at first: RTM_NEWLINK for interface 1 with IFF_UP.
fn loopback_up() {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::NetlinkRoute),
    )
    .expect("a netlink socket");
    let mut message = Vec::new();
    message.extend(32_u32.to_ne_bytes());
    message.extend(16_u16.to_ne_bytes());
    // NLM_F_REQUEST and NLM_F_ACK.
    message.extend(5_u16.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(1_i32.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    sendto(netlink.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).expect("a request");
    let mut answer = [0; 256];
    let size = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()).expect("an answer");
    assert!(20 <= size && answer[16..20] == [0; 4], "the loopback interface does not come up");
}

fn forward(here: TcpStream, there: UnixStream) {
    let (mut from_here, mut to_there) =
        (here.try_clone().expect("a socket"), there.try_clone().expect("a socket"));
    let (mut from_there, mut to_here) = (there, here);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_here, &mut to_there);
        let _ = to_there.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_there, &mut to_here);
        let _ = to_here.shutdown(Shutdown::Both);
    });
}
