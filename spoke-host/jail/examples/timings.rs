//! How long does each layer of a spoke take?
//!
//! Starts itself two hundred times as a spoke that confines itself, and prints the median and the 99th
//! percentile of each step, of all steps together, and of the whole life of the process.
//! `cargo run --release -p jail --example timings`

use std::collections::BTreeMap;
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Instant;

const RUNS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("spoke") {
        return spoke();
    }
    let mut steps: BTreeMap<usize, (String, Vec<u128>)> = BTreeMap::new();
    let (mut sums, mut lives) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        let output = Command::new("/proc/self/exe")
            .arg("spoke")
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        lives.push(begun.elapsed().as_micros());
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let text = String::from_utf8(output.stdout)?;
        let mut sum = 0;
        for (index, line) in text.lines().enumerate() {
            let (name, nanos) = line.rsplit_once(' ').ok_or("a line without a time")?;
            let nanos: u128 = nanos.parse()?;
            sum += nanos / 1000;
            let entry = steps.entry(index).or_insert_with(|| (name.to_owned(), Vec::new()));
            entry.1.push(nanos / 1000);
        }
        sums.push(sum);
    }
    println!("{:<24}{:>10}{:>10}", "µs", "median", "99 %");
    for (name, times) in steps.into_values() {
        row(&name, times);
    }
    row("all steps", sums);
    row("process, start to end", lives);
    Ok(())
}

fn row(name: &str, mut times: Vec<u128>) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(0);
    println!("{name:<24}{:>10}{:>10}", at(50), at(99));
}

fn spoke() -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    jail::prepare(None, &[])?;
    let limits = jail::limits::SpokeLimits::standard();
    jail::limits::apply_spoke(&limits)?;
    let before = begun.elapsed();
    let timings = jail::confine::spoke(&limits)?;
    println!("prepare {}", before.as_nanos());
    for (layer, time) in timings.steps {
        println!("{layer} {}", time.as_nanos());
    }
    Ok(())
}
