//! A spoke until its end.
//!
//! Answers: how did a spoke end, and was it for breaking a rule?
//! Never: is late to say so; takes the spoke's word where the kernel has one.
//! Carries: I-10, I-16.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use bus::launch::spoke::SpokeSaid;
use bus::message::audit::{Record, What};
use bus::message::host::{Exited, SpawnFailure};
use bus::subject::{Op, Subject};

use crate::log::{Log, Refused};
use crate::serve::{Host, Place};
use crate::spawn::{Running, failure};

/// How long a process may take to end once its pipe is closed or it was killed.
const ENDING: Duration = Duration::from_secs(2);

/// The longest account of how an app ended, bytes.
const MAX_HOW: usize = 500;

/// How a spoke ended.
#[derive(Debug, PartialEq, Eq)]
struct End {
    how: String,
    violation: bool,
}

/// Watches over a spoke, kills it when told, and says how it ended.
pub(crate) async fn until_end(host: &Host, mut running: Running, place: &Place) {
    let spoke = running.spoke.clone();
    let started =
        What::Started { who: format!("spoke {spoke}"), detail: "every layer is in force".to_owned() };
    host.bus.audit(Op::LIFECYCLE, Record { work: None, user: None, what: started }).await;
    let mut of_app = None;
    let mut stopped = false;
    let status = loop {
        tokio::select! {
            status = running.child.wait() => break status,
            () = place.stop.notified() => {
                stopped = true;
                if let Err(error) = running.child.start_kill() {
                    tracing::error!(%spoke, %error, "could not be killed");
                }
            }
            line = running.said.next(), if of_app.is_none() => of_app = Some(line.and_then(|line| app_ended(&line))),
            () = running.log.take_next() => {}
        }
    };
    running.log.take_rest().await;
    let of_app = match of_app {
        Some(said) => said,
        None => {
            let rest = tokio::time::timeout(Duration::from_millis(100), running.said.next()).await;
            rest.ok().flatten().and_then(|line| app_ended(&line))
        }
    };
    let End { how, violation } = match status {
        Ok(status) => end(status, running.log.refused(), of_app, stopped),
        Err(error) => End { how: format!("lost: {error}"), violation: false },
    };
    tracing::info!(%spoke, how, violation, "ended");
    let (op, what) = if violation {
        (Op::KILL, What::Killed { spoke: spoke.clone(), why: how.clone() })
    } else {
        (Op::LIFECYCLE, What::Stopped { who: format!("spoke {spoke}"), detail: how.clone() })
    };
    let subject = Subject::HostOut { host: host.config.host.clone(), op: Op::EXITED };
    if let Err(error) =
        host.bus.publish(&subject, &Exited { spoke: spoke.clone(), how, violation }, None).await
    {
        tracing::error!(%spoke, %error, "the hub was not told of a spoke's end");
    }
    host.bus.audit(op, Record { work: None, user: None, what }).await;
}

/// Why a spoke ended before it was ready.
pub(crate) async fn why_so_soon(mut running: Running) -> SpawnFailure {
    let status = tokio::time::timeout(ENDING, running.child.wait()).await;
    running.log.take_rest().await;
    let how = match status {
        Ok(Ok(status)) => end(status, running.log.refused(), None, false).how,
        _ => "it closed its pipe".to_owned(),
    };
    failure(format!("the spoke ended during its start: {how}{}", last_words(&running.log)))
}

fn last_words(log: &Log) -> String {
    log.last().map(|words| format!("; its last words: {words}")).unwrap_or_default()
}

fn app_ended(line: &[u8]) -> Option<End> {
    match serde_json::from_slice(line) {
        Ok(SpokeSaid::AppEnded { how, violation }) => {
            Some(End { how: format!("its app {}", how.chars().take(MAX_HOW).collect::<String>()), violation })
        }
        _ => None,
    }
}

/// The kernel's word first, then what the spoke said of its app.
fn end(status: ExitStatus, refused: Option<&Refused>, of_app: Option<End>, stopped: bool) -> End {
    const SIGSYS: i32 = 31;
    let fine = |how: String| End { how, violation: false };
    match (status.signal(), status.code()) {
        (Some(SIGSYS), _) => {
            let call = refused.map_or_else(|| "system call unknown".to_owned(), Refused::to_string);
            End { how: format!("killed by SIGSYS ({call})"), violation: true }
        }
        (Some(9), _) if stopped => fine("stopped".to_owned()),
        (Some(signal), _) => fine(format!("killed by signal {signal}{}", name_of(signal))),
        (None, Some(code)) => of_app.unwrap_or_else(|| fine(format!("exited with {code}"))),
        (None, None) => fine("ended".to_owned()),
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU, its processor time is used up)",
        25 => " (SIGXFSZ)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: i32, stopped: bool, of_app: Option<End>, how: &str, violation: bool) {
        let expected = End { how: how.to_owned(), violation };
        assert_eq!(end(ExitStatus::from_raw(status), None, of_app, stopped), expected);
    }

    #[test]
    fn a_refused_system_call_is_a_violation_and_a_kill_is_not() {
        check(31, false, None, "killed by SIGSYS (system call unknown)", true);
        check(9, false, None, "killed by signal 9 (SIGKILL)", false);
        check(9, true, None, "stopped", false);
        check(3 << 8, false, None, "exited with 3", false);
    }

    #[test]
    fn the_kernels_word_goes_before_the_spokes() {
        let claim = || app_ended(br#"{"app_ended":{"how":"ended by itself","violation":false}}"#);
        check(0, false, claim(), "its app ended by itself", false);
        check(31, false, claim(), "killed by SIGSYS (system call unknown)", true);
    }
}
