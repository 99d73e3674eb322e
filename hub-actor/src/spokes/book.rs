//! Which spokes there are, who started them, and what they work on.
//!
//! Answers: what follows from this message of a host or a spoke?
//! Never: speaks on the bus or reads a clock; what is to be done comes out as [`Effect`]s.
//! Carries: I-19 (a spoke is signed for once, for the host that was asked), I-11 (work only for a spoke that is
//! vouched for), I-18 (a task ends exactly once).

mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::id::{AppId, HostId, LeaseId, SessionId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::limits::{SILENCE, SPAWN, SPOKE_CREDENTIAL, SPOKE_RATE};
use bus::message::host::{Exited, HostReport, Spawn, SpawnFailure, Spawned};
use bus::message::profile::{Kind, Profile};
use bus::message::task::{Failure, FailureCode};
use tokio::sync::{Semaphore, oneshot};

use super::placement::{Placement, Seats, choose};
use crate::permission::label::Labels;
use bus::bucket::Bucket;

use work::Running;
pub use work::{Begin, Caller, Ended, Unheard};

/// How long a spoke without work is kept for its session's next query.
const IDLE: Duration = Duration::from_secs(60);

/// From what age a spoke gets no new work: its credential must outlive a whole task.
const RETIRED: Duration = Duration::from_secs(SPOKE_CREDENTIAL.as_secs() - 600);

/// How long a report may have been on its way: a host that says to have looked less than this after the apps were taken up
/// may have looked before.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Why an app that was pinned anew, or removed, does nothing more for a query that came before.
const CHANGED: &str = "it was changed or removed meanwhile; ask again";

/// Requests to other apps that one spoke may have open at once.
const OPEN_REQUESTS: usize = 1024;

/// What a spoke of some app is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// From the manifest.
    pub profile: Profile,
    /// The app's pin; empty for none.
    pub hash: String,
    /// Are credentials of users added to what it sends? Then the egress-gateway must know for whom it works.
    pub credentials: bool,
}

impl Offer {
    /// The pin of the folder that a host must have; empty if it needs none: only of a program is more than the profile.
    fn pinned(&self) -> &str {
        match self.profile.kind {
            Kind::Stdio { .. } => &self.hash,
            Kind::Empty | Kind::Prompt | Kind::Remote { .. } | Kind::Http { .. } => "",
        }
    }
}

/// A spoke that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    /// For whom.
    pub user: UserId,
    /// In which conversation.
    pub session: SessionId,
    /// For this query only: private mode, a spoke without prior context.
    pub query: Option<WorkId>,
    /// Which app.
    pub app: AppId,
    /// As it was pinned when the query came. One that was pinned anew since is another.
    pub hash: String,
    /// A new process that nobody else gets?
    pub fresh: bool,
}

/// Where the answer to a [`Need`] goes.
pub type Placed = oneshot::Sender<Result<SpokeAddr, Failure>>;

/// What is to be done, in order.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Send this to the host.
    Spawn(HostId, Box<Spawn>),
    /// Have the host stop this spoke, for this reason.
    Stop(HostId, SpokeAddr, String),
    /// Have the host stop all spokes but those of this lease.
    Lease(HostId, LeaseId),
    /// Have the spoke stop working on this task.
    Cancel(SpokeAddr, WorkId),
    /// Record that it was started, and with what in force.
    Started(UserId, SpokeAddr, String),
    /// Record how it ended.
    Stopped(SpokeAddr, String),
    /// Tell the egress-gateway that it works for nobody any more.
    Forget(SpokeAddr),
    /// Record for what it was killed.
    Killed(SpokeAddr, String),
}

/// Why a message is not handled. It is dropped and recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHandled {
    /// The spoke is none of ours, or no longer.
    #[error("the hub knows no such spoke")]
    Spoke,
    /// The task is not this spoke's, or has ended.
    #[error("this spoke has no such task, or it has ended")]
    Task,
    /// The host was not asked.
    #[error("this host was not asked to start it")]
    Host,
    /// It was done before.
    #[error("it was signed for already")]
    Again,
    /// The spoke speaks too much. It is stopped.
    #[error("this spoke says more than it may; it is stopped")]
    Flood,
}

struct Host {
    seats: Seats,
    /// Under which all spokes that we hold there were asked for. Another one as soon as we hold none of them any more.
    lease: LeaseId,
    /// Spokes there by our own count: those being started, and those alive.
    held: u32,
    /// Reports in a row that named fewer spokes than we hold.
    short: u32,
    seen: Instant,
}

struct Wanted {
    need: Need,
    waiting: Vec<Placed>,
    deadline: Instant,
    tried: Vec<HostId>,
    /// The latest reason why there is none yet.
    why: String,
    attempt: Option<WorkId>,
}

struct Attempt {
    want: u64,
    spoke: SpokeAddr,
    host: HostId,
    signed: bool,
    ready: bool,
    vouched: Option<String>,
}

struct Live {
    user: UserId,
    session: SessionId,
    query: Option<WorkId>,
    host: HostId,
    fresh: bool,
    labels: Labels,
    bucket: Bucket,
    open: Arc<Semaphore>,
    tasks: HashSet<WorkId>,
    since: Instant,
    idle_since: Instant,
}

/// All spokes and hosts.
pub struct Book {
    offers: HashMap<AppId, Offer>,
    /// When they became others than at the start.
    taken_up: Option<Instant>,
    hosts: HashMap<HostId, Host>,
    wanted: HashMap<u64, Wanted>,
    next_want: u64,
    attempts: HashMap<WorkId, Attempt>,
    live: HashMap<SpokeAddr, Live>,
    /// Those that several queries of a session use, one after another or at once.
    shared: HashMap<Need, SpokeAddr>,
    running: HashMap<WorkId, Running>,
    effects: Vec<Effect>,
}

impl Book {
    /// Nothing is running yet; these are the apps that can be started.
    #[must_use]
    pub fn new(offers: HashMap<AppId, Offer>) -> Self {
        Self {
            offers,
            taken_up: None,
            hosts: HashMap::new(),
            wanted: HashMap::new(),
            next_want: 0,
            attempts: HashMap::new(),
            live: HashMap::new(),
            shared: HashMap::new(),
            running: HashMap::new(),
            effects: Vec::new(),
        }
    }

    /// From now on these are the apps that can be started. The spokes of one that is another now, or gone, are stopped,
    /// and what they work on fails; what is wanted of it is not started.
    pub fn offer(&mut self, offers: HashMap<AppId, Offer>, now: Instant) {
        let all = self.offers.keys().chain(offers.keys());
        let changed: HashSet<AppId> =
            all.filter(|app| self.offers.get(*app) != offers.get(*app)).cloned().collect();
        self.offers = offers;
        self.taken_up = Some(now);
        self.hosts.values_mut().for_each(|host| host.seats.behind = true);
        self.stop_those(CHANGED, |spoke, _| changed.contains(&spoke.app));
        let wants: Vec<u64> = self
            .wanted
            .iter()
            .filter(|(_, wanted)| changed.contains(&wanted.need.app))
            .map(|(&want, _)| want)
            .collect();
        for want in wants {
            self.end_attempt(want, CHANGED);
            self.give_up(want, CHANGED);
        }
    }

    /// What is to be done since the last time this was asked.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// A spoke is wanted: one that is there, or a new one.
    pub fn place(&mut self, need: Need, placed: Placed, now: Instant) {
        if !need.fresh
            && let Some(spoke) = self.shared.get(&need)
            && let Some(live) = self.live.get_mut(spoke)
            && now.saturating_duration_since(live.since) < RETIRED
        {
            live.idle_since = now;
            // Nobody waits any more: then nothing was taken.
            let _ = placed.send(Ok(spoke.clone()));
            return;
        }
        if !need.fresh
            && let Some(wanted) = self.wanted.values_mut().find(|wanted| wanted.need == need)
        {
            wanted.waiting.push(placed);
            return;
        }
        let want = self.next_want;
        self.next_want = want.wrapping_add(1);
        let wanted = Wanted {
            need,
            waiting: vec![placed],
            deadline: now + SPAWN,
            tried: Vec::new(),
            why: String::new(),
            attempt: None,
        };
        self.wanted.insert(want, wanted);
        self.attempt(want);
    }

    /// Tries to find a host for a spoke that is wanted.
    fn attempt(&mut self, want: u64) {
        let Some(wanted) = self.wanted.get_mut(&want) else { return };
        let Some(offer) = self.offers.get(&wanted.need.app) else {
            self.give_up(want, "the app is not installed");
            return;
        };
        if offer.hash != wanted.need.hash {
            self.give_up(want, CHANGED);
            return;
        }
        let hosts = self.hosts.iter().map(|(id, host)| (id, &host.seats));
        match choose(hosts, &wanted.need.app, offer.pinned(), &wanted.tried) {
            Placement::Wait(why) => wanted.why = why,
            Placement::Never(why) => {
                let why = if wanted.why.is_empty() || !why.is_empty() { why } else { wanted.why.clone() };
                self.give_up(want, &why);
            }
            Placement::On(host) => {
                let spawn = WorkId::fresh();
                let spoke = SpokeAddr { app: wanted.need.app.clone(), id: SpokeId::fresh() };
                let message = Spawn {
                    id: spawn.clone(),
                    spoke: spoke.clone(),
                    user: wanted.need.user.clone(),
                    profile: offer.profile.clone(),
                    pinned: offer.pinned().to_owned(),
                    lease: self.hosts.get(&host).map(|host| host.lease.clone()),
                };
                wanted.attempt = Some(spawn.clone());
                wanted.why = format!("host {host} did not start it in time");
                let attempt =
                    Attempt { want, spoke, host: host.clone(), signed: false, ready: false, vouched: None };
                self.attempts.insert(spawn, attempt);
                self.hold(&host, 1);
                self.effects.push(Effect::Spawn(host, Box::new(message)));
            }
        }
    }

    fn hold(&mut self, host: &HostId, more: i32) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.held = host.held.saturating_add_signed(more);
            host.seats.taken = host.seats.taken.saturating_add_signed(more).max(host.held);
        }
    }

    fn give_up(&mut self, want: u64, why: &str) {
        let Some(wanted) = self.wanted.remove(&want) else { return };
        let failure = Failure::new(
            FailureCode::Spawn,
            format!("the spoke of {} could not be started: {why}", wanted.need.app),
        );
        for placed in wanted.waiting {
            let _ = placed.send(Err(failure.clone()));
        }
    }

    /// A host is here.
    pub fn reported(&mut self, host: &HostId, report: HostReport, now: Instant) {
        let (held, short, lease) = match self.hosts.get(host) {
            Some(known) => (known.held, known.short, known.lease.clone()),
            None => (0, 0, LeaseId::fresh()),
        };
        // An earlier hub's, or such as were given up with their host: nobody else would ever stop them.
        let strangers = report.leases.iter().any(|reported| reported.as_ref() != Some(&lease));
        if strangers {
            self.effects.push(Effect::Lease(host.clone(), lease.clone()));
        }
        // A host that was restarted has none of the spokes that we hold there. What it says of itself comes in
        // order, so that it never names fewer than it has told us of; twice in a row is not a slip.
        let alive = self.live.values().filter(|live| &live.host == host).count();
        let short = if usize::try_from(report.live).unwrap_or(usize::MAX) < alive { short + 1 } else { 0 };
        let seats = Seats {
            taken: report.live.max(held),
            capacity: report.capacity,
            apps: report.apps.into_iter().collect(),
            behind: self.taken_up.is_some_and(|at| {
                now.saturating_duration_since(at)
                    < Duration::from_millis(report.looked_ms).saturating_add(ON_ITS_WAY)
            }),
            missing: report.missing,
        };
        self.hosts.insert(host.clone(), Host { seats, lease, held, short, seen: now });
        if 2 <= short {
            // All that we hold there is given up, also what it has started since.
            if let Some(host) = self.hosts.get_mut(host) {
                (host.short, host.lease) = (0, LeaseId::fresh());
            }
            self.host_lost(host, "its host was restarted");
        }
        self.attempt_waiting();
    }

    fn attempt_waiting(&mut self) {
        let waiting: Vec<u64> = self
            .wanted
            .iter()
            .filter(|(_, wanted)| wanted.attempt.is_none())
            .map(|(&want, _)| want)
            .collect();
        for want in waiting {
            self.attempt(want);
        }
    }

    /// May this host have a key signed for this spawn, and whose is it? Yes once.
    ///
    /// # Errors
    /// Says why not.
    pub fn sign(&mut self, host: &HostId, spawn: &WorkId) -> Result<SpokeAddr, NotHandled> {
        let attempt = self.attempts.get_mut(spawn).ok_or(NotHandled::Spoke)?;
        if &attempt.host != host {
            return Err(NotHandled::Host);
        }
        if std::mem::replace(&mut attempt.signed, true) {
            return Err(NotHandled::Again);
        }
        Ok(attempt.spoke.clone())
    }

    /// A host says what came of a spawn.
    ///
    /// # Errors
    /// If it was not asked.
    pub fn spawned(&mut self, host: &HostId, spawned: Spawned, now: Instant) -> Result<(), NotHandled> {
        let attempt = self.attempts.get_mut(&spawned.spawn).ok_or(NotHandled::Spoke)?;
        if &attempt.host != host {
            return Err(NotHandled::Host);
        }
        match spawned.result {
            Ok(vouched) => {
                let missing = vouched.missing();
                if missing.is_empty() {
                    let took = vouched.took_us;
                    attempt.vouched = Some(format!("on host {host} in {took} µs: {}", vouched.report));
                    self.promote(&spawned.spawn, now);
                } else {
                    let (host, spoke) = (host.clone(), attempt.spoke.clone());
                    let why = format!("host {host} does not vouch for {}", missing.join(", "));
                    self.effects.push(Effect::Stop(host, spoke, why.clone()));
                    self.not_spawned(
                        &spawned.spawn,
                        SpawnFailure { detail: why, hint: None, elsewhere: true },
                    );
                }
            }
            Err(failure) => self.not_spawned(&spawned.spawn, failure),
        }
        Ok(())
    }

    fn not_spawned(&mut self, spawn: &WorkId, failure: SpawnFailure) {
        let Some(attempt) = self.attempts.remove(spawn) else { return };
        self.hold(&attempt.host, -1);
        let why = match failure.hint {
            Some(hint) => format!("{}; {hint}", failure.detail),
            None => failure.detail,
        };
        let Some(wanted) = self.wanted.get_mut(&attempt.want) else { return };
        wanted.attempt = None;
        if failure.elsewhere {
            wanted.tried.push(attempt.host);
            wanted.why = why;
            self.attempt(attempt.want);
        } else {
            self.give_up(attempt.want, &why);
        }
    }

    /// A spoke says that it listens.
    ///
    /// # Errors
    /// If nobody wanted it.
    pub fn ready(&mut self, spoke: &SpokeAddr, now: Instant) -> Result<(), NotHandled> {
        let (spawn, attempt) =
            self.attempts.iter_mut().find(|(_, attempt)| &attempt.spoke == spoke).ok_or(NotHandled::Spoke)?;
        attempt.ready = true;
        let spawn = spawn.clone();
        self.promote(&spawn, now);
        Ok(())
    }

    /// A spoke that is ready and vouched for gets its work.
    fn promote(&mut self, spawn: &WorkId, now: Instant) {
        if !self.attempts.get(spawn).is_some_and(|attempt| attempt.ready && attempt.vouched.is_some()) {
            return;
        }
        let Some(attempt) = self.attempts.remove(spawn) else { return };
        let Some(wanted) = self.wanted.remove(&attempt.want) else {
            self.hold(&attempt.host, -1);
            self.effects.push(Effect::Stop(attempt.host, attempt.spoke, "nobody wants it any more".into()));
            return;
        };
        let need = wanted.need;
        let detail = attempt.vouched.unwrap_or_default();
        self.effects.push(Effect::Started(need.user.clone(), attempt.spoke.clone(), detail));
        let live = Live {
            user: need.user.clone(),
            session: need.session.clone(),
            query: need.query.clone(),
            host: attempt.host,
            fresh: need.fresh,
            labels: Labels::default(),
            bucket: Bucket::new(SPOKE_RATE, now),
            open: Arc::new(Semaphore::new(OPEN_REQUESTS)),
            tasks: HashSet::new(),
            since: now,
            idle_since: now,
        };
        self.live.insert(attempt.spoke.clone(), live);
        let mut taken = false;
        for placed in wanted.waiting {
            taken |= placed.send(Ok(attempt.spoke.clone())).is_ok();
        }
        if need.fresh {
            if !taken {
                self.stop(&attempt.spoke, "nobody wants it any more");
            }
        } else {
            self.shared.insert(need, attempt.spoke);
        }
    }

    /// A host says that a spoke has ended.
    pub fn exited(&mut self, host: &HostId, exited: Exited) {
        let Exited { spoke, how, violation } = exited;
        let begun = self.attempts.iter().find(|(_, attempt)| attempt.spoke == spoke);
        if let Some((spawn, attempt)) = begun
            && &attempt.host == host
        {
            let (spawn, detail) = (spawn.clone(), format!("it ended during its start: {how}"));
            self.not_spawned(&spawn, SpawnFailure { detail, hint: None, elsewhere: false });
        }
        match self.live.get(&spoke) {
            Some(live) if &live.host == host => {
                let verb =
                    if violation { "was killed for breaking a rule" } else { "ended before it answered" };
                let failure =
                    Failure::new(FailureCode::AppExited, format!("the app {} {verb}: {how}", spoke.app));
                self.remove(&spoke, &failure);
            }
            // Another host's: this one has no say.
            Some(_) => {}
            None if self.attempts.values().any(|attempt| attempt.spoke == spoke) => {}
            // Perhaps an earlier hub's: the gateway may still take it for somebody's.
            None => self.forget(&spoke),
        }
        self.effects.push(if violation { Effect::Killed(spoke, how) } else { Effect::Stopped(spoke, how) });
    }

    /// Has a spoke stopped; what it works on fails.
    pub fn stop(&mut self, spoke: &SpokeAddr, why: &str) {
        let Some(live) = self.live.get(spoke) else { return };
        self.effects.push(Effect::Stop(live.host.clone(), spoke.clone(), why.to_owned()));
        let failure =
            Failure::new(FailureCode::Lost, format!("the spoke of {} was stopped: {why}", spoke.app));
        self.remove(spoke, &failure);
    }

    /// It works for nobody any more. What is said of an app that is not installed now was said before it went.
    fn forget(&mut self, spoke: &SpokeAddr) {
        let offer = self.offers.get(&spoke.app);
        if offer.is_none_or(|offer| offer.credentials || offer.profile.network) {
            self.effects.push(Effect::Forget(spoke.clone()));
        }
    }

    /// Forgets a spoke; what it works on fails.
    fn remove(&mut self, spoke: &SpokeAddr, failure: &Failure) {
        let Some(live) = self.live.remove(spoke) else { return };
        self.forget(spoke);
        self.shared.retain(|_, shared| shared != spoke);
        self.hold(&live.host, -1);
        for task in live.tasks {
            self.end(&task, Err(failure.clone()), 0, live.labels.clone());
        }
    }

    fn host_lost(&mut self, host: &HostId, why: &str) {
        let spokes: Vec<SpokeAddr> =
            self.live.iter().filter(|(_, live)| &live.host == host).map(|(spoke, _)| spoke.clone()).collect();
        for spoke in spokes {
            let detail = format!("the spoke of {} was lost: {why}", spoke.app);
            self.remove(&spoke, &Failure::new(FailureCode::Lost, detail));
            self.effects.push(Effect::Stopped(spoke, why.to_owned()));
        }
        let spawns: Vec<WorkId> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| &attempt.host == host)
            .map(|(spawn, _)| spawn.clone())
            .collect();
        for spawn in spawns {
            let detail = format!("host {host} was lost during its start");
            self.not_spawned(&spawn, SpawnFailure { detail, hint: None, elsewhere: true });
        }
    }

    /// A second has passed: deadlines, silent hosts, spokes without work.
    pub fn tick(&mut self, now: Instant) {
        let silent: Vec<HostId> = self
            .hosts
            .iter()
            .filter(|(_, host)| SILENCE < now.saturating_duration_since(host.seen))
            .map(|(id, _)| id.clone())
            .collect();
        for host in silent {
            self.hosts.remove(&host);
            self.host_lost(&host, &format!("host {host} has not been heard of for {} s", SILENCE.as_secs()));
        }
        let late: Vec<u64> =
            self.wanted.iter().filter(|(_, wanted)| wanted.deadline < now).map(|(&want, _)| want).collect();
        for want in late {
            self.too_late(want);
        }
        let idle: Vec<SpokeAddr> = self
            .live
            .iter()
            .filter(|(_, live)| {
                live.tasks.is_empty() && IDLE < now.saturating_duration_since(live.idle_since)
            })
            .map(|(spoke, _)| spoke.clone())
            .collect();
        for spoke in idle {
            self.stop(&spoke, "it had no work for a minute");
        }
    }

    fn too_late(&mut self, want: u64) {
        let Some(wanted) = self.wanted.get(&want) else { return };
        let why = format!("{} within {} s", wanted.why, SPAWN.as_secs());
        self.end_attempt(want, "it was not ready in time");
        self.give_up(want, &why);
    }

    /// Has what is being started for this stopped.
    fn end_attempt(&mut self, want: u64, why: &str) {
        let spawn = self.wanted.get(&want).and_then(|wanted| wanted.attempt.clone());
        if let Some(attempt) = spawn.and_then(|spawn| self.attempts.remove(&spawn)) {
            self.hold(&attempt.host, -1);
            self.effects.push(Effect::Stop(attempt.host, attempt.spoke, why.to_owned()));
        }
    }

    /// The connection to the bus was lost, and with it every spoke. What is still wanted is tried again with the first
    /// report of a host.
    pub fn bus_lost(&mut self) {
        let spokes: Vec<SpokeAddr> = self.live.keys().cloned().collect();
        for spoke in spokes {
            if let Some(live) = self.live.get(&spoke) {
                // It ends by itself when it loses the bus; if only we lost it, this ends it.
                let why = "the hub lost the bus".to_owned();
                self.effects.push(Effect::Stop(live.host.clone(), spoke.clone(), why));
            }
            let detail = format!("the spoke of {} was lost: the connection to the bus broke", spoke.app);
            self.remove(&spoke, &Failure::new(FailureCode::Lost, detail));
        }
        // A host hears nothing until it is back on the bus as well; its next report shows that it is.
        self.hosts.clear();
        // What failed for want of a bus is no host's fault.
        self.wanted.values_mut().for_each(|wanted| wanted.tried.clear());
        for (_, attempt) in std::mem::take(&mut self.attempts) {
            if let Some(wanted) = self.wanted.get_mut(&attempt.want) {
                wanted.attempt = None;
            }
        }
    }

    /// A conversation is over: its spokes go.
    pub fn session_over(&mut self, user: &UserId, session: &SessionId) {
        self.stop_those("the session is over", |_, live| &live.user == user && &live.session == session);
    }

    /// A private query is over: its spokes go.
    pub fn query_over(&mut self, query: &WorkId) {
        self.stop_those("the private query is over", |_, live| live.query.as_ref() == Some(query));
    }

    fn stop_those(&mut self, why: &str, which: impl Fn(&SpokeAddr, &Live) -> bool) {
        let spokes: Vec<SpokeAddr> = self
            .live
            .iter()
            .filter(|(spoke, live)| which(spoke, live))
            .map(|(spoke, _)| spoke.clone())
            .collect();
        for spoke in spokes {
            self.stop(&spoke, why);
        }
    }

    /// Everything goes.
    pub fn stop_all(&mut self) {
        self.stop_those("secgpt is stopping", |_, _| true);
        let wants: Vec<u64> = self.wanted.keys().copied().collect();
        for want in wants {
            self.give_up(want, "secgpt is stopping");
        }
        for (_, attempt) in std::mem::take(&mut self.attempts) {
            self.effects.push(Effect::Stop(attempt.host, attempt.spoke, "secgpt is stopping".into()));
        }
    }

    /// Hosts with live spokes, room and trouble, for people.
    #[must_use]
    pub fn overview(&self) -> Vec<(HostId, u32, u32, Vec<String>)> {
        let mut hosts: Vec<_> = self
            .hosts
            .iter()
            .map(|(id, host)| (id.clone(), host.held, host.seats.capacity, host.seats.missing.clone()))
            .collect();
        hosts.sort();
        hosts
    }

    /// Spokes alive.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
