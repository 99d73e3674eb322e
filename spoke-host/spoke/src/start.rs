//! The first milliseconds of a spoke.
//!
//! Answers: in which order does the process come on the bus, start its app and confine itself?
//! Never: reads what a stranger wrote before the last layer is in force; goes on without a layer.
//! Carries: I-10, I-11, I-12.
//!
//! The order is the one of the README. Before confinement only lines of the host are parsed; the profile, which holds
//! strangers' words, is read as bytes and parsed afterwards.

use std::error::Error as _;
use std::io::{BufRead, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bus::client::{Address, Bus, BusError, WhenLost};
use bus::identity::OwnKey;
use bus::launch::describe::Described;
use bus::launch::spoke::{Assignment, SpokeSaid};
use bus::limits::MAX_PAYLOAD;
use bus::subject::inbox;
use jail::app::AppSpec;
use jail::limits::SpokeLimits;
use tokio::net::unix::pipe;

use crate::app::Child;
use crate::operator;

/// The longest first line, bytes: a command, some paths, some variables.
pub(crate) const MAX_ASSIGNMENT: usize = 128 << 10;

/// The longest statement, bytes. Ours are under 2 KiB.
const MAX_JWT: usize = 16 << 10;

/// How long a name lookup's thread may outlive its work before the start is given up.
const THREADS_END: Duration = Duration::from_secs(1);

/// Why a start did not work out, for the host to hand on.
pub(crate) struct Failed {
    detail: String,
    hint: Option<String>,
}

impl Failed {
    pub(crate) fn new(detail: impl Into<String>, hint: Option<String>) -> Self {
        Self { detail: detail.into(), hint }
    }

    pub(crate) fn pipe(error: std::io::Error) -> Self {
        Self::new(format!("the host's pipe broke: {error}"), None)
    }

    /// As a process that only asks an app tells it.
    pub(crate) fn described(self) -> Described {
        Described::Failed { detail: self.detail, hint: self.hint }
    }
}

impl From<jail::Error> for Failed {
    fn from(error: jail::Error) -> Self {
        Self::new(error.line(), error.hint().map(str::to_owned))
    }
}

impl From<BusError> for Failed {
    fn from(error: BusError) -> Self {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            detail = format!("{detail}: {next}");
            cause = next.source();
        }
        Self::new(detail, None)
    }
}

/// The whole life of a spoke; `host` is the process id of the host that started it.
pub fn run(host: u32) -> ExitCode {
    match live(host) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { detail, hint }) => {
            // Without a host nobody is left to be told.
            let _ = say(&SpokeSaid::Failed { detail, hint });
            ExitCode::FAILURE
        }
    }
}

fn live(host: u32) -> Result<(), Failed> {
    jail::prepare(Some(host), &[])?;
    let limits = SpokeLimits::standard();
    jail::limits::apply_spoke(&limits)?;
    let key = OwnKey::generate();
    say(&SpokeSaid::PublicKey(key.public())).map_err(Failed::pipe)?;

    let mut host = std::io::stdin().lock();
    let assignment: Assignment<AppSpec> =
        serde_json::from_slice(&line(&mut host, MAX_ASSIGNMENT)?).map_err(words)?;
    let profile = line(&mut host, MAX_PAYLOAD)?;
    let jwt = String::from_utf8(line(&mut host, MAX_JWT)?)
        .map_err(|_| Failed::new("the signed statement is not text", None))?;
    drop(host);
    let credential = key.with_jwt(jwt).map_err(|error| Failed::new(error.to_string(), None))?;

    // A thread is only made where the bus is named by a host name, or has a certificate authority of its own; it
    // ends at once, because confinement needs a process of one thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_millis(1))
        .build()
        .map_err(|error| Failed::new(format!("no event loop: {error}"), None))?;
    runtime.block_on(async {
        let address = Address { url: assignment.url, tls_ca: assignment.tls_ca };
        let addr = assignment.addr;
        let bus = Bus::connect(
            &address,
            &credential,
            &format!("spoke {addr}"),
            &inbox::spoke(&addr),
            None,
            WhenLost::End,
        )
        .await?;
        drop(credential);
        let host = host_pipe().map_err(Failed::pipe)?;
        let child = assignment.app.as_ref().map(Child::start).transpose()?;
        one_thread().await?;
        jail::confine::spoke(&limits)?;

        // From here on the process can do nothing but talk; now strangers may be listened to.
        let profile = serde_json::from_slice(&profile).map_err(words)?;
        operator::run(operator::Place { bus, addr, profile, child, host }).await
    })
}

pub(crate) fn words(error: serde_json::Error) -> Failed {
    Failed::new(format!("the host's words are not understood: {error}"), None)
}

/// The pipe from the host, to notice its end or its next word.
pub(crate) fn host_pipe() -> std::io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)
}

/// Waits for the threads of name lookups to end.
async fn one_thread() -> Result<(), Failed> {
    let begun = Instant::now();
    while begun.elapsed() < THREADS_END {
        let threads = std::fs::read_dir("/proc/self/task").map_err(Failed::pipe)?.count();
        if threads == 1 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Confinement says what is wrong.
    Ok(())
}

/// A line of the host, without its end.
pub(crate) fn line(from: &mut impl BufRead, max: usize) -> Result<Vec<u8>, Failed> {
    let mut line = Vec::new();
    let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_until(b'\n', &mut line).map_err(Failed::pipe)?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        Some(_) if max <= line.len() => {
            Err(Failed::new(format!("a line of the host is longer than {max} bytes"), None))
        }
        _ => Err(Failed::new("the host went away during the start", None)),
    }
}

/// Tells the host. The lines are few and short, so the pipe always has room.
pub(crate) fn say(said: &SpokeSaid) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(said).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_bounded_and_must_end() {
        assert_eq!(line(&mut &b"abc\nd"[..], 3).ok().unwrap(), b"abc");
        assert!(line(&mut &b"abcd\n"[..], 3).err().unwrap().detail.contains("longer than 3"));
        assert!(line(&mut &b"ab"[..], 3).err().unwrap().detail.contains("went away"));
        assert!(line(&mut &b""[..], 3).err().unwrap().detail.contains("went away"));
    }
}
