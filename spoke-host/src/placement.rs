//! What the hub needs to know to choose a host.
//!
//! Answers: how many spokes live here, how many more are taken, and which apps are here?
//! Never: is late; a host that is silent for five seconds counts as gone.

use std::sync::Arc;

use bus::limits::HEARTBEAT;
use bus::message::host::HostReport;
use bus::subject::{Op, Subject};
use tokio::time::MissedTickBehavior;

use crate::serve::Host;

/// Reports once a second, for as long as the host lives.
pub(crate) async fn report(host: Arc<Host>) {
    let subject = Subject::HostOut { host: host.config.host.clone(), op: Op::REPORT };
    let mut tick = tokio::time::interval(HEARTBEAT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut apps = Vec::new();
    loop {
        tick.tick().await;
        // On a thread of its own: the first look reads every file of every app.
        let looking = {
            let host = Arc::clone(&host);
            tokio::task::spawn_blocking(move || host.folders.all(&host.config))
        };
        if let Ok(Ok(found)) = tokio::time::timeout(HEARTBEAT * 2, looking).await {
            apps = found;
        }
        let report = HostReport {
            live: host.live(),
            capacity: host.config.capacity,
            apps: apps.clone(),
            missing: host.missing.clone(),
        };
        if let Err(error) = host.bus.publish(&subject, &report, None).await {
            tracing::warn!(%error, "a report was not sent");
        }
    }
}
