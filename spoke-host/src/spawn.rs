//! Starting a spoke.
//!
//! Answers: how does a spoke come into being, from the program file to the kernel's word on it?
//! Never: passes a private key, or a word before the process has said its own.
//! Carries: I-10, I-11, I-12.

use std::time::{Duration, Instant};

use bus::id::SpokeAddr;
use bus::launch::spoke::{Assignment, SpokeSaid};
use bus::limits::PROMPT_REPLY;
use bus::message::host::{SignRequest, Signed, Spawn, SpawnFailure, Vouched};
use bus::subject::{Op, Subject};
use jail::app::AppSpec;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::lines::Lines;
use crate::log::Log;
use crate::process::Process;
use crate::serve::Host;
use crate::{supervise, vouch};

/// How long a spoke has to tell of the end of an app that its host no longer finds.
const AFTERTHOUGHT: Duration = Duration::from_millis(500);

/// A spoke that runs and is vouched for. Dropping it kills it.
pub(crate) struct Running {
    pub(crate) spoke: SpokeAddr,
    pub(crate) child: Child,
    /// When it closes, the spoke ends.
    pub(crate) stdin: ChildStdin,
    pub(crate) said: Lines<ChildStdout>,
    pub(crate) log: Log,
}

/// Starts a spoke and sees it to where its host can vouch for it.
///
/// # Errors
/// Says what is missing and, if it is known, what to do.
pub(crate) async fn start(
    host: &Host,
    spawn: &Spawn,
    begun: Instant,
) -> Result<(Running, Vouched), SpawnFailure> {
    if !host.missing.is_empty() {
        let detail = format!("host {} cannot confine: {}", host.config.host, host.missing.join("; "));
        let hint = Some("`secgpt doctor` says what this machine can enforce, and what to do".to_owned());
        return Err(SpawnFailure { detail, hint, elsewhere: false });
    }
    let app = host.folders.app_spec(&host.config, spawn)?;
    let has_app = app.is_some();
    let lines = lines_for(host, spawn, app)?;
    let Process { child, stdin, said, stderr } = host.reserve.take(&host.config.spoke)?;
    let log = Log::new(spawn.spoke.clone(), stderr);
    let mut running = Running { spoke: spawn.spoke.clone(), child, stdin, said, log };
    match introduce(host, spawn, &mut running, lines).await {
        Ok(()) => {}
        Err(Silent::Failed(failure)) => return Err(failure),
        Err(Silent::Ended) => return Err(supervise::why_so_soon(running).await),
    }
    let pid = running.child.id().ok_or_else(|| failure("the spoke ended at once".to_owned()))?;
    match vouch::for_spoke(pid, has_app, &host.own, begun) {
        Ok(vouched) => Ok((running, vouched)),
        Err(failure) => Err(in_truth(failure, &mut running.said).await),
    }
}

/// Why there is nothing to vouch for: an app that ended in the meantime is the better reason.
async fn in_truth(unvouched: SpawnFailure, said: &mut Lines<ChildStdout>) -> SpawnFailure {
    match tokio::time::timeout(AFTERTHOUGHT, next(said)).await {
        Ok(Ok(SpokeSaid::AppEnded { how, .. })) => failure(format!("the app {how}")),
        _ => unvouched,
    }
}

/// The two lines that are known before the spoke's key is.
fn lines_for(host: &Host, spawn: &Spawn, app: Option<AppSpec>) -> Result<Vec<u8>, SpawnFailure> {
    let cannot =
        |error: serde_json::Error| failure(format!("the spoke's words could not be written: {error}"));
    let assignment = Assignment {
        addr: spawn.spoke.clone(),
        url: host.address.url.clone(),
        tls_ca: host.address.tls_ca.clone(),
        app,
    };
    let mut lines = serde_json::to_vec(&assignment).map_err(cannot)?;
    lines.push(b'\n');
    serde_json::to_writer(&mut lines, &spawn.profile).map_err(cannot)?;
    lines.push(b'\n');
    Ok(lines)
}

/// Why a spoke did not say that it is ready.
enum Silent {
    /// For a reason that is known.
    Failed(SpawnFailure),
    /// It ended; how, the kernel knows.
    Ended,
}

/// The conversation of the start, see `bus::launch::spoke`.
async fn introduce(host: &Host, spawn: &Spawn, running: &mut Running, lines: Vec<u8>) -> Result<(), Silent> {
    let Running { stdin, said, .. } = running;
    // The words may be longer than a pipe holds, and the spoke says its key before it reads them.
    let (written, jwt) = tokio::join!(stdin.write_all(&lines), signed(host, spawn, said));
    let mut jwt = jwt?;
    jwt.push('\n');
    if written.is_err() || stdin.write_all(jwt.as_bytes()).await.is_err() {
        // It may have said why.
        return match next(said).await {
            Err(silent) => Err(silent),
            Ok(_) => Err(Silent::Ended),
        };
    }
    match next(said).await? {
        SpokeSaid::Ready => Ok(()),
        other => Err(Silent::Failed(failure(format!("the spoke spoke out of turn: {other:?}")))),
    }
}

/// The hub's statement for the key that the spoke made.
async fn signed(host: &Host, spawn: &Spawn, said: &mut Lines<ChildStdout>) -> Result<String, Silent> {
    let SpokeSaid::PublicKey(public_key) = next(said).await? else {
        return Err(Silent::Failed(failure("the spoke spoke out of turn".to_owned())));
    };
    let subject = Subject::HostOut { host: host.config.host.clone(), op: Op::SIGN };
    let request = SignRequest { spawn: spawn.id.clone(), public_key };
    let unsigned =
        |why: String| Silent::Failed(failure(format!("the hub did not sign for the spoke: {why}")));
    let signed: Signed = host
        .bus
        .request(&subject, &request, Some(&spawn.id), PROMPT_REPLY)
        .await
        .map_err(|error| unsigned(error.to_string()))?;
    match signed.jwt {
        Ok(jwt) if !jwt.contains('\n') => Ok(jwt),
        Ok(_) => Err(unsigned("its statement has several lines".to_owned())),
        Err(why) => Err(unsigned(why)),
    }
}

async fn next(said: &mut Lines<ChildStdout>) -> Result<SpokeSaid, Silent> {
    let line = said.next().await.ok_or(Silent::Ended)?;
    match serde_json::from_slice(&line) {
        Ok(SpokeSaid::Failed { detail, hint }) => {
            Err(Silent::Failed(SpawnFailure { detail, hint, elsewhere: false }))
        }
        Ok(said) => Ok(said),
        Err(_) => Err(Silent::Failed(failure("the spoke said what is not understood".to_owned()))),
    }
}

pub(crate) fn failure(detail: String) -> SpawnFailure {
    SpawnFailure { detail, hint: None, elsewhere: false }
}
