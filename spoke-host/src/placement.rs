//! What the hub needs to know to choose a host.
//!
//! Answers: how many spokes live here, how many more are taken, and which apps are here?
//! Never: is late; a host that is silent for five seconds counts as gone.

use std::sync::Arc;
use std::time::Duration;

use bus::id::AppId;
use bus::limits::HEARTBEAT;
use bus::message::host::HostReport;
use bus::subject::{Op, Subject};
use tokio::time::{Instant, MissedTickBehavior};

use crate::serve::Host;

/// How often the folders are looked through for the report. Every start looks again at its own app's.
const LOOK: Duration = Duration::from_secs(5);

/// Reports once a second, for as long as the host lives.
pub(crate) async fn report(host: Arc<Host>) {
    let subject = Subject::HostOut { host: host.config.host.clone(), op: Op::REPORT };
    let mut tick = tokio::time::interval(HEARTBEAT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut apps = Vec::new();
    let mut looked: Option<Instant> = None;
    loop {
        tick.tick().await;
        if looked.is_none_or(|looked| LOOK <= looked.elapsed()) {
            looked = Some(Instant::now());
            if let Some(found) = look(&host).await {
                apps = found;
            }
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

/// The apps that are here. On a thread of its own: the first look reads every file of every app.
async fn look(host: &Arc<Host>) -> Option<Vec<(AppId, String)>> {
    let host = Arc::clone(host);
    let looking = tokio::task::spawn_blocking(move || host.folders.all(&host.config));
    tokio::time::timeout(HEARTBEAT * 3, looking).await.ok()?.ok()
}
