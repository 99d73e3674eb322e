//! The gateway on the bus.
//!
//! Answers: who asked (by the subject), is there room, and to which conversation does this message belong?
//! Never: serves what could not be recorded first; waits for one spoke while others ask; answers outside the asker's inbox.
//! Carries: I-02, I-08, I-15, I-16.

mod fetches;
mod flow;
mod tunnels;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bus::client::{Bus, BusError};
use bus::envelope::{Incoming, Reply};
use bus::id::{SpokeAddr, UserId, WorkId};
use bus::message::audit::{Record, Web as WebRecord, WebOutcome, What};
use bus::message::egress::{
    FetchControl, FetchReply, FetchRequest, SpokeUser, SpokeUserSet, TakeUp, TakenUp, TunnelSay, WebError,
    WebFailure,
};
use bus::pace::Paces;
use bus::service::Service;
use bus::subject::{Auditor, Op, Service as To, Subject};
use gateway::ears::{Ears, Name, SPOKES};

use self::flow::{Conversations, Place};
use crate::app_rules::Shelf;
use crate::credential::Credentials;
use crate::fetch::Web;
use crate::limit::{ALL, FETCHES_OF_A_SPOKE, PACE, PACES, TUNNELS_OF_A_SPOKE, USERS};

/// Who this process is.
pub const NAME: Name = Name {
    service: To::Egress,
    listed: "secgpt-egress",
    about: "The only way out: web requests and tunnels of apps, as their manifests allow",
};

/// The gateway. Cheap to clone; all clones share bounds and connections.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    bus: Bus,
    shelf: Shelf,
    web: Web,
    credentials: Credentials,
    users: Mutex<HashMap<SpokeAddr, UserId>>,
    fetches: Conversations,
    tunnels: Conversations,
    service: Service,
}

impl Gateway {
    /// Subscribes; what is sent after this returns is heard.
    ///
    /// # Errors
    /// If the bus does not take the subscriptions.
    pub async fn start(
        bus: Bus,
        shelf: Shelf,
        web: Web,
        credentials: Credentials,
    ) -> Result<(Self, Ears), BusError> {
        let (ears, service) = Ears::open(&bus, NAME, Paces::new(PACE, PACES)).await?;
        let inner = Inner {
            bus,
            shelf,
            web,
            credentials,
            users: Mutex::default(),
            fetches: Conversations::new(FETCHES_OF_A_SPOKE, ALL),
            tunnels: Conversations::new(TUNNELS_OF_A_SPOKE, ALL),
            service,
        };
        Ok((Self(Arc::new(inner)), ears))
    }

    /// Serves until the connection is closed for good.
    pub async fn serve(self, mut ears: Ears) {
        while let Some(incoming) = ears.next().await {
            self.take(incoming).await;
        }
    }

    /// Who spoke is in the subject; what may be said there depends on it alone. Nothing here waits for the web.
    async fn take(&self, incoming: Incoming) {
        let bus = &self.0.bus;
        match incoming.subject.clone() {
            Subject::SpokeOut { spoke, service: To::Egress, op: Op::FETCH } => {
                self.fetch(spoke, incoming).await
            }
            Subject::SpokeOut { spoke, service: To::Egress, op: Op::CHUNK } => {
                match bus.body::<FetchControl>(&incoming).await {
                    Some(FetchControl::Taken { id, chunks }) => self.0.fetches.taken(&spoke, &id, chunks),
                    Some(FetchControl::Stop { id }) => self.0.fetches.stop(&spoke, &id),
                    None => {}
                }
            }
            Subject::SpokeOut { spoke, service: To::Egress, op: Op::TUNNEL } => {
                self.tunnel(spoke, incoming).await
            }
            Subject::HubOut { service: To::Egress, op: Op::RULES } => self.user(incoming).await,
            Subject::HubOut { service: To::Egress, op: Op::TAKE_UP } => self.take_up(incoming).await,
            other => bus.drop_message(&other.to_string(), "the egress-gateway has no such operation").await,
        }
    }

    async fn fetch(&self, spoke: SpokeAddr, incoming: Incoming) {
        let Inner { bus, fetches, service, .. } = &*self.0;
        let Some(request) = bus.body::<FetchRequest>(&incoming).await else { return };
        if incoming.reply == Reply::None {
            return bus
                .drop_message(&incoming.subject.to_string(), "nobody would hear the answer: no reply subject")
                .await;
        }
        let place = match fetches.enter(&spoke, &request.id) {
            Ok(place) => place,
            Err(busy) => return bus.respond(&incoming, &FetchReply::Failed(busy)).await,
        };
        let gateway = self.clone();
        let service = service.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let result = gateway.run_fetch(&spoke, request, &incoming, place).await;
            let failed = result.as_ref().err().map(|failure| failure.detail.as_str());
            service.note(SPOKES, began.elapsed(), failed);
            if let Err(failure) = result {
                gateway.0.bus.respond(&incoming, &FetchReply::Failed(failure)).await;
            }
        });
    }

    async fn tunnel(&self, spoke: SpokeAddr, incoming: Incoming) {
        let Inner { bus, tunnels, .. } = &*self.0;
        let Some(said) = bus.body::<TunnelSay>(&incoming).await else { return };
        match said {
            TunnelSay::Open { id, task, host, port } => {
                if incoming.reply == Reply::None {
                    let why = "nobody would hear the answer: no reply subject";
                    return bus.drop_message(&incoming.subject.to_string(), why).await;
                }
                match tunnels.enter(&spoke, &id) {
                    Ok(place) => self.open_tunnel(spoke, incoming, place, task, host, port),
                    Err(busy) => tunnels::closed(bus, &incoming, Some(busy)).await,
                }
            }
            TunnelSay::Data { id, seq, bytes } => tunnels.data(&spoke, &id, seq, bytes),
            TunnelSay::Finish { id } => tunnels.finish(&spoke, &id),
            TunnelSay::Taken { id, chunks } => tunnels.taken(&spoke, &id, chunks),
            TunnelSay::Close { id } => tunnels.stop(&spoke, &id),
        }
    }

    /// The hub says for whom a spoke works.
    async fn user(&self, incoming: Incoming) {
        let Some(said) = self.0.bus.body::<SpokeUser>(&incoming).await else { return };
        {
            let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
            match said.user {
                Some(user) if users.len() < USERS || users.contains_key(&said.spoke) => {
                    users.insert(said.spoke, user);
                }
                // Without a user there are no credentials, which is safe; the log tells why they are missing.
                Some(_) => tracing::error!("too many spokes are remembered; the hub does not take them back"),
                None => {
                    users.remove(&said.spoke);
                    self.0.fetches.end_all(&said.spoke);
                    self.0.tunnels.end_all(&said.spoke);
                }
            }
        }
        self.0.bus.respond(&incoming, &SpokeUserSet {}).await;
    }

    /// The hub says that the apps' folders have changed.
    async fn take_up(&self, incoming: Incoming) {
        if self.0.bus.body::<TakeUp>(&incoming).await.is_none() {
            return;
        }
        let gateway = self.clone();
        tokio::spawn(async move {
            match gateway.0.shelf.read_again().await {
                Ok(()) => {
                    let authorized = gateway.0.credentials.authorized();
                    gateway.0.bus.respond(&incoming, &TakenUp { authorized }).await;
                }
                // Without an answer the hub says so to whoever asked.
                Err(error) => tracing::error!(%error, "the apps' manifests were not read again"),
            }
        });
    }

    fn user_of(&self, spoke: &SpokeAddr) -> Option<UserId> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner).get(spoke).cloned()
    }

    /// Writes to the audit. What cannot be recorded does not happen.
    async fn record(
        &self,
        spoke: &SpokeAddr,
        task: Option<&WorkId>,
        web: WebRecord,
    ) -> Result<(), WebFailure> {
        let record =
            Record { work: task.cloned(), user: self.user_of(spoke), what: What::Web(Box::new(web)) };
        let subject = Subject::Audit { by: Auditor::Egress, op: Op::DECISION };
        self.0.bus.publish(&subject, &record, task).await.map_err(|error| {
            tracing::error!(%error, "an audit record was not written");
            WebFailure::new(WebError::Stopped, "the gateway cannot record what it does, so it does nothing")
        })
    }
}

/// What is recorded of one request, apart from its outcome.
#[derive(Clone)]
struct Subjected {
    spoke: SpokeAddr,
    task: Option<WorkId>,
    method: String,
}

impl Subjected {
    fn record(&self, host: String, port: u16, credential: Option<String>, outcome: WebOutcome) -> WebRecord {
        WebRecord { spoke: self.spoke.clone(), method: self.method.clone(), host, port, credential, outcome }
    }

    fn failed(&self, host: String, port: u16, failure: &WebFailure) -> WebRecord {
        let outcome = WebOutcome::Failed { code: failure.code, why: failure.detail.clone() };
        self.record(host, port, None, outcome)
    }
}
