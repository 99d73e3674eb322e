//! What the bus carries when nothing else is to be done.
//!
//! Answers: how fast do the messages of a large body come to their spoke, if they lie ready?
//! Never: speaks to a server, encrypts, or waits until the spoke says what it has taken: all of that only costs.

use bus::acl::Role;
use bus::client::Inbound;

use bus::message::egress::{BODY_CHUNK, FetchReply, FetchRequest};
use bus::subject::{Op, Service, Subject, pattern};
use bytes::Bytes;
use system_tests::nats::Nats;
use tokio::task::JoinHandle;

/// In the gateway's place: answers every request with a body of this size.
pub async fn serve(nats: &Nats, size: usize) -> JoinHandle<()> {
    let bus = nats.bus(&Role::EgressGateway).await;
    let heard = bus.subscribe(&pattern::every_spoke_to(Service::Egress)).await.expect("a subscription");
    bus.nats().flush().await.expect("the bus");
    let body = Bytes::from(vec![b'x'; size]);
    tokio::spawn(answer(bus, heard, body))
}

async fn answer(bus: bus::client::Bus, mut heard: Inbound, body: Bytes) {
    while let Some(incoming) = heard.next().await {
        // What was taken is not asked about.
        if !matches!(incoming.subject, Subject::SpokeOut { op: Op::FETCH, .. }) {
            continue;
        }
        let request: FetchRequest = incoming.body().expect("a request");
        let head = FetchReply::Head { status: 200, url: request.url, headers: Vec::new() };
        bus.respond(&incoming, &head).await;
        for (seq, start) in (0..).zip((0..body.len()).step_by(BODY_CHUNK)) {
            let bytes = body.slice(start..body.len().min(start + BODY_CHUNK));
            bus.respond(&incoming, &FetchReply::Chunk { seq, bytes }).await;
        }
        bus.respond(&incoming, &FetchReply::End { bytes: body.len() as u64 }).await;
    }
}
