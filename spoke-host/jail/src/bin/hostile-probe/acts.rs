//! The acts.
//!
//! Answers: what is tried, and what counts as having worked?
//! Never: does anything that outlives the process, whether it is confined or not.

use jail::sys::{ProbeCall, probe};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) type Outcome = Result<String, Error>;

/// `key=value` from the command line: what to aim at.
pub(crate) struct Targets(pub(crate) BTreeMap<String, String>);

impl Targets {
    fn text(&self, key: &str) -> Result<&str, Error> {
        self.0
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("needs {key}=…")))
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> Result<N, Error> {
        self.text(key)?
            .parse()
            .map_err(|_| Error::new(ErrorKind::InvalidInput, format!("{key} is not a number")))
    }
}

pub(crate) type Act = fn(&Targets) -> Outcome;

/// Every act, by the barrier it is aimed at.
pub(crate) const ACTS: &[(&str, Act)] = &[
    // The view.
    ("read", |to| std::fs::read(to.text("path")?).map(|bytes| format!("{} bytes", bytes.len()))),
    ("list", |to| {
        let names: Result<Vec<_>, _> = std::fs::read_dir(to.text("path")?)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect();
        let mut names = names?;
        names.sort();
        Ok(names.join(" "))
    }),
    ("write", |to| {
        let path = to.text("path")?;
        std::fs::write(path, b"x")?;
        std::fs::remove_file(path).map(|()| path.to_owned())
    }),
    ("climb", |_| {
        // As many as any path is deep.
        let outside = format!("{}etc/shadow", "../".repeat(64));
        std::fs::metadata(outside).map(|_| "found".to_owned())
    }),
    ("chroot", |_| probe(ProbeCall::Chroot).map(done).map_err(Error::from)),
    ("handle", |_| probe(ProbeCall::OpenByHandle).map(done).map_err(Error::from)),
    ("mount", |_| {
        let none: Option<&str> = None;
        nix::mount::mount(none, "/", none, nix::mount::MsFlags::MS_REMOUNT, none)?;
        Ok("remounted".to_owned())
    }),
    ("device", |to| {
        let path = to.text("path")?;
        let kind = nix::sys::stat::SFlag::S_IFCHR;
        let mode = nix::sys::stat::Mode::S_IRUSR;
        nix::sys::stat::mknod(path, kind, mode, nix::sys::stat::makedev(1, 1))?;
        std::fs::remove_file(path).map(|()| "made".to_owned())
    }),
    ("setuid", setuid),
    // Processes.
    ("exec", |_| {
        let output = Command::new("/bin/sh").args(["-c", "echo ran"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }),
    ("become", |_| {
        // Does not come back where it works.
        nix::unistd::execv(c"/bin/true", &[c"true"])?;
        Ok("impossible".to_owned())
    }),
    ("fork", |_| probe(ProbeCall::Fork).map(done).map_err(Error::from)),
    ("forks", |to| {
        let wanted: u32 = to.number("count")?;
        for made in 0..wanted {
            if let Err(errno) = probe(ProbeCall::Fork) {
                return Err(Error::new(Error::from(errno).kind(), format!("after {made}")));
            }
        }
        Ok(wanted.to_string())
    }),
    ("signal", |to| {
        let call = ProbeCall::Kill { pid: to.number("pid")?, signal: 15 };
        probe(call).map(done).map_err(Error::from)
    }),
    ("signal-parent", |_| {
        let pid = nix::unistd::getppid().as_raw();
        // To 0, the parent of a process whose parent is outside its pid namespace, and to 1, init.
        let call = ProbeCall::Kill { pid: if pid == 0 { 1 } else { pid }, signal: 9 };
        probe(call)?;
        std::thread::sleep(Duration::from_millis(300));
        let gone = nix::unistd::getppid().as_raw() != pid;
        if gone { Ok("it ended".to_owned()) } else { Err(Error::other("it lives")) }
    }),
    ("ptrace", |to| probe(ProbeCall::Ptrace { pid: to.number("pid")? }).map(done).map_err(Error::from)),
    ("memory-of", |to| {
        probe(ProbeCall::ReadMemory { pid: to.number("pid")? }).map(done).map_err(Error::from)
    }),
    ("descriptor-of", |to| {
        probe(ProbeCall::StealDescriptor { pid: to.number("pid")? }).map(done).map_err(Error::from)
    }),
    ("proc-of", |to| {
        std::fs::read(format!("/proc/{}/environ", to.text("pid")?))
            .map(|bytes| format!("{} bytes", bytes.len()))
    }),
    ("processes", |to| {
        let outside: u32 = to.number("pid")?;
        let inside = std::process::id();
        // A number can mean another process in here: only what is not ours counts.
        let parent = u32::try_from(nix::unistd::getppid().as_raw()).unwrap_or(0);
        let seen: Vec<u32> = std::fs::read_dir("/proc")?
            .flatten()
            .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
            .filter(|pid| ![inside, parent, 1].contains(pid))
            .collect();
        if seen.contains(&outside) {
            Ok(format!("{} of them", seen.len()))
        } else {
            Err(nothing("none of the machine's"))
        }
    }),
    ("init-memory", |_| {
        let mut file = std::fs::File::open("/proc/1/mem")?;
        let mut byte = [0_u8; 1];
        file.read_exact(&mut byte).map(|()| "read".to_owned())
    }),
    // The network.
    ("tcp", |to| {
        let address = to.text("address")?.parse().map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)).map(done)
    }),
    ("unix", |to| UnixStream::connect(to.text("path")?).map(done)),
    ("abstract", |to| UnixStream::connect_addr(&SocketAddr::from_abstract_name(to.text("name")?)?).map(done)),
    ("loopback", |_| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        std::net::TcpStream::connect(listener.local_addr()?).map(done)
    }),
    ("socket", |to| {
        let call = ProbeCall::Socket {
            family: to.number("family")?,
            kind: to.number("type")?,
            protocol: to.number("protocol")?,
        };
        probe(call).map(done).map_err(Error::from)
    }),
    // What it was given.
    ("descriptors", |_| {
        let listing = std::fs::read_dir("/proc/self/fd")?;
        let own = format!("/proc/{}/fd", std::process::id());
        let found: Vec<String> = listing
            .flatten()
            .filter_map(|entry| {
                let number: u32 = entry.file_name().to_string_lossy().parse().ok()?;
                let link = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
                (2 < number && link != own).then(|| format!("{number}={link}"))
            })
            .collect();
        if found.is_empty() { Err(nothing("none")) } else { Ok(found.join(" ")) }
    }),
    ("environment", |_| {
        let given = ["HOME", "LANG", "PATH", "TMPDIR"];
        let found: Vec<String> =
            std::env::vars().map(|(name, _)| name).filter(|name| !given.contains(&name.as_str())).collect();
        if found.is_empty() { Err(nothing("none")) } else { Ok(found.join(" ")) }
    }),
    ("terminal", |to| {
        let fd = match to.0.get("fd") {
            Some(fd) => fd.parse().map_err(|_| Error::from(ErrorKind::InvalidInput))?,
            None => 0,
        };
        probe(ProbeCall::TypeIntoTerminal { fd }).map(done).map_err(Error::from)
    }),
    ("tty", |_| std::fs::File::options().write(true).open("/dev/tty").map(done)),
    // The kernel.
    ("namespace", |_| {
        probe(ProbeCall::Unshare { flags: libc::CLONE_NEWUSER }).map(done).map_err(Error::from)
    }),
    ("io-uring", |_| probe(ProbeCall::IoUring).map(done).map_err(Error::from)),
    ("bpf", |_| probe(ProbeCall::Bpf).map(done).map_err(Error::from)),
    ("keyctl", |_| probe(ProbeCall::Keyctl).map(done).map_err(Error::from)),
    ("userfaultfd", |_| probe(ProbeCall::Userfaultfd).map(done).map_err(Error::from)),
    ("perf", |_| probe(ProbeCall::PerfEvent).map(done).map_err(Error::from)),
    ("module", |_| probe(ProbeCall::LoadModule).map(done).map_err(Error::from)),
    ("reboot", |_| probe(ProbeCall::Reboot).map(done).map_err(Error::from)),
    ("time", |_| probe(ProbeCall::SetTime).map(done).map_err(Error::from)),
    ("personality", |_| probe(ProbeCall::Personality { persona: 0x004_0000 }).map(done).map_err(Error::from)),
    ("capability", |_| probe(ProbeCall::RaiseCapability).map(done).map_err(Error::from)),
    ("raise-limit", |_| probe(ProbeCall::RaiseOpenFiles).map(done).map_err(Error::from)),
    ("executable-memory", |_| probe(ProbeCall::ExecutableMemory).map(done).map_err(Error::from)),
    // The machine.
    ("memory", |to| memory(to.number("mb")?).map(|blocks| format!("{} MiB", blocks.len()))),
    ("hold-memory", |to| {
        // Longer than anybody needs to look.
        let blocks = memory(to.number("mb")?)?;
        std::thread::sleep(Duration::from_secs(10));
        Ok(format!("{} MiB", blocks.len()))
    }),
    ("fill", fill),
    ("files", |to| {
        let folder = Path::new(to.text("path")?);
        let wanted: u32 = to.number("count")?;
        for number in 0..wanted {
            std::fs::write(folder.join(number.to_string()), b"")?;
        }
        Ok(wanted.to_string())
    }),
    ("open-files", |to| {
        let wanted: usize = to.number("count")?;
        let mut open = Vec::new();
        while open.len() < wanted {
            open.push(std::fs::File::open("/dev/null")?);
        }
        Ok(wanted.to_string())
    }),
    ("spin", |to| {
        let end = Instant::now() + Duration::from_secs(to.number("seconds")?);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        Ok("span".to_owned())
    }),
    // Not attacks: how a program lives and ends.
    ("exit", |to| {
        let code: i32 = to.number("code")?;
        std::process::exit(code)
    }),
    ("abort", |_| std::process::abort()),
    ("sleep", |to| {
        std::thread::sleep(Duration::from_millis(to.number("ms")?));
        Ok("slept".to_owned())
    }),
    ("leave-a-child", |_| {
        // Outlives its parent, in a session of its own.
        Command::new("/bin/sh").args(["-c", "setsid sleep 1000 >/dev/null 2>&1 &"]).status()?;
        Ok("left".to_owned())
    }),
    ("echo", |_| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }),
];

/// Acts that an unattended run over all of them leaves out: they end the run, or only wait.
pub(crate) const NOT_IN_ALL: &[&str] =
    &["exit", "abort", "sleep", "leave-a-child", "echo", "spin", "signal-parent", "hold-memory", "memory"];

fn done<T>(_: T) -> String {
    "done".to_owned()
}

fn nothing(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, what)
}

/// Would running this file change who we are? It needs the bit, a mount that honours it, and a process
/// that may gain privileges.
fn setuid(to: &Targets) -> Outcome {
    let path = to.text("path")?;
    let metadata = std::fs::metadata(path)?;
    if metadata.permissions().mode() & 0o4000 == 0 {
        return Err(nothing("not a setuid file"));
    }
    let flags = nix::sys::statvfs::statvfs(path)?.flags();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bound = status.lines().any(|line| line == "NoNewPrivs:\t1");
    let ignored = flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID);
    match (ignored, bound) {
        (false, false) => Ok(format!("would become {}", metadata.uid())),
        _ => Err(nothing(&format!("nosuid {ignored}, no_new_privs {bound}"))),
    }
}

/// Takes and touches memory.
fn memory(mb: usize) -> Result<Vec<Vec<u8>>, Error> {
    const MIB: usize = 1024 * 1024;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for taken in 0..mb {
        let mut block = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            return Err(Error::new(ErrorKind::OutOfMemory, format!("after {taken} MiB")));
        }
        block.resize(MIB, 1);
        blocks.push(block);
    }
    Ok(blocks)
}

/// Writes files of `file_mb` until `mb` are written, and keeps them while it waits to be noticed.
fn fill(to: &Targets) -> Outcome {
    let folder = Path::new(to.text("path")?);
    let (mb, file_mb): (usize, usize) = (to.number("mb")?, to.number("file_mb")?);
    let block = vec![1_u8; 1024 * 1024];
    let mut written = 0;
    let mut kept = Vec::new();
    let unlink = to.0.contains_key("unlink");
    while written < mb {
        let path = folder.join(format!("fill-{written}"));
        let mut file = std::fs::File::create(&path)?;
        if unlink {
            std::fs::remove_file(&path)?;
        }
        for _ in 0..file_mb {
            file.write_all(&block)?;
            written += 1;
        }
        kept.push(file);
    }
    std::thread::sleep(Duration::from_millis(to.number("wait_ms").unwrap_or(0)));
    Ok(format!(
        "{written} MiB in {} files, the last is {}",
        kept.len(),
        kept.last().map_or(-1, AsRawFd::as_raw_fd)
    ))
}
