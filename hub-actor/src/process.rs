//! The hub's own process, as the kernel sees it.
//!
//! Answers: who may look into it, and what ends it?
//! Never: outlives its parent.
//! Carries: I-15. It holds the key that signs for spokes.

use nix::sys::prctl;
use nix::sys::signal::Signal;

/// Ends with its parent; can be neither traced nor dumped by another process of the same user.
pub fn harden() {
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        tracing::warn!(%error, "the hub will not end with its parent");
    }
    if let Err(error) = prctl::set_dumpable(false) {
        tracing::warn!(%error, "the hub's memory is not closed to other processes of the same user");
    }
}

/// Returns when the process is asked to stop: SIGTERM or SIGINT.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be heard; the hub stops when its standard input closes");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
