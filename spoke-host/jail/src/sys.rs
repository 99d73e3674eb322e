//! The kernel's interface, as far as `nix` does not wrap it.
//!
//! Answers: nothing; each function is one call with its arguments made safe.
//! Never: decides anything. This is the one file of the project with unsafe code.
#![allow(unsafe_code)] // System calls without a safe wrapper, and fork; nothing else.

use libc::{c_int, c_long, c_uint, c_ulong, sock_filter};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

type Result<T> = std::result::Result<T, Errno>;

/// Runs `child` in a forked copy of this process, which ends with the code it returns.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> Result<Pid> {
    // SAFETY: in a process with one thread (the jail's launcher and init) the copy may do anything.
    // In one with several (`probe`) the C library keeps its allocator usable after fork, and the
    // copy takes no lock of ours: it makes system calls, allocates, and leaves by `_exit`.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(child),
        nix::unistd::ForkResult::Child => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            leave(code)
        }
    }
}

/// Ends the process at once, without running anything that was registered for its end.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: no memory is involved.
    unsafe { libc::_exit(code) }
}

/// Takes over a descriptor that was handed to this process by number.
pub(crate) fn adopt(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: F_GETFD touches no memory.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: the descriptor is open, and the caller names each number it was given once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor from `first` to `last`, both included.
pub(crate) fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: no memory is involved; called where nothing holds one of these descriptors.
    call(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Gives up every capability of the process: effective, permitted, inheritable.
pub(crate) fn clear_capabilities() -> Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    // _LINUX_CAPABILITY_VERSION_3: two words for each set.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: both structures have the layout of the version named, and outlive the call.
    call(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }).map(drop)
}

/// `prctl` with plain numbers.
pub(crate) fn prctl(option: c_int, argument: c_ulong, second: c_ulong) -> Result<c_int> {
    // SAFETY: only called with options whose arguments are numbers.
    Errno::result(unsafe { libc::prctl(option, argument, second, 0 as c_ulong, 0 as c_ulong) })
}

/// Takes the disposition of a signal back to the default.
pub(crate) fn default_signal(signal: nix::sys::signal::Signal) -> Result<()> {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) }.map(drop)
}

/// A descriptor that becomes readable when the process ends.
pub(crate) fn pidfd(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: no memory is involved.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

// --- mounts ---------------------------------------------------------------------------------------

/// A detached recursive copy of what is mounted at `path`.
pub(crate) fn open_tree(path: &CStr) -> Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as c_uint;
    // SAFETY: the path outlives the call.
    descriptor(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// A new file system of a type, with options, not mounted anywhere yet.
pub(crate) fn file_system(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> Result<OwnedFd> {
    // SAFETY: the name outlives the call.
    let context = descriptor(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1) })?;
    for (key, value) in options {
        // SAFETY: both strings outlive the call.
        call(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                libc::FSCONFIG_SET_STRING as c_uint,
                key.as_ptr(),
                value.as_ptr(),
                0,
            )
        })?;
    }
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the create command takes no strings.
    call(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            libc::FSCONFIG_CMD_CREATE as c_uint,
            none,
            none,
            0,
        )
    })?;
    // SAFETY: no memory is involved; the attributes are the 32 bits the call takes.
    descriptor(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attributes as c_uint)
    })
}

/// Sets attributes on a mount, and with `recursive` on everything below it.
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the structure has the size that is passed, and outlives the call.
    call(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Mounts a detached mount at `path`, which may be relative to the working directory.
pub(crate) fn move_mount(mount: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    // SAFETY: both paths outlive the call.
    call(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Brings loopback up in the network namespace of the process.
pub(crate) fn loopback_up() -> Result<()> {
    // SAFETY: no memory is involved.
    let socket = descriptor(c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: a request of zeros is a valid one, with an empty name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request has the layout the call expects, and outlives it.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
}

// --- system call filters --------------------------------------------------------------------------

/// Puts a filter program in force for this thread.
pub(crate) fn install_filter(program: &[sock_filter]) -> Result<()> {
    seccomp(program, 0).map(drop)
}

/// The same, with a descriptor on which calls wait that the program hands on.
pub(crate) fn install_filter_listening(program: &[sock_filter]) -> Result<OwnedFd> {
    descriptor(seccomp(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?)
}

fn seccomp(program: &[sock_filter], flags: c_ulong) -> Result<c_long> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, of the length that is passed, and does not write to it.
    call(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })
}

/// The number of the call that waits on a listener, and whose process is asking.
pub(crate) fn waiting_call(listener: BorrowedFd<'_>) -> Result<u32> {
    // Larger than the structure of today, which a newer kernel may extend.
    let mut buffer = [0_u64; 64];
    // SAFETY: the buffer is zeroed, as the call demands, and larger than what it writes.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, buffer.as_mut_ptr())
    })?;
    // SAFETY: the call succeeded, so the buffer begins with this structure of plain numbers.
    let notice = unsafe { buffer.as_ptr().cast::<libc::seccomp_notif>().read() };
    u32::try_from(notice.data.nr).map_err(|_| Errno::EINVAL)
}

/// Has `say` called with the number of a refused call, on SIGSYS; afterwards the process ends of it.
pub(crate) fn on_refused_call(say: fn(u32)) -> Result<()> {
    SAY.store(say as *mut (), std::sync::atomic::Ordering::SeqCst);
    // SAFETY: an action of zeros is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = refused as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the action is complete and outlives the call; the handler is async-signal-safe.
    Errno::result(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) }).map(drop)
}

static SAY: std::sync::atomic::AtomicPtr<()> = std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

extern "C" fn refused(_: c_int, info: *const libc::siginfo_t, _: *const libc::c_void) {
    // Where the kernel puts the number: after three integers, padding and an address.
    const NUMBER_AT: usize = 24;
    // SAFETY: the kernel passes a complete structure of 128 bytes, aligned to 8.
    let number = unsafe { info.cast::<u8>().add(NUMBER_AT).cast::<u32>().read() };
    let say = SAY.load(std::sync::atomic::Ordering::SeqCst);
    if !say.is_null() {
        // SAFETY: only `on_refused_call` writes the pointer, and it writes a function of this type.
        let say: fn(u32) = unsafe { std::mem::transmute(say) };
        say(number);
    }
    // SIGSYS is blocked while its handler runs, so the kernel ends the process with SIGSYS at the
    // next refused call: the parent sees the same as without a handler.
    // SAFETY: the call is refused; it would do nothing but change the caller's own debugging state.
    unsafe { libc::syscall(libc::SYS_ptrace, 0, 0, 0, 0) };
    leave(128 + libc::SIGSYS)
}

// --- for the tests and the probe -----------------------------------------------------------------

/// How a call ended that was tried in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It returned, with this error or 0.
    Returned(i32),
    /// The process ended of this signal.
    Killed(i32),
}

/// Makes one call with raw arguments in a forked copy of this process, under a filter if one is given.
///
/// Sound whatever the arguments do to memory: the copy ends right after the call.
///
/// # Errors
/// Forking or waiting failed.
pub fn attempt(filter: Option<crate::seccomp::Filter>, number: u32, args: [u64; 6]) -> Result<Attempt> {
    let me = std::process::id();
    let child = fork(move || {
        if let Some(filter) = filter
            && (nix::sys::prctl::set_no_new_privs().is_err() || filter.install_killing().is_err())
        {
            return 255;
        }
        let [a, b, c, d, e, f] = args;
        // SAFETY: whatever the call does, it does to this copy, which ends below.
        let returned = unsafe { libc::syscall(c_long::from(number), a, b, c, d, e, f) };
        // A call that made another process returns there too: that one leaves as well.
        let errno = if returned == -1 { Errno::last_raw() } else { 0 };
        // SAFETY: no memory is involved; a raw call, because a filter allows nothing more.
        unsafe { libc::syscall(libc::SYS_exit_group, errno) };
        254
    })?;
    debug_assert_eq!(me, std::process::id());
    match nix::sys::wait::waitpid(child, None)? {
        nix::sys::wait::WaitStatus::Exited(_, code) => Ok(Attempt::Returned(code)),
        nix::sys::wait::WaitStatus::Signaled(_, signal, _) => Ok(Attempt::Killed(signal as i32)),
        _ => Err(Errno::ECHILD),
    }
}

/// Calls the hostile probe makes in its own process; none of them is given memory to write to.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum ProbeCall {
    Socket { family: i32, kind: i32, protocol: i32 },
    Ptrace { pid: i32 },
    ReadMemory { pid: i32 },
    StealDescriptor { pid: i32 },
    Keyctl,
    Bpf,
    IoUring,
    Userfaultfd,
    PerfEvent,
    LoadModule,
    Reboot,
    OpenByHandle,
    Unshare { flags: i32 },
    Personality { persona: u32 },
    TypeIntoTerminal { fd: i32 },
    Fork,
    Kill { pid: i32, signal: i32 },
    RaiseCapability,
    ExecutableMemory,
    Chroot,
    RaiseOpenFiles,
    SetTime,
}

/// Makes such a call.
///
/// # Errors
/// What the kernel answered.
pub fn probe(call_to_make: ProbeCall) -> Result<i64> {
    let raw = |number: c_long, a: i64, b: i64, c: i64| {
        // SAFETY: every use below passes plain numbers, null, or the address of a constant that the
        // kernel only reads; null where it would write, which it answers with an error.
        call(unsafe { libc::syscall(number, a, b, c, 0_i64, 0_i64, 0_i64) })
    };
    let slash = c"/".as_ptr() as i64;
    match call_to_make {
        ProbeCall::Socket { family, kind, protocol } => {
            raw(libc::SYS_socket, family.into(), kind.into(), protocol.into())
        }
        ProbeCall::Ptrace { pid } => raw(libc::SYS_ptrace, libc::PTRACE_SEIZE.into(), pid.into(), 0),
        ProbeCall::ReadMemory { pid } => {
            let mut byte = 0_u8;
            let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
            let remote = libc::iovec { iov_base: (&raw const slash).cast_mut().cast(), iov_len: 1 };
            let (pid, one) = (i64::from(pid), 1_i64);
            let (to, from) = (&raw const local, &raw const remote);
            // SAFETY: one byte is written to a byte of this frame; the remote address is not ours.
            call(unsafe { libc::syscall(libc::SYS_process_vm_readv, pid, to, one, from, one, 0_i64) })
        }
        ProbeCall::StealDescriptor { pid } => {
            let target = pidfd(Pid::from_raw(pid))?;
            raw(libc::SYS_pidfd_getfd, target.as_raw_fd().into(), 0, 0)
        }
        // KEYCTL_GET_KEYRING_ID of the session's ring, created if it is not there.
        ProbeCall::Keyctl => raw(libc::SYS_keyctl, 0, -3, 1),
        // BPF_PROG_GET_NEXT_ID with no attributes.
        ProbeCall::Bpf => raw(libc::SYS_bpf, 11, 0, 0),
        ProbeCall::IoUring => raw(libc::SYS_io_uring_setup, 1, 0, 0),
        ProbeCall::Userfaultfd => raw(libc::SYS_userfaultfd, 1, 0, 0),
        ProbeCall::PerfEvent => raw(libc::SYS_perf_event_open, 0, 0, -1),
        ProbeCall::LoadModule => raw(libc::SYS_init_module, 0, 0, 0),
        // Wrong magic numbers: refused as EINVAL or EPERM where it is not filtered, never obeyed.
        ProbeCall::Reboot => raw(libc::SYS_reboot, 0, 0, 0),
        ProbeCall::OpenByHandle => raw(libc::SYS_open_by_handle_at, -100, 0, 0),
        ProbeCall::Unshare { flags } => raw(libc::SYS_unshare, flags.into(), 0, 0),
        ProbeCall::Personality { persona } => raw(libc::SYS_personality, persona.into(), 0, 0),
        ProbeCall::TypeIntoTerminal { fd } => raw(libc::SYS_ioctl, fd.into(), libc::TIOCSTI as i64, slash),
        ProbeCall::Fork => match raw(libc::SYS_clone, libc::SIGCHLD.into(), 0, 0)? {
            0 => {
                // The copy stays a while, so that many of them count at once.
                std::thread::sleep(std::time::Duration::from_secs(2));
                leave(0)
            }
            pid => Ok(pid),
        },
        ProbeCall::Kill { pid, signal } => raw(libc::SYS_kill, pid.into(), signal.into(), 0),
        // PR_CAP_AMBIENT_RAISE of CAP_SYS_ADMIN.
        ProbeCall::RaiseCapability => raw(libc::SYS_prctl, 47, 2, 21),
        ProbeCall::ExecutableMemory => {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let protection = libc::PROT_READ | libc::PROT_EXEC;
            // SAFETY: a new mapping of one page at a place of the kernel's choice.
            let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
            if mapped == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(0) }
        }
        ProbeCall::Chroot => raw(libc::SYS_chroot, slash, 0, 0),
        ProbeCall::RaiseOpenFiles => {
            let wish = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
            // SAFETY: the structure is complete and outlives the call.
            Errno::result(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wish) }).map(i64::from)
        }
        ProbeCall::SetTime => raw(libc::SYS_settimeofday, 0, slash, 0),
    }
}

// --- results -----------------------------------------------------------------------------------

fn call(returned: c_long) -> Result<c_long> {
    Errno::result(returned)
}

fn descriptor(returned: c_long) -> Result<OwnedFd> {
    let number = call(returned)?;
    let number = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: every caller passes the result of a call that returns a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A path as the kernel takes it.
pub(crate) fn c_path(path: &std::path::Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// Makes `to` another number for what `from` is, for the standard descriptors.
pub(crate) fn duplicate_onto(from: impl AsFd, to: RawFd) -> Result<()> {
    // SAFETY: called for 0, 1 and 2 only, which no owner in this process closes.
    Errno::result(unsafe { libc::dup2(from.as_fd().as_raw_fd(), to) }).map(drop)
}
