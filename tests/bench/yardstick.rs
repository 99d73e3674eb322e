//! The yardstick: a bare request and its answer over the same broker, 512 bytes, nothing of ours in between.

use std::time::{Duration, Instant};

use async_nats::Client;
use futures_util::StreamExt;

use crate::in_flight::per_second;
use crate::sample::Sample;

/// The subject that is asked; heard by a bare echo under the hub's credential while no hub runs.
pub const SUBJECT: &str = "secgpt.spoke.bench.y1.out.isc.probe";

const BYTES: usize = 512;

/// Answers everything with what came.
pub async fn echo(client: Client) {
    let mut requests = client.subscribe("secgpt.spoke.bench.*.out.isc.*").await.expect("a subscription");
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply {
                client.publish(reply, request.payload).await.expect("the connection");
            }
        }
    });
}

/// One after the other.
pub async fn latency(client: &Client, times: usize) -> Sample {
    let payload = bytes::Bytes::from(vec![7; BYTES]);
    // The echo was subscribed on another connection: it hears once it has answered.
    let since = Instant::now();
    while client.request(SUBJECT, payload.clone()).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(5), "the echo does not answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut sample = Sample::default();
    for turn in 0..times + times / 10 {
        let begun = Instant::now();
        client.request(SUBJECT, payload.clone()).await.expect("an answer");
        // The first tenth warms up.
        if times / 10 <= turn {
            sample.add(begun.elapsed());
        }
    }
    sample
}

/// With `flight` at once, how many a second?
pub async fn throughput(client: &Client, flight: usize, length: Duration) -> f64 {
    let payload = bytes::Bytes::from(vec![7; BYTES]);
    let client = client.clone();
    let one = move || {
        let (client, payload) = (client.clone(), payload.clone());
        async move {
            client.request(SUBJECT, payload).await.expect("an answer");
        }
    };
    per_second(flight, length, one).await
}
