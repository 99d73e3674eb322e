//! Figures of this machine: how fast spokes start, what an idle one costs, how fast a call is.
//!
//! `cargo run --release -p spoke-host --example measure`, with the programs built in the same profile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, dead_code)]

mod hub;

use std::time::{Duration, Instant};

use hub::{Hub, PATIENCE, Settings, call};
use serde_json::json;

const STARTS: usize = 300;
const LIVE: usize = 100;
const CALLS: usize = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut hub = Hub::with(Settings { capacity: 10_000, ..Settings::default() }).await;
    for app in ["empty", "metro_hail"] {
        let mut took = Vec::new();
        for _ in 0..STARTS {
            let begun = Instant::now();
            let (spoke, _) = start(&mut hub, app).await;
            took.push(begun.elapsed());
            hub.stop(&spoke).await;
            hub.exited(&spoke).await;
        }
        println!("{app}: ready {}", percentiles(took));
    }
    for app in ["empty", "metro_hail"] {
        let before = hub.pids();
        for _ in 0..LIVE {
            start(&mut hub, app).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let new: Vec<u32> = hub.pids().into_iter().filter(|pid| !before.contains(pid)).collect();
        let own: u64 = new.iter().map(|&pid| private_kib(pid)).sum();
        println!("{app}: {} KiB private in an idle spoke", own / LIVE as u64);
    }
    let (metro, _) = hub.spawn_catalogued("metro_hail").await;
    let args = || json!({"start_point": "Main Street", "end_point": "Elm Avenue"});
    let mut took = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        hub.call(&metro, "estimate_fare", args()).await.unwrap();
        took.push(begun.elapsed());
    }
    println!("metro_hail: call {}", percentiles(took));
    let begun = Instant::now();
    for _ in 0..CALLS / 100 {
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(hub.give(&metro, PATIENCE, call("estimate_fare", args())).await);
        }
        for id in ids {
            hub.done(&id).await.result.unwrap();
        }
    }
    println!("metro_hail: {:.0} calls a second, 100 at once", CALLS as f64 / begun.elapsed().as_secs_f64());
}

async fn start(hub: &mut Hub, app: &str) -> (bus::id::SpokeAddr, bus::message::host::Vouched) {
    match app {
        "empty" => hub.spawn_empty().await,
        app => hub.spawn_catalogued(app).await,
    }
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    format!("{:.2?} median, {:.2?} for 99 %", at(0.5), at(0.99))
}

fn private_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}
