//! From the bus to the actors.
//!
//! Answers: who handles what comes in here?
//! Never: handles anything itself; takes who spoke from anything but the subject; reads a body before it is known
//! to be of a kind that belongs there.
//! Carries: I-02, I-16.

use std::rc::Rc;
use std::sync::Arc;

use bus::client::{Bus, BusError, Flood, Inbound};
use bus::envelope::Incoming;
use bus::id::{HostId, UserId};
use bus::limits::SPOKE_RATE;
use bus::message::host::{Exited, HostReport, SignRequest, Signed, Spawned, Stop};
use bus::message::log::Lines;
use bus::message::task::{Done, Ready, Token};
use bus::message::user::{Accepted, Admin, AdminReply, CancelQuery, Consent, Query};
use bus::pace::Paces;
use bus::subject::{Leaf, Op, Service, Subject, pattern};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::admin;
use crate::isc;
use crate::mailbox::LIMIT;
use crate::parts::Parts;
use crate::permission::label::printable;
use crate::session::Desk;
use crate::spokes::{HostSaid, SpokeSaid, Spokes};

/// What the hub hears.
pub struct Subscriptions {
    requests: Inbound,
    recalls: Inbound,
    results: Inbound,
    lines: Inbound,
    hosts: Inbound,
    users: Inbound,
    floods: Inbound,
    own: mpsc::Receiver<Flood>,
}

impl Subscriptions {
    /// Subscribes. Returns when the subscriptions are in force.
    ///
    /// # Errors
    /// If the connection is closed, or they do not come into force in time.
    pub async fn begin(bus: &Bus) -> Result<Self, BusError> {
        // All that a spoke says to the hub counts together.
        let (ear, own) = bus.ear(Paces::new(SPOKE_RATE, PACES)).await?;
        let subscriptions = Self {
            requests: ear.hear(&pattern::every_spoke_to(Service::Isc)).await?,
            recalls: ear.hear(&pattern::every_spoke_to(Service::Memory)).await?,
            results: ear.hear(&pattern::every_spoke_to(Service::Result)).await?,
            lines: ear.hear(&pattern::every_spoke_to(Service::Log)).await?,
            own,
            hosts: bus.subscribe(pattern::EVERY_HOST_OUT).await?,
            users: bus.subscribe(pattern::EVERY_USER_OUT).await?,
            floods: bus.subscribe(&Subject::HubIn(Leaf::Stop).to_string()).await?,
        };
        ear.in_force().await?;
        bus.in_force().await?;
        Ok(subscriptions)
    }

    /// Hands on what comes in, until the connection is closed for good.
    pub fn dispatch(self, parts: &Parts, desk: &Desk) {
        let shared = Rc::new(parts.clone());
        for inbound in [self.requests, self.recalls] {
            actix::spawn(requests(inbound, Rc::clone(&shared)));
        }
        for inbound in [self.results, self.lines] {
            actix::spawn(results(inbound, parts.clone()));
        }
        actix::spawn(of_our_own(self.own, parts.spokes.clone()));
        actix::spawn(floods(self.floods, parts.clone()));
        actix::spawn(hosts(self.hosts, parts.clone()));
        actix::spawn(users(self.users, parts.clone(), desk.clone()));
    }
}

/// Spokes whose pace is remembered. Beyond this, those that were silent for a while are forgotten.
const PACES: usize = 16_384;

/// Requests whose spoke is being looked up. The others wait where each spoke has a queue of its own: whatever waits further
/// in is in the way of everybody.
const BEGINNING: usize = 64;

/// Spokes that send the hub itself far too much.
async fn of_our_own(mut floods: mpsc::Receiver<Flood>, spokes: Spokes) {
    while let Some(Flood { spoke, why }) = floods.recv().await {
        spokes.flooded(spoke, why);
    }
}

/// Gateways name spokes that send them far too much; nobody else may say anything there.
async fn floods(mut inbound: Inbound, parts: Parts) {
    while let Some(incoming) = inbound.next().await {
        if let Some(Stop { spoke, why }) = parts.bus.body(&incoming).await {
            parts.spokes.flooded(spoke, why);
        }
    }
}

async fn requests(mut inbound: Inbound, parts: Rc<Parts>) {
    let places = Arc::new(Semaphore::new(BEGINNING));
    while let Some(incoming) = inbound.next().await {
        // Nobody closes it; without places nothing could be taken.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        parts.service.request();
        isc::heard(&parts, incoming, place);
    }
}

async fn results(mut inbound: Inbound, parts: Parts) {
    while let Some(incoming) = inbound.next().await {
        let Subject::SpokeOut { spoke, service, op } = incoming.subject.clone() else { continue };
        if let Some(said) = spoke_said(&parts.bus, service, op, &incoming).await
            && let Err(error) = parts.spokes.spoke_says(spoke, said).await
        {
            tracing::error!(%error, "a message of a spoke was not handled");
        }
    }
}

async fn spoke_said(bus: &Bus, service: Service, op: Op, incoming: &Incoming) -> Option<SpokeSaid> {
    match (service, op) {
        (Service::Result, Op::READY) => bus.body::<Ready>(incoming).await.map(|_| SpokeSaid::Ready),
        (Service::Result, Op::TOKEN) => bus.body::<Token>(incoming).await.map(SpokeSaid::Token),
        (Service::Result, Op::DONE) => {
            let size = incoming.payload.len();
            bus.body::<Done>(incoming).await.map(|done| SpokeSaid::Done(done, size))
        }
        (Service::Log, Op::LINE) => {
            let lines = bus.body::<Lines>(incoming).await?.lines;
            Some(SpokeSaid::Lines(lines.iter().map(|line| printable(line, 1000)).collect()))
        }
        _ => {
            bus.drop_message(&incoming.subject.to_string(), "this service has no such operation").await;
            None
        }
    }
}

async fn hosts(mut inbound: Inbound, parts: Parts) {
    while let Some(incoming) = inbound.next().await {
        let Subject::HostOut { host, op } = incoming.subject.clone() else { continue };
        let bus = &parts.bus;
        let said = match op {
            Op::REPORT => bus.body::<HostReport>(&incoming).await.map(HostSaid::Report),
            Op::SPAWNED => bus.body::<Spawned>(&incoming).await.map(|said| HostSaid::Spawned(Box::new(said))),
            Op::EXITED => bus.body::<Exited>(&incoming).await.map(HostSaid::Exited),
            Op::SIGN => {
                sign(&parts, host, incoming).await;
                continue;
            }
            _ => {
                bus.drop_message(&incoming.subject.to_string(), "a host has no such operation").await;
                None
            }
        };
        if let Some(said) = said
            && let Err(error) = parts.spokes.host_says(host, said).await
        {
            tracing::error!(%error, "a message of a host was not handled");
        }
    }
}

async fn sign(parts: &Parts, host: HostId, incoming: Incoming) {
    let Some(request) = parts.bus.body::<SignRequest>(&incoming).await else { return };
    let (back, signed) = oneshot::channel();
    if let Err(error) = parts.spokes.host_says(host, HostSaid::Sign(request, back)).await {
        tracing::error!(%error, "a key was not signed");
        return;
    }
    let bus = parts.bus.clone();
    actix::spawn(async move {
        let jwt = match tokio::time::timeout(LIMIT, signed).await {
            Ok(Ok(jwt)) => jwt,
            Ok(Err(_)) | Err(_) => Err("the hub did not get to it in time".to_owned()),
        };
        bus.respond(&incoming, &Signed { jwt }).await;
    });
}

async fn users(mut inbound: Inbound, parts: Parts, desk: Desk) {
    while let Some(incoming) = inbound.next().await {
        let Subject::UserOut { user, op } = incoming.subject.clone() else { continue };
        // Each on its own, so that one slow answer keeps no other user waiting.
        let (parts, desk) = (parts.clone(), desk.clone());
        parts.service.query();
        match op {
            Op::QUERY => _ = actix::spawn(async move { query(&parts, &desk, user, &incoming).await }),
            Op::ADMIN => _ = actix::spawn(async move { admin(&parts, &desk, user, &incoming).await }),
            Op::CONSENT => {
                if let Some(consent) = parts.bus.body::<Consent>(&incoming).await
                    && let Err(error) = parts.permission.consent(user, consent).await
                {
                    tracing::error!(%error, "an answer to a prompt was not handled");
                }
            }
            Op::CANCEL => {
                if let Some(cancel) = parts.bus.body::<CancelQuery>(&incoming).await
                    && let Err(why) = desk.cancel(user, cancel.query).await
                {
                    parts.bus.drop_message(&incoming.subject.to_string(), why).await;
                }
            }
            _ => parts.bus.drop_message(&incoming.subject.to_string(), "a user has no such operation").await,
        }
    }
}

async fn query(parts: &Parts, desk: &Desk, user: UserId, incoming: &Incoming) {
    let Some(query) = parts.bus.body::<Query>(incoming).await else { return };
    let result = desk.query(user, query).await;
    parts.bus.respond(incoming, &Accepted { result }).await;
}

async fn admin(parts: &Parts, desk: &Desk, user: UserId, incoming: &Incoming) {
    let Some(admin) = parts.bus.body::<Admin>(incoming).await else { return };
    let result = admin::answer(parts, desk, user, admin).await;
    parts.bus.respond(incoming, &AdminReply { result }).await;
}

/// Tells the spokes when the bus is lost, for ever.
pub async fn watch(bus: Bus, spokes: crate::spokes::Spokes) {
    loop {
        bus.lost().await;
        tracing::warn!("the bus is lost; every spoke goes with it");
        spokes.bus_lost();
        while !bus.is_connected() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        tracing::info!("the bus is back");
    }
}
