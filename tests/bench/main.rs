//! `make bench`: the figures of the project, in one run, beside their yardsticks.
//!
//! Answers: what does isolation cost, against the bare bus and against the baseline without it?
//! Never: asserts a figure; these machines are noisy, so ratios within a run are what counts.
//!
//! Writes `target/bench/latest.json` and prints a table. Arguments choose parts: `bus`, `decide`, `spoke`, `mcp`, `egress`, `queries`, `prompts`; `many` starts
//! ten thousand spokes instead of one thousand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod in_flight;
mod sample;

mod yardstick;

mod bus_alone;
mod decided;
mod download;
mod egress;
mod hub_place;
mod mcp;
mod policy;
mod prompts;
mod spokes;

mod queries;

mod table;

use serde_json::json;

fn main() {
    let (many, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|want| want == "many");
    let alive = if many.is_empty() { spokes::LIVE } else { spokes::MANY };
    let part = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let file = system_tests::bundle::workspace().join("target/bench/latest.json");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("target/bench");
    let mut result = std::fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_else(|| json!({}));
    if part("bus") {
        eprintln!("the bare bus, and calls decided by the hub …");
        let (yardstick, decided) = runtime.block_on(decided::measure());
        result["yardstick"] = yardstick;
        result["decided_call"] = decided;
    }
    if part("decide") {
        eprintln!("deciding, with a preset and with a thousand rules …");
        result["decide"] = policy::measure();
    }
    if part("spoke") {
        eprintln!("spokes …");
        result["spoke"] = runtime.block_on(spokes::measure(alive));
    }
    if part("mcp") {
        eprintln!("calls of an MCP app …");
        result["mcp_call"] = runtime.block_on(mcp::measure());
    }
    if part("egress") {
        eprintln!("requests to the web, with the egress gateway and without …");
        result["egress"] = runtime.block_on(egress::measure());
        result["download"] = runtime.block_on(download::measure());
    }
    if part("queries") {
        eprintln!("queries, isolated and without isolation …");
        let (queries, idle) = queries::measure();
        result["queries"] = queries;
        result["idle"] = idle;
    }
    if part("prompts") {
        eprintln!("what people are asked, without attack and under it …");
        result["prompts"] = prompts::measure();
    }
    std::fs::write(&file, serde_json::to_vec_pretty(&result).expect("JSON")).expect("latest.json");
    table::print(&result);
    eprintln!("\nwritten to target/bench/latest.json");
}
