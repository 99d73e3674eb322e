//! The host on the bus.
//!
//! Answers: which requests of the hub are carried out, and how many at once?
//! Never: takes more spokes than its capacity; leaves one behind when it ends.
//! Carries: I-16. One thread: the kernel ends a spoke with the thread that started it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::client::{Address, Bus};
use bus::envelope::Incoming;
use bus::id::{LeaseId, SpokeAddr};
use bus::launch::{Child, HostConfig, LaunchError, failed};
use bus::message::host::{Lease, Spawn, SpawnFailure, Spawned, Stop};
use bus::service::Service;
use bus::subject::{Auditor, Leaf, Op, Subject, pattern};
use jail::report::Namespaces;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{Notify, Semaphore};

use crate::folder::Folders;
use crate::reserve::Reserve;
use crate::{lease, placement, probe, spawn, supervise};

/// Starts at once. More would only share the same processors.
const STARTING: usize = 64;

/// How long spokes have to end when the host does. They are killed, so it takes moments.
const ENDING: Duration = Duration::from_secs(2);

/// What all parts of the host share.
pub(crate) struct Host {
    pub(crate) config: HostConfig,
    pub(crate) address: Address,
    pub(crate) bus: Bus,
    pub(crate) own: Namespaces,
    pub(crate) folders: Folders,
    pub(crate) reserve: Reserve,
    /// What this machine cannot enforce.
    pub(crate) missing: Vec<String>,
    starting: Semaphore,
    spokes: Mutex<HashMap<SpokeAddr, Arc<Place>>>,
}

/// A spoke's place in the table, held from the request to the end.
#[derive(Default)]
pub(crate) struct Place {
    /// Under which lease it was asked for.
    lease: Option<LeaseId>,
    /// Told when the spoke is to be killed; remembers it if nobody listens yet.
    pub(crate) stop: Notify,
}

/// The whole life of the host.
///
/// # Errors
/// If it could not start. The parent was told.
pub fn run() -> Result<(), Box<dyn Error>> {
    jail::prepare(None, &[])?;
    raise_descriptors();
    // Tries in processes that are forked off, so before there is a second thread.
    let missing = probe::missing();
    for what in &missing {
        tracing::error!("this machine cannot enforce: {what}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match start(missing).await {
            Ok((host, child)) => serve(host, child).await,
            Err(error) => {
                failed(error.to_string(), None).await;
                Err(error)
            }
        }
    })
}

/// Every live spoke takes four descriptors.
fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit on open files could not be raised; fewer spokes fit");
    }
}

async fn start(missing: Vec<String>) -> Result<(Arc<Host>, Child<HostConfig>), Box<dyn Error>> {
    let child = Child::<HostConfig>::begin().await?;
    let own = Namespaces::own()?;
    let config = child.config.clone();
    let name = format!("host {}", config.host);
    let bus = child.connect(&name, Auditor::Host(config.host.clone())).await?;
    let host = Host {
        address: child.address.clone(),
        bus,
        own,
        folders: Folders::default(),
        reserve: Reserve::default(),
        missing,
        starting: Semaphore::new(STARTING),
        spokes: Mutex::default(),
        config,
    };
    Ok((Arc::new(host), child))
}

async fn serve(host: Arc<Host>, mut child: Child<HostConfig>) -> Result<(), Box<dyn Error>> {
    let mut own = host.bus.subscribe(&pattern::host_in(&host.config.host)).await?;
    let mut any = host.bus.queue_subscribe(pattern::ANY_HOST, pattern::HOSTS).await?;
    let about = "Starts and watches the spokes of one machine";
    let _service = Service::start(&host.bus, "spoke-host", about, &[]).await?;
    let report = tokio::spawn(placement::report(Arc::clone(&host)));
    host.fill_reserve();
    child.ready().await?;
    tracing::info!(host = %host.config.host, capacity = host.config.capacity, "ready");
    loop {
        tokio::select! {
            () = child.stopped() => break,
            Some(message) = own.next() => host.take(message).await,
            Some(message) = any.next() => host.take(message).await,
            else => return Err(LaunchError::NoParent.into()),
        }
    }
    report.abort();
    host.end_all().await;
    Ok(())
}

impl Host {
    async fn take(self: &Arc<Self>, message: Incoming) {
        match &message.subject {
            Subject::HostIn { leaf: Leaf::Spawn, .. } | Subject::HostAny(Op::SPAWN) => {
                if let Some(spawn) = self.bus.body::<Spawn>(&message).await {
                    tokio::spawn(Arc::clone(self).whole_life(spawn));
                }
            }
            Subject::HostIn { leaf: Leaf::Stop, .. } => {
                if let Some(Stop { spoke, why }) = self.bus.body::<Stop>(&message).await {
                    tracing::debug!(%spoke, why, "to be stopped");
                    if let Some(place) = self.spokes().get(&spoke) {
                        place.stop.notify_one();
                    }
                }
            }
            Subject::HostIn { leaf: Leaf::Lease, .. } => {
                if let Some(Lease { id }) = self.bus.body::<Lease>(&message).await {
                    self.end_others(&id);
                }
            }
            // Answers to our own requests come here as well as to whoever asked.
            Subject::HostIn { leaf: Leaf::Reply(_), .. } => {}
            other => self.bus.drop_message(&other.to_string(), "a host has nothing to do there").await,
        }
    }

    /// A spoke from the request to its end. It says [`Spawned`] once, and if that was good news, `Exited` once.
    async fn whole_life(self: Arc<Self>, spawn: Spawn) {
        let (id, spoke) = (spawn.id.clone(), spawn.spoke.clone());
        let started = match self.reserve(&spoke, spawn.lease.clone()) {
            Ok(place) => {
                let started = self.started(&spawn, &place).await;
                if started.is_err() {
                    self.spokes().remove(&spoke);
                }
                started.map(|(running, vouched)| (running, vouched, place))
            }
            Err(failure) => Err(failure),
        };
        let (result, running) = match started {
            Ok((running, vouched, place)) => (Ok(vouched), Some((running, place))),
            Err(failure) => {
                tracing::warn!(%spoke, detail = failure.detail, "a spoke was not started");
                (Err(failure), None)
            }
        };
        let subject = Subject::HostOut { host: self.config.host.clone(), op: Op::SPAWNED };
        if let Err(error) =
            self.bus.publish(&subject, &Spawned { spawn: id.clone(), result }, Some(&id)).await
        {
            tracing::error!(%error, %spoke, "the hub was not told of a spoke");
        }
        self.fill_reserve();
        if let Some((running, place)) = running {
            supervise::until_end(&self, running, &place).await;
            self.spokes().remove(&spoke);
        }
    }

    async fn started(
        self: &Arc<Self>,
        spawn: &Spawn,
        place: &Place,
    ) -> Result<(spawn::Running, bus::message::host::Vouched), SpawnFailure> {
        let begun = std::time::Instant::now();
        let start = async {
            let _turn = self.starting.acquire().await;
            spawn::start(self, spawn, begun).await
        };
        let failure = |detail: String| SpawnFailure { detail, hint: None, elsewhere: false };
        tokio::select! {
            started = start => started,
            () = place.stop.notified() => Err(failure("it was stopped before it had started".to_owned())),
            () = tokio::time::sleep(bus::limits::SPAWN) => {
                Err(failure(format!("the spoke was not ready within {:?}", bus::limits::SPAWN)))
            }
        }
    }

    /// Has processes wait for the next spokes, where this machine can confine them.
    fn fill_reserve(&self) {
        let busy = self.starting.available_permits() < STARTING;
        if self.missing.is_empty() && !busy {
            self.reserve.fill(&self.config.spoke);
        }
    }

    /// A place for a new spoke, if there is one.
    fn reserve(&self, spoke: &SpokeAddr, lease: Option<LeaseId>) -> Result<Arc<Place>, SpawnFailure> {
        let mut spokes = self.spokes();
        if self.config.capacity <= u32::try_from(spokes.len()).unwrap_or(u32::MAX) {
            let detail =
                format!("host {} is full: it takes {} spokes", self.config.host, self.config.capacity);
            return Err(SpawnFailure { detail, hint: None, elsewhere: true });
        }
        if spokes.contains_key(spoke) {
            let detail = format!("there is a spoke {spoke} already");
            return Err(SpawnFailure { detail, hint: None, elsewhere: false });
        }
        let place = Arc::new(Place { lease, stop: Notify::default() });
        spokes.insert(spoke.clone(), Arc::clone(&place));
        Ok(place)
    }

    /// Kills the spokes of every lease but this one: nobody will give them work or stop them.
    fn end_others(&self, lease: &LeaseId) {
        for (spoke, place) in self.spokes().iter().filter(|(_, place)| lease::is_over(&place.lease, lease)) {
            tracing::warn!(%spoke, "nobody holds this spoke any more; it is ended");
            place.stop.notify_one();
        }
    }

    /// Under which leases spokes live here or are being started.
    pub(crate) fn leases(&self) -> Vec<Option<LeaseId>> {
        lease::each_once(self.spokes().values().map(|place| &place.lease))
    }

    /// Kills every spoke and waits until they are no more.
    async fn end_all(&self) {
        for place in self.spokes().values() {
            place.stop.notify_one();
        }
        let gone = async {
            while !self.spokes().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(ENDING, gone).await.is_err() {
            tracing::warn!("spokes are left to the kernel, which ends them with this process");
        }
        let _ = tokio::time::timeout(ENDING, self.bus.flush()).await;
    }

    /// Spokes that live or are being started.
    pub(crate) fn live(&self) -> u32 {
        u32::try_from(self.spokes().len()).unwrap_or(u32::MAX)
    }

    fn spokes(&self) -> std::sync::MutexGuard<'_, HashMap<SpokeAddr, Arc<Place>>> {
        // Nothing panics while it holds the lock; and if it did, the table is whole.
        self.spokes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
