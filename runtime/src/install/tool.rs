//! A registry's client: `pip`, `npm`, and the interpreters that are asked where they are.
//!
//! Answers: what did it say, and how did it end?
//! Never: waits without end; shows it a variable that is not named here; keeps more than its last words.
//! Carries: I-10.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::environment;
use crate::error::Error;

/// Variables that a client gets: where programs and its own settings are, which certificates and proxies hold, and
/// its registry. Keys of models and of this program are not among them.
const NAMED: [&str; 18] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "all_proxy",
];

/// Settings of the clients themselves begin like this.
const PREFIXES: [&str; 3] = ["PIP_", "NPM_CONFIG_", "npm_config_"];

/// How much of what it says is kept, bytes.
const KEPT: usize = 16 << 10;

/// What came of a run.
pub(super) struct Ran {
    /// Did it end well?
    pub(super) well: bool,
    /// The end of its standard output.
    pub(super) out: String,
    /// The end of its standard error.
    pub(super) err: String,
}

impl Ran {
    /// Both, for looking for a word.
    pub(super) fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    /// Its last lines that are not empty, for a person.
    pub(super) fn last_lines(&self, count: usize) -> String {
        let text = if self.err.trim().is_empty() { &self.out } else { &self.err };
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("; ")
    }
}

/// Runs a program in that folder, for at most that long.
///
/// # Errors
/// If it cannot be started, or does not end in time.
pub(super) async fn run(
    program: &Path,
    args: &[OsString],
    dir: &Path,
    limit: Duration,
) -> Result<Ran, Error> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env_clear().envs(variables()).env("TMPDIR", std::env::temp_dir());
    // A group of its own, so that what it has started ends with it, and Ctrl-C comes to this program first.
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| Error::failed(format!("{} cannot be started", program.display())).because(error))?;
    let _group = Group(child.id());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(end_of(out), end_of(err), child.wait()) };
    let (out, err, status) = tokio::time::timeout(limit, all).await.map_err(|_| {
        Error::failed(format!("{name} did not end within {} s and was ended", limit.as_secs()))
    })?;
    let status = status.map_err(|error| Error::failed(format!("{name} was lost")).because(error))?;
    Ok(Ran { well: status.success(), out, err })
}

/// Ends a whole group of processes when it falls.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            // Refused if nobody of the group is left, which is the usual case.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

async fn end_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), [0_u8; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| is_named(name))
}

fn is_named(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    NAMED.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The first program of that name in `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = environment::var("PATH")?;
    let is_program = |file: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(is_program)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_shown_its_own_settings_and_no_key() {
        let named = |name: &str| is_named(OsStr::new(name));
        assert!(named("PATH") && named("PIP_INDEX_URL") && named("npm_config_registry"));
        for name in [
            "OPENAI_API_KEY",
            "SECGPT_MODEL_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_AUTH_SOCK",
            "PYTHONPATH",
            "NODE_OPTIONS",
        ] {
            assert!(!named(name), "{name}");
        }
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $! > child; wait";
        let args = ["-c".into(), script.into()];
        let ran = run(Path::new("/bin/sh"), &args, dir.path(), Duration::from_millis(500)).await;
        assert!(ran.err().unwrap().to_string().contains("did not end within"));
        let child = std::fs::read_to_string(dir.path().join("child")).unwrap();
        let alive = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.trim()));
            status.is_ok_and(|status| !status.contains("State:\tZ"))
        };
        let begun = std::time::Instant::now();
        while alive() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
