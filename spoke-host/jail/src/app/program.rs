//! The process that becomes the app.
//!
//! Answers: which file is the program, can it run in there, and what is in force when it does?
//! Never: runs it before the filter is in force.
//! Carries: I-10, I-11, I-16.

use super::AppSpec;
use crate::environment;
use crate::error::{Error, Layer};
use crate::limits::{self, AppLimits};
use crate::seccomp::Filter;
use crate::step::{self, Step};
use crate::{descriptors, sys};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use nix::unistd::{AccessFlags, Pid, access};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program that was found, ready to be executed.
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// A program that runs.
pub(super) struct Started {
    pub(super) pid: Pid,
    /// Where calls wait that the policy does not have; `None` when an outer sandbox listens.
    pub(super) listener: Option<OwnedFd>,
}

/// What the steps of the program work on.
struct Becoming {
    limits: AppLimits,
    /// Processes of the jail that count against the same user in the same namespace.
    others: u64,
    report: UnixStream,
}

/// Why the program does not run, from its process to init.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotRun {
    Exec(i32),
    Layer(Layer, String),
}

/// The word that comes with the listener; no answer of [`NotRun`] begins with it.
const FILTERED: u8 = b'f';

/// Loading a program from a slow disk takes a while; longer is a failure.
const TO_START: Duration = Duration::from_secs(30);

const STEPS: &[Step<Becoming>] = &[
    Step {
        layer: Layer::Descriptors,
        what: "nothing is open but standard input, output and error",
        act: |with| only_standard(&with.report),
    },
    Step {
        layer: Layer::Limits,
        what: "the app's limits",
        act: |with| limits::apply_app(&with.limits, with.others),
    },
    Step {
        layer: Layer::Seccomp,
        what: "only the calls of the policy; everything else ends the app",
        act: |with| filter(&with.report),
    },
];

pub(super) fn steps() -> Vec<(Layer, &'static str)> {
    step::list(STEPS)
}

/// Starts the program in a process of its own; returns once it runs.
pub(super) fn start(
    program: &Program,
    limits: &AppLimits,
    others: u64,
    control: Option<&UnixStream>,
    null: &File,
) -> Result<Started, Error> {
    let failed = |error: std::io::Error| Error::system(Layer::Command, "could not start the program", error);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_read_timeout(Some(TO_START)).map_err(failed)?;
    let becoming = Becoming { limits: limits.clone(), others, report: theirs };
    // Moved, so that this process does not keep the other end open.
    let pid = sys::fork(move || {
        let answer = match become_program(program, &becoming) {
            Ok(errno) => NotRun::Exec(errno as i32),
            Err(error) => NotRun::Layer(error.layer(), error.text()),
        };
        let answer = serde_json::to_vec(&answer).unwrap_or_default();
        let _ = (&becoming.report).write_all(&answer);
        127
    })
    .map_err(|errno| failed(errno.into()))?;
    for number in 0..3 {
        if number < 2 || control.is_some() {
            let _ = sys::duplicate_onto(null, number);
        }
    }
    let (first, listener) = receive_listener(&ours).map_err(|errno| failed(errno.into()))?;
    let mut answer = Vec::new();
    if first != FILTERED {
        answer.push(first);
    }
    (&ours).read_to_end(&mut answer).map_err(failed)?;
    if first == FILTERED && answer.is_empty() {
        // The end of the channel without a word: exec closed it.
        return Ok(Started { pid, listener });
    }
    match serde_json::from_slice(&answer) {
        Ok(NotRun::Exec(code)) => Err(program.not_executed(std::io::Error::from_raw_os_error(code))),
        Ok(NotRun::Layer(layer, text)) => Err(Error::new(layer, text)),
        Err(_) => Err(Error::new(Layer::Command, "the program ended before it began")),
    }
}

/// Only returns when it did not work: the answer to exec, or the layer that could not be had.
fn become_program(program: &Program, with: &Becoming) -> Result<Errno, Error> {
    // The standard library ignores it, and what is ignored stays so in the program.
    let _ = sys::default_signal(Signal::SIGPIPE);
    // A group and session of its own: signals to a group stay in the app.
    let _ = nix::unistd::setsid();
    step::take(STEPS, with)?;
    let path = sys::c_path(&program.path)
        .map_err(|errno| Error::system(Layer::Command, "a path with a zero byte", errno))?;
    match nix::unistd::execve(&path, &program.arguments, &program.environment) {
        Ok(never) => match never {},
        Err(errno) => Ok(errno),
    }
}

/// Closes everything but the standard descriptors and the channel to init, which exec closes.
fn only_standard(report: &UnixStream) -> Result<(), Error> {
    descriptors::close_unnamed(&[report.as_raw_fd()])
}

/// Installs the filter and hands its listener to init.
fn filter(report: &UnixStream) -> Result<(), Error> {
    let listener = Filter::app().install_listening()?;
    let word = [IoSlice::new(&[FILTERED])];
    let numbers: Vec<i32> = listener.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let attached = if numbers.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<UnixAddr>(report.as_raw_fd(), &word, attached, MsgFlags::empty(), None)
        .map(drop)
        .map_err(|errno| Error::system(Layer::Seccomp, "could not hand the listener to init", errno))
}

/// The first byte the program's process sends, and the listener if it comes with it.
fn receive_listener(report: &UnixStream) -> Result<(u8, Option<OwnedFd>), Errno> {
    let mut word = [0_u8; 1];
    let mut parts = [IoSliceMut::new(&mut word)];
    let mut space = nix::cmsg_space!([i32; 1]);
    let message =
        recvmsg::<UnixAddr>(report.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut listener = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            listener = numbers.first().map(|number| sys::adopt(*number)).transpose()?;
        }
    }
    let [first] = word;
    Ok((first, listener))
}

impl Program {
    /// Finds the program inside the jail, as the user the app will be.
    pub(super) fn find(spec: &AppSpec, environment: Vec<CString>) -> Result<Program, Error> {
        std::env::set_current_dir("/app").map_err(|error| {
            Error::system(Layer::Command, "could not enter the app's folder", error).with_hint(format!(
                "{} and what is in it must be readable for the unprivileged user {} that apps run as",
                spec.app_dir.display(),
                spec.id.number()
            ))
        })?;
        let name = spec.command.first().map(String::as_str).unwrap_or_default();
        let path = look_up(name, &environment)?;
        interpreter(&path, &environment)?;
        let arguments = spec
            .command
            .iter()
            .map(|part| CString::new(part.as_str()))
            .collect::<Result<_, _>>()
            .map_err(|_| Error::new(Layer::Command, "the command has a zero byte"))?;
        Ok(Program { path, arguments, environment })
    }

    fn not_executed(&self, error: std::io::Error) -> Error {
        let path = self.path.display();
        let hint = match error.raw_os_error() {
            Some(libc::ENOENT) => Some(format!(
                "{path} is there, but the loader it names is not visible inside the jail: name its folder in \
                 `[filesystem] read`"
            )),
            Some(libc::EACCES) => Some(format!(
                "{path} must be readable and executable for the unprivileged user that apps run as"
            )),
            Some(libc::ENOEXEC) => {
                Some(format!("{path} is neither a program for this machine nor a script with a `#!` line"))
            }
            Some(libc::EAGAIN | libc::ENOMEM) => {
                Some("the limits of the app are too low to start it".to_owned())
            }
            _ => None,
        };
        let error = Error::system(Layer::Command, format!("could not execute {path}"), error);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

fn look_up(name: &str, environment: &[CString]) -> Result<PathBuf, Error> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match check(&path) {
            Ok(()) => Ok(path),
            Err(why) => Err(not_visible(&path, why)),
        };
    }
    let path = environment::value_of(environment, "PATH").unwrap_or_default();
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|candidate| check(candidate).is_ok())
        .ok_or_else(|| {
            Error::new(
                Layer::Command,
                format!("{name} is not visible inside the jail in any folder of PATH={path}"),
            )
            .with_hint(format!(
                "give the full path of {name} in `command`, and name the folder it is installed in: \
                 `[filesystem] read = [\"/…\"]`"
            ))
        })
}

/// Is there a file that may be executed?
fn check(path: &Path) -> Result<(), Errno> {
    access(path, AccessFlags::X_OK)?;
    if path.is_dir() { Err(Errno::EISDIR) } else { Ok(()) }
}

fn not_visible(path: &Path, why: Errno) -> Error {
    // A link whose target is elsewhere is the usual case: name the target.
    let target = path.read_link().ok();
    let named = target.as_deref().unwrap_or(path);
    let text = match (why, &target) {
        (Errno::ENOENT, Some(target)) => format!(
            "{} is a link to {}, which is not visible inside the jail",
            path.display(),
            target.display()
        ),
        (Errno::ENOENT, None) => format!("{} is not visible inside the jail", path.display()),
        _ => format!("{} cannot be executed inside the jail", path.display()),
    };
    let error = Error::system(Layer::Command, text, why);
    if why == Errno::ENOENT && (!named.is_absolute() || named.starts_with("/app")) {
        error.with_hint("it is looked up in the app's own folder, which has no such file")
    } else if why == Errno::ENOENT {
        error.with_hint(format!(
            "if it exists outside, allow it in the manifest: `[filesystem] read = [\"{}\"]`",
            installation(named).display()
        ))
    } else {
        error
    }
}

/// The folder that belongs to a program: what holds its `bin`, or the folder it is in.
fn installation(program: &Path) -> &Path {
    let Some(folder) = program.parent() else {
        return program;
    };
    match (folder.file_name(), folder.parent()) {
        (Some(name), Some(above)) if name == "bin" && above.parent().is_some() => above,
        _ => folder,
    }
}

/// A script names another program in its first line, which has to be visible too.
fn interpreter(script: &Path, environment: &[CString]) -> Result<(), Error> {
    // As much of the line as the kernel reads.
    let mut start = Vec::with_capacity(256);
    match File::open(script) {
        Ok(file) => drop(file.take(256).read_to_end(&mut start)),
        // Executable but not readable is fine for a binary.
        Err(_) => return Ok(()),
    }
    let Some(line) = start.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next())
    else {
        return Ok(());
    };
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let Some(named) = words.next() else {
        return Ok(());
    };
    let wrong = |why: Error| {
        let hint = why.hint().map(str::to_owned);
        let text = format!("{} (the interpreter of {})", why.text(), script.display());
        let error = Error::new(Layer::Command, text);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    };
    look_up(named, environment).map_err(wrong)?;
    if Path::new(named).file_name().is_some_and(|name| name == "env")
        && let Some(program) = words.find(|word| !word.starts_with('-') && !word.contains('='))
    {
        look_up(program, environment).map_err(wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::installation;
    use std::path::Path;

    #[test]
    fn the_hint_names_the_whole_installation_of_an_interpreter() {
        let check = |program: &str, folder: &str| {
            assert_eq!(installation(Path::new(program)), Path::new(folder));
        };
        check("/opt/python/bin/python3", "/opt/python");
        check("/opt/tool", "/opt");
        check("/bin/x", "/bin");
    }
}
