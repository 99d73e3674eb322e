//! `secgpt case-study`: an attack, played in both systems.
//!
//! Answers: what happened, step by step, and did the attack come through?
//! Never: prints a verdict that was not computed from what happened.

use std::io::IsTerminal;

use serde_json::json;

use super::{print, print_json, starting};
use crate::case_study::{self, About, Play, study};
use crate::cli::{CaseStudy, Global};
use crate::config::Config;
use crate::error::Error;
use crate::show::clean;
use crate::show::paint::Paint;
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
    print(&columns(&plays, width()));
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
    Ok(u8::from(broken))
}

/// Narrower than this, columns are harder to read than one system after the other.
const NARROW: usize = 100;

fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return 160;
    }
    crossterm::terminal::size().map_or(120, |(columns, _)| usize::from(columns))
}

/// The steps of both systems side by side, or one below the other where there is no room.
fn columns(plays: &[Play], width: usize) -> String {
    let side_by_side = plays.len() == 2 && NARROW <= width;
    let room = if side_by_side { width.saturating_sub(3) / 2 } else { width };
    let lines: Vec<Vec<String>> = plays
        .iter()
        .map(|play| {
            let mut lines = vec![play.system.to_uppercase(), "─".repeat(room)];
            lines.extend(play.steps.iter().flat_map(|step| wrap(&clean::lines(step), room)));
            lines
        })
        .collect();
    match lines.as_slice() {
        [left, right] if side_by_side => {
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

/// Breaks a text into lines of at most `room` characters; what follows the first line is indented.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let needed = line.chars().count().saturating_add(word.chars().count()).saturating_add(1);
            if room < needed && !line.trim().is_empty() {
                lines.push(std::mem::take(&mut line));
                line.push_str("  ");
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            while room < line.chars().count() {
                let rest: String = line.chars().skip(room).collect();
                lines.push(line.chars().take(room).collect());
                line = format!("  {rest}");
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn no_line_is_wider_than_its_column() {
        let text =
            "one two three four five six seven eight\nninetynine_and_a_very_long_word_without_a_blank end";
        let lines = wrap(text, 14);
        assert!(lines.iter().all(|line| line.chars().count() <= 14), "{lines:?}");
        assert_eq!(lines.first().map(String::as_str), Some("one two three"));
    }
}
