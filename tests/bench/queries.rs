//! Whole queries, isolated and by the baseline: the same scripted model, the same apps, the same machine, in turn.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::bundle::{bundle, workspace};
use system_tests::core_process::programs;
use system_tests::scratch::Scratch;

use crate::sample::rounded;

/// What is asked: a class of the table, and the words.
const QUERIES: [(&str, &str); 4] = [
    ("none", "What is the capital of France?"),
    ("one", "Could you use metro_hail to calculate the fare from 'Main Street' to 'Elm Avenue'?"),
    (
        "several",
        "Could you use both metro_hail and quick_ride to calculate the fares from 'Main Street' to 'Elm Avenue'?",
    ),
    // Two apps, the value of the first in the arguments of the second.
    ("chain", "Read the file open-questions.md and send it to priya.raman@orchardworks.example"),
];

const DELAYS_MS: [u64; 3] = [0, 200, 1000];

pub fn measure() -> (Value, Value) {
    let mut rows = Vec::new();
    let mut idle = Value::Null;
    for delay in DELAYS_MS {
        let system = System::up(delay);
        if idle.is_null() {
            std::thread::sleep(Duration::from_secs(3));
            idle = json!({"resident_mib": rounded(system.resident_kib() as f64 / 1024.0), "processes": system.names()});
        }
        let times = if delay == 0 { 9 } else { 3 };
        for (class, words) in QUERIES {
            let (mut isolated, mut baseline) = (Vec::new(), Vec::new());
            let (mut calls, mut calls_without) = (0, 0);
            for turn in 0..=times {
                let (with, ms_with) = system.ask(words, &[]);
                let (without, ms_without) = system.ask(words, &["--baseline"]);
                // The first of each warms up.
                if turn == 0 {
                    continue;
                }
                isolated.push(ms_with);
                baseline.push(ms_without);
                calls = model_calls(&with);
                calls_without = model_calls(&without);
            }
            rows.push(json!({
                "class": class, "model_ms": delay,
                "isolated_ms": median(&mut isolated), "baseline_ms": median(&mut baseline),
                "isolated_model_calls": calls, "baseline_model_calls": calls_without,
            }));
        }
    }
    (Value::Array(rows), idle)
}

fn model_calls(outcome: &Value) -> u64 {
    outcome["model_calls"].as_object().map_or(0, |calls| calls.values().filter_map(Value::as_u64).sum())
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    rounded(times.get(times.len() / 2).copied().unwrap_or(f64::NAN))
}

/// A running `secgpt up`, with a scripted model that takes its time.
struct System {
    model: Child,
    up: Child,
    config: PathBuf,
    _scratch: Scratch,
}

impl System {
    fn up(delay_ms: u64) -> Self {
        let scratch = Scratch::new("bench");
        let delay = delay_ms.to_string();
        let mut model = secgpt()
            .args(["model", "serve", "--listen", "127.0.0.1:0", "--delay", &delay])
            .stdout(Stdio::piped())
            .stderr(log(&scratch, "model"))
            .spawn()
            .expect("the scripted model");
        let line = BufReader::new(model.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("http://"))
            .expect("the model says where it listens");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL");
        let url = url.trim_end_matches(['.', ',', '/']).trim_end_matches("/v1");
        let config = scratch.join("secgpt.toml");
        let text = format!(
            "[model]\nbase_url = \"{url}/v1\"\nmodel = \"scripted-1\"\n[state]\ndir = {:?}\n\
             [apps]\ndirs = [{:?}]\n",
            scratch.join("state"),
            workspace().join("data/apps"),
        );
        std::fs::write(&config, text).expect("the settings");
        let mut up = secgpt()
            .args(["--config".as_ref(), config.as_os_str(), "up".as_ref(), "--json".as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log(&scratch, "up-errors"))
            .spawn()
            .expect("secgpt up");
        // A query before this line would start, and stop, a system of its own.
        let mut said = BufReader::new(up.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains("\"ready\"")), "secgpt up was not ready");
        let system = Self { model, up, config, _scratch: scratch };
        let (first, _) = system.ask("hello", &[]);
        assert_eq!(first["outcome"], "answered", "{first}");
        system
    }

    /// One query; its outcome, and the time that the system took for it, milliseconds.
    fn ask(&self, words: &str, more: &[&str]) -> (Value, f64) {
        let output = secgpt()
            .arg("--config")
            .arg(&self.config)
            .args(["ask", "--json", "--consent", "once", "--private"])
            .args(more)
            .arg(words)
            .stdin(Stdio::null())
            .output()
            .expect("secgpt ask");
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let ms = outcome["elapsed_ms"].as_f64().unwrap_or(f64::NAN);
        (outcome, ms)
    }

    fn core(&self) -> Vec<(String, u64)> {
        children(self.up.id())
            .into_iter()
            .filter_map(|pid| {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned();
                ["hub", "llm-gateway", "egress-gateway", "egress-gatewa", "spoke-host"]
                    .contains(&name.as_str())
                    .then(|| (name, resident_kib(pid)))
            })
            .collect()
    }

    fn resident_kib(&self) -> u64 {
        self.core().iter().map(|(_, kib)| kib).sum()
    }

    fn names(&self) -> Vec<String> {
        self.core().into_iter().map(|(name, kib)| format!("{name} {} MiB", kib / 1024)).collect()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        for child in [&mut self.up, &mut self.model] {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

fn secgpt() -> Command {
    let mut command = Command::new(programs().join("secgpt"));
    command.env("SECGPT_BUNDLE_DIR", &bundle().dir);
    command
}

fn log(scratch: &Scratch, name: &str) -> std::fs::File {
    std::fs::File::create(scratch.join(&format!("{name}.log"))).expect("a log file")
}

fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(tasks) = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")) else {
        return found;
    };
    for task in tasks.flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}

fn resident_kib(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
