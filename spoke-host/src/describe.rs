//! An app that nobody trusts yet is started in its jail, and asked what it offers.
//!
//! Answers: what does this program offer, every layer being in force while it says so?
//! Never: comes on the bus; gives the app a user's data or a way out; has an app asked that it does not vouch for.
//! Carries: I-11, I-12.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bus::launch::describe::{Described, Request};
use bus::limits::MAX_PAYLOAD;
use bus::message::host::SpawnFailure;
use jail::report::Namespaces;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdout;

use crate::lines::Lines;
use crate::process::Process;
use crate::spawn::failure;
use crate::{folder, probe, vouch};

/// The longest line of the spoke, bytes. What a server offers can be long; what is longer is no offer.
const MAX_OFFER: usize = 8 << 20;

/// How long the whole may take: a jail, a slow interpreter, a minute for its answers.
const PATIENCE: Duration = Duration::from_secs(90);

/// The word to the spoke that its app is vouched for.
const VOUCHED: &[u8] = b"\n";

/// How often the kernel is asked for its word, and how long between two times.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(200);

/// Reads a [`Request`] from standard input and prints what came of it as one line. `parent` is the process to end with.
pub fn run(parent: u32) -> ExitCode {
    let said = match live(parent) {
        Ok(said) => said,
        Err(SpawnFailure { detail, hint, .. }) => Described::Failed { detail, hint },
    };
    match serde_json::to_string(&said) {
        Ok(line) => println!("{line}"),
        Err(error) => eprintln!("{error}"),
    }
    if matches!(said, Described::Offer(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn live(parent: u32) -> Result<Described, SpawnFailure> {
    jail::prepare(Some(parent), &[]).map_err(of_jail)?;
    let missing = probe::missing();
    if !missing.is_empty() {
        return Err(SpawnFailure {
            detail: format!("this machine cannot confine an app: {}", missing.join("; ")),
            hint: Some("`secgpt doctor` says what this machine can enforce, and what to do".to_owned()),
            elsewhere: false,
        });
    }
    let mut text = Vec::new();
    let most = u64::try_from(MAX_PAYLOAD).unwrap_or(u64::MAX);
    let wrong = |what: String| failure(format!("the request is not understood: {what}"));
    std::io::stdin().take(most).read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
    let request: Request = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let own = Namespaces::own().map_err(of_jail)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure(format!("no event loop: {error}")))?;
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, describe(&request, &own)).await.unwrap_or_else(|_| {
            Err(failure(format!("the app did not answer within {} s", PATIENCE.as_secs())))
        })
    })
}

async fn describe(request: &Request, own: &Namespaces) -> Result<Described, SpawnFailure> {
    let begun = Instant::now();
    jail::app::own_data_dir(&request.data).map_err(of_jail)?;
    let folder = |path: &Path| {
        path.canonicalize().map_err(|error| failure(format!("{} cannot be used: {error}", path.display())))
    };
    let spec =
        folder::spec(&request.profile, folder(&request.dir)?, folder(&request.data)?, &BTreeMap::new())
            .ok_or_else(|| failure("only a program can be asked what it offers".to_owned()))?;
    let mut line = serde_json::to_vec(&(&request.profile.app, &request.profile.wishes, &spec))
        .map_err(|error| failure(format!("the app cannot be described to its jail: {error}")))?;
    line.push(b'\n');
    let mut spoke = Process::execute(&request.spoke, "describe", MAX_OFFER)?;
    let pid = spoke.child.id().ok_or_else(|| failure("the spoke ended at once".to_owned()))?;
    // If it has ended, its own words say why.
    let _ = spoke.stdin.write_all(&line).await;
    match next(&mut spoke).await? {
        Described::Ready => {}
        other => return Ok(other),
    }
    if let Some(failed) = unvouched(pid, own, begun, &mut spoke.said).await? {
        return Ok(failed);
    }
    let _ = spoke.stdin.write_all(VOUCHED).await;
    next(&mut spoke).await
}

/// Waits for the kernel's word on the spoke and its app, which is not greeted before. One that is being read while it
/// changes is read again; of one that ends meanwhile its spoke says how.
async fn unvouched(
    pid: u32,
    own: &Namespaces,
    begun: Instant,
    said: &mut Lines<ChildStdout>,
) -> Result<Option<Described>, SpawnFailure> {
    let mut tries = TRIES;
    loop {
        let Err(unvouched) = vouch::for_spoke(pid, true, own, begun) else {
            return Ok(None);
        };
        let early = tokio::time::timeout(BETWEEN, said.next()).await.ok().flatten();
        match early.and_then(|line| serde_json::from_slice(&line).ok()) {
            Some(failed @ Described::Failed { .. }) => return Ok(Some(failed)),
            // Nothing but an end can be told of an app that was not asked.
            Some(_) => return Err(unvouched),
            None => {}
        }
        tries = tries.saturating_sub(1);
        if tries == 0 {
            return Err(unvouched);
        }
    }
}

/// The spoke's next word, or why there is none.
async fn next(spoke: &mut Process) -> Result<Described, SpawnFailure> {
    match spoke.said.next().await {
        Some(line) => serde_json::from_slice(&line).map_err(|_| match MAX_OFFER <= line.len() {
            true => failure(format!("the app offers more than {} MiB of descriptions", MAX_OFFER >> 20)),
            false => failure("the spoke said what is not understood".to_owned()),
        }),
        None => {
            let mut last = None;
            if let Some(stderr) = spoke.stderr.take() {
                let mut lines = Lines::new(stderr, 1000);
                while let Some(line) = lines.next().await {
                    last = Some(String::from_utf8_lossy(&line).into_owned());
                }
            }
            Err(SpawnFailure {
                detail: "the spoke ended before it had asked the app".to_owned(),
                hint: last.filter(|last| !last.is_empty()).map(|last| format!("its last words: {last}")),
                elsewhere: false,
            })
        }
    }
}

fn of_jail(error: jail::Error) -> SpawnFailure {
    SpawnFailure { detail: error.line(), hint: error.hint().map(str::to_owned), elsewhere: false }
}
