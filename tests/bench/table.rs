//! The figures, for people.

use serde_json::Value;

/// Prints what was measured beside what is to be reached.
pub fn print(result: &Value) {
    let number = |path: &str| result.pointer(path).and_then(Value::as_f64);
    println!("\n| what | measured | to reach |\n|---|---|---|");
    let row = |what: &str, measured: Option<String>, reach: &str| {
        println!("| {what} | {} | {reach} |", measured.unwrap_or_else(|| "not measured".into()));
    };
    let two = |a: Option<f64>, b: Option<f64>, unit: &str| Some(format!("{:.2} / {:.2} {unit}", a?, b?));
    row(
        "bare request and answer, 512 bytes, median / 99 %",
        two(number("/yardstick/rtt_us_p50"), number("/yardstick/rtt_us_p99"), "µs"),
        "the yardstick",
    );
    row("the same, 256 at once", number("/yardstick/per_s").map(|n| format!("{n:.0}/s")), "the yardstick");
    row(
        "call from app to app, decided, and back: median / 99 %",
        two(number("/decided_call/us_p50"), number("/decided_call/us_p99"), "µs"),
        "",
    );
    row(
        "… against the yardstick",
        number("/decided_call/ratio_to_yardstick").map(|n| format!("{n:.2} ×")),
        "≤ 6 ×",
    );
    row("… 256 at once", number("/decided_call/per_s").map(|n| format!("{n:.0}/s")), "≥ 15,000/s");
    row(
        "to decide by the preset alone: median / 99 %",
        two(number("/decide/preset_us_p50"), number("/decide/preset_us_p99"), "µs"),
        "",
    );
    row(
        "… with 1,000 rules and 10,000 grants",
        two(
            number("/decide/rules_1000_grants_10000_us_p50"),
            number("/decide/rules_1000_grants_10000_us_p99"),
            "µs",
        ),
        "≤ 100 µs at the median",
    );
    row("… the same flow again", number("/decide/again_us_p50").map(|n| format!("{n:.1} µs")), "");
    row(
        "… with 1,000 rules that name nothing in their scopes, the worst there is",
        two(number("/decide/open_rules_1000_us_p50"), number("/decide/open_rules_1000_us_p99"), "µs"),
        "",
    );
    row(
        "spoke: asked for → confined, on the bus, vouched for: median / 99 %",
        two(number("/spoke/ready_ms_p50"), number("/spoke/ready_ms_p99"), "ms"),
        "≤ 5 / 12 ms",
    );
    row(
        "memory of one more idle spoke",
        number("/spoke/idle_private_kib").map(|n| format!("{n:.0} KiB")),
        "≤ 1024 KiB",
    );
    row("spokes alive at once in this run", number("/spoke/live").map(|n| format!("{n:.0}")), "");
    row(
        "call of a kept MCP app: median, and beyond the same call over its pipes",
        two(number("/mcp_call/us_p50"), number("/mcp_call/beyond_us_p50"), "µs"),
        "≤ 1000 µs beyond",
    );
    row(
        "start of a jailed app, to its first answer: median, and beyond the same program over its pipes",
        two(number("/mcp_call/start_ms_p50"), number("/mcp_call/start_beyond_ms_p50"), "ms"),
        "≤ 15 ms beyond",
    );
    row(
        "hub, gateways and host together, idle, resident",
        number("/idle/resident_mib").map(|n| format!("{n:.0} MiB")),
        "< 150 MiB",
    );
    row(
        "request to an HTTPS server on loopback, through the gateway: median / beyond the same without it",
        two(number("/egress/us_p50"), number("/egress/beyond_us_p50"), "µs"),
        "≤ 2000 µs beyond",
    );
    row(
        "… a large body, MiB a second: through the gateway / without it",
        two(number("/egress/mib_per_s"), number("/egress/direct_mib_per_s"), "MiB/s"),
        "≥ 0.6 of it",
    );
    row(
        "… what the bus alone carries of the same messages, MiB a second",
        number("/egress/bus_alone_mib_per_s").map(|n| format!("{n:.0} MiB/s")),
        "",
    );
    row(
        "… to an app's own client (Python's), through the proxy of its jail / without jail and proxy",
        two(number("/download/mib_per_s"), number("/download/direct_mib_per_s"), "MiB/s"),
        "≥ 0.6 of it",
    );
    let asked = |of: &str| {
        let count = |name: &str| number(&format!("/prompts/{of}/{name}"));
        let done = match (count("orders_done"), count("orders")) {
            (Some(done), Some(orders)) => format!("; {done} of {orders} orders done"),
            _ => String::new(),
        };
        Some(format!(
            "{:.2} in {} tasks; {} with a warning, {} about what was asked before{done}",
            count("per_task")?,
            count("tasks")?,
            count("with_warning")?,
            count("repeated")?,
        ))
    };
    row("prompts a task, where tasks only read", asked("reading"), "0");
    row("… with tasks that change something", asked("benign"), "≤ 0.6");
    row("… under attack, a user who heeds warnings", asked("attacked"), "no order done");
    let Some(queries) = result.get("queries").and_then(Value::as_array) else { return };
    println!(
        "\n| query | model at | isolated | without isolation | ratio | model calls | without |\n|---|---|---|---|---|---|---|"
    );
    for query in queries {
        let (isolated, baseline) = (
            query["isolated_ms"].as_f64().unwrap_or(f64::NAN),
            query["baseline_ms"].as_f64().unwrap_or(f64::NAN),
        );
        println!(
            "| {} | {} ms | {isolated:.0} ms | {baseline:.0} ms | {:.2} | {} | {} |",
            query["class"].as_str().unwrap_or("?"),
            query["model_ms"],
            isolated / baseline,
            query["isolated_model_calls"],
            query["baseline_model_calls"],
        );
    }
}
