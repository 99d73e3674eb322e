//! A call of an MCP app that is kept alive, and the start of one, beside the same over the server's own pipes.
//!
//! The server is the smallest one there is, so that what is measured is what stands between: the bus, the spoke, the
//! jail, the checks of arguments and result. The hub's part, with its decision, has a figure of its own.
//!
//! A start is measured to the answer to a first call, the same for both: from there on the app is of use. Ours has in it
//! a spoke of the app's own, with its place on the bus and the host's word on every layer.

use std::time::{Duration, Instant};

use bus::id::SpokeAddr;
use bus::message::profile::Profile;
use serde_json::{Value, json};
use system_tests::bundle::workspace;
use system_tests::core_process::programs;
use system_tests::mcp_pipes::Pipes;
use system_tests::nats::Nats;

use crate::hub_place::{HubPlace, one_tool};
use crate::sample::{Sample, rounded};

const CALLS: usize = 3000;
const WARM: usize = 200;
const APP: &str = "metro_hail";
const TOOL: &str = "estimate_fare";
const FARE: f64 = 51.8;

const STARTS: usize = 200;
const WARM_STARTS: usize = 10;

pub async fn measure() -> Value {
    let mut place = HubPlace::new(Nats::start(), workspace().join("data/apps"), APP).await;
    let kept = place.fresh();
    place.spawn(&kept, profile(&kept)).await;
    let mut calls = Sample::default();
    for turn in 0..CALLS + WARM {
        let begun = Instant::now();
        call(&mut place, &kept).await;
        if WARM <= turn {
            calls.add(begun.elapsed());
        }
    }
    let direct = tokio::task::spawn_blocking(directly).await.expect("a thread");
    // In turns, so that both meet the same weather.
    let (mut starts, mut bare) = (Sample::default(), Sample::default());
    for turn in 0..STARTS + WARM_STARTS {
        let without = tokio::task::spawn_blocking(bare_start).await.expect("a thread");
        let with = start(&mut place).await;
        if WARM_STARTS <= turn {
            bare.add(without);
            starts.add(with);
        }
    }
    let beyond = |ours: &Sample, its: &Sample| ours.percentile_us(0.5) - its.percentile_us(0.5);
    json!({
        "us_p50": rounded(calls.percentile_us(0.5)),
        "us_p99": rounded(calls.percentile_us(0.99)),
        "direct_us_p50": rounded(direct.percentile_us(0.5)),
        "beyond_us_p50": rounded(beyond(&calls, &direct)),
        "calls": calls.len(),
        "start_ms_p50": rounded(starts.percentile_us(0.5) / 1e3),
        "start_ms_p99": rounded(starts.percentile_us(0.99) / 1e3),
        "bare_start_ms_p50": rounded(bare.percentile_us(0.5) / 1e3),
        "start_beyond_ms_p50": rounded(beyond(&starts, &bare) / 1e3),
        "starts": starts.len(),
    })
}

fn args() -> Value {
    json!({"start_point": "Main Street", "end_point": "Elm Avenue"})
}

/// The same server, its pipes, and nothing in between.
fn pipes() -> Pipes {
    let command = [programs().join("example-app").display().to_string(), APP.to_owned()];
    Pipes::start(&command, &workspace().join("data/apps").join(APP), &json!({}))
}

/// The yardstick of a call.
fn directly() -> Sample {
    let mut server = pipes();
    let mut sample = Sample::default();
    for turn in 0..CALLS + WARM {
        let begun = Instant::now();
        let result = server.call(TOOL, &args());
        if WARM <= turn {
            sample.add(begun.elapsed());
        }
        assert_eq!(result["structuredContent"]["fare"], FARE, "{result}");
    }
    sample
}

/// The yardstick of a start.
fn bare_start() -> Duration {
    let begun = Instant::now();
    let mut server = pipes();
    let result = server.call(TOOL, &args());
    let took = begun.elapsed();
    assert_eq!(result["structuredContent"]["fare"], FARE, "{result}");
    took
}

/// From the wish for a spoke to the app's first answer; ends when the spoke is gone.
async fn start(place: &mut HubPlace) -> Duration {
    let spoke = place.fresh();
    let begun = Instant::now();
    place.spawn(&spoke, profile(&spoke)).await;
    call(place, &spoke).await;
    let took = begun.elapsed();
    place.stop(spoke).await;
    took
}

/// A call, and the answer that is expected.
async fn call(place: &mut HubPlace, spoke: &SpokeAddr) {
    assert_eq!(place.call(spoke, TOOL, args()).await["fare"], FARE);
}

fn profile(spoke: &SpokeAddr) -> Profile {
    let request = json!({"type": "object", "required": ["start_point", "end_point"]});
    let response = json!({"type": "object", "required": ["fare"]});
    one_tool(&spoke.app, TOOL, request, Some(response), &["example-app", APP])
}
