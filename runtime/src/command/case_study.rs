//! `secgpt case-study`: an attack, played in both systems.
//!
//! Answers: what happened, step by step, and did the attack come through?
//! Never: prints a verdict that was not computed from what happened.

use serde_json::json;

use super::{print, print_json, say, starting};
use crate::case_study::{self, About, Play, study};
use crate::cli::{CaseStudy, Global};
use crate::config::Config;
use crate::error::Error;
use crate::show::paint::Paint;
use crate::show::{clean, columns, wrap};
use crate::system::System;

/// Plays one. The exit code is 1 if the isolated system let the attack through.
///
/// # Errors
/// If a system cannot be started or asked.
pub async fn run(config: &Config, global: &Global, command: &CaseStudy) -> Result<u8, Error> {
    let study = study(command.number).ok_or_else(|| Error::usage("there are four case studies, 1 to 4"))?;
    let quiet = global.quiet || global.json;
    let mut plays = Vec::new();
    if !command.baseline {
        let mut system = tokio::select! {
            system = System::open(config, "case-study", starting(quiet)) => system?,
            () = super::interrupted() => return Err(Error::failed("interrupted during the start")),
        };
        let played = case_study::isolated(config, global, &mut system, study, command.consent).await;
        system.close().await;
        plays.push(played?);
    }
    plays.push(case_study::baseline(config, study).await?);
    let broken = plays.iter().any(|play| play.system == "isolated" && play.verdict.attack_succeeded);
    if global.json {
        print_json(&json!({ "study": study, "plays": plays }))?;
        return Ok(u8::from(broken));
    }
    let paint = Paint::stdout(global.color);
    print(&format!(
        "{}\n{} {}\n",
        paint.bold(&format!("Case study {}: {}", study.number, study.title)),
        paint.dim("attack:"),
        study.attack
    ));
    for query in study.queries {
        print(&format!("{} {query}\n", paint.dim("query: ")));
    }
    print("\n");
    print(&side_by_side(&plays, columns()));
    for play in &plays {
        let verdict = &play.verdict;
        let word = if verdict.attack_succeeded {
            paint.bad("the attack came through")
        } else {
            paint.good("the attack did not come through")
        };
        let task = if verdict.task_done {
            paint.good("the task was done")
        } else {
            paint.warning("the task was not done")
        };
        print(&format!("\n{}: {word}, {task}\n", paint.bold(play.system)));
        for check in &verdict.checks {
            let mark = match (check.good, check.about) {
                (true, _) => paint.good("✓"),
                (false, About::Attack) => paint.bad("✗"),
                (false, About::Task) => paint.warning("–"),
            };
            print(&format!(
                "  {mark} {}: {}\n",
                clean::line(&check.what, 200),
                paint.dim(&clean::line(&check.found, 400))
            ));
        }
    }
    if !command.baseline && !quiet {
        say(
            "`secgpt policy explain` tells by which rule each flow of it was decided, and what would change that",
        );
    }
    Ok(u8::from(broken))
}

/// Narrower than this, columns are harder to read than one system after the other.
const NARROW: usize = 100;

/// The steps of both systems side by side, or one below the other where there is no room.
fn side_by_side(plays: &[Play], width: usize) -> String {
    let beside = plays.len() == 2 && NARROW <= width;
    let room = if beside { width.saturating_sub(3) / 2 } else { width };
    let lines: Vec<Vec<String>> = plays
        .iter()
        .map(|play| {
            let mut lines = vec![play.system.to_uppercase(), "─".repeat(room)];
            lines.extend(play.steps.iter().flat_map(|step| wrap(&clean::lines(step), room, 2)));
            lines
        })
        .collect();
    match lines.as_slice() {
        [left, right] if beside => {
            let rows = left.len().max(right.len());
            let cell = |column: &[String], row: usize| column.get(row).cloned().unwrap_or_default();
            (0..rows)
                .map(|row| {
                    let left = cell(left, row);
                    let pad = " ".repeat(room.saturating_sub(left.chars().count()));
                    format!("{left}{pad} │ {}\n", cell(right, row))
                })
                .collect()
        }
        all => all.iter().map(|column| format!("{}\n\n", column.join("\n"))).collect(),
    }
}
