//! What the hub needs to know to choose a host.
//!
//! Answers: how many spokes live here and under which leases, how many more are taken, and which apps are here?
//! Never: is late, once it has begun; a host that is silent for five seconds counts as gone. Says that an app is not here
//! before it has looked: packages of strangers have thousands of files, and the first look reads them all.

use std::sync::Arc;
use std::time::Duration;

use bus::id::AppId;
use bus::limits::HEARTBEAT;
use bus::message::host::HostReport;
use bus::subject::{Op, Subject};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::serve::Host;

/// How often the folders are looked through for the report. Every start looks again at its own app's.
const LOOK: Duration = Duration::from_secs(5);

/// Reports once a second, for as long as the host lives; from when it first knows which apps are here.
pub(crate) async fn report(host: Arc<Host>) {
    let subject = Subject::HostOut { host: host.config.host.clone(), op: Op::REPORT };
    let mut looked = Instant::now();
    let mut apps = look(&host).await.unwrap_or_default();
    let mut looking = None;
    let mut tick = tokio::time::interval(HEARTBEAT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if looking.is_none() && LOOK <= looked.elapsed() {
            looking = Some((look(&host), Instant::now()));
        }
        // A look that takes long goes on beside the reports, and there is one at a time.
        if let Some((look, begun)) = &mut looking
            && let Ok(found) = tokio::time::timeout(HEARTBEAT / 2, look).await
        {
            apps = found.unwrap_or(apps);
            (looked, looking) = (*begun, None);
        }
        let report = HostReport {
            live: host.live(),
            capacity: host.config.capacity,
            apps: apps.clone(),
            looked_ms: u64::try_from(looked.elapsed().as_millis()).unwrap_or(u64::MAX),
            missing: host.missing.clone(),
            leases: host.leases(),
        };
        if let Err(error) = host.bus.publish(&subject, &report, None).await {
            tracing::warn!(%error, "a report was not sent");
        }
    }
}

/// The apps that are here. On a thread of its own: the first look reads every file of every app.
fn look(host: &Arc<Host>) -> JoinHandle<Vec<(AppId, String)>> {
    let host = Arc::clone(host);
    tokio::task::spawn_blocking(move || host.folders.all(&host.config))
}
