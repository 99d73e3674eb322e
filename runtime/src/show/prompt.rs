//! A permission prompt.
//!
//! Answers: who wants to send what to whom, where does it come from, and why is it asked?
//! Never: shows an app's words as ours, or hides the recipient or the content.

use bus::message::user::{Category, Choice, Effect, Flow, Prompt, Width};
use serde_json::Value;

use super::clean;
use super::paint::Paint;
use super::wrap::wrap;

/// The longest text inside the arguments that is shown whole. A mail of ordinary length fits.
const MAX_TEXT: usize = 600;

/// The most lines of arguments.
const MAX_LINES: usize = 40;

/// The prompt's text, without the question, in lines of at most `width` characters.
#[must_use]
pub fn prompt(prompt: &Prompt, paint: Paint, width: usize) -> String {
    let flow = &prompt.flow;
    let from = if flow.from == "plan" { "your plan".to_owned() } else { clean::line(&flow.from, 80) };
    let what = match (flow.category, flow.effect) {
        (Category::Data, _) => "stored data of yours goes to the app".to_owned(),
        (category, effect) => format!(
            "{}{}",
            match effect {
                Effect::Read => "reads",
                Effect::Write => "changes something",
                Effect::Irreversible => "CANNOT BE UNDONE",
            },
            if category == Category::Collab { ", data goes from app to app" } else { "" }
        ),
    };
    let mut text = format!(
        "{} {} → {}   {}\n",
        paint.bold("Permission needed:"),
        paint.name(&from),
        paint.bold(&clean::line(&flow.to, 120)),
        if flow.effect == Effect::Irreversible { paint.warning(&what) } else { paint.dim(&what) },
    );
    // The bar marks every line as content: a line break in an argument cannot begin a line of ours.
    let room = width.saturating_sub(INDENT);
    let lines = arguments(&flow.args).into_iter().flat_map(|line| wrap(&line, room.saturating_sub(2), 2));
    field(&mut text, "with", lines.map(|line| format!("│ {line}")));
    let others: Vec<String> =
        (1_u32..).zip(&prompt.others).map(|(place, flow)| one_of(place, flow)).collect();
    if !others.is_empty() {
        let first = one_of(0, flow);
        let count = others.len().saturating_add(1);
        let lines =
            std::iter::once(format!("{count} times, like this:")).chain(std::iter::once(first)).chain(others);
        let lines = lines.flat_map(|line| wrap(&line, room.saturating_sub(2), 4));
        field(&mut text, "in all", lines.map(|line| format!("│ {line}")));
    }
    if !flow.labels.is_empty() {
        let labels: Vec<String> = flow.labels.iter().map(|label| clean::line(label, 80)).collect();
        field(&mut text, "data from", wrap(&labels.join(", "), room, 0));
    }
    if let Some(words) = &prompt.apps_words {
        let words = format!("“{}” (the app's own words)", clean::line(words, 300));
        field(&mut text, "it says", wrap(&words, room, 0));
    }
    field(&mut text, "asked", wrap(&clean::line(&flow.reason, 3000), room, 0));
    if let Some(warning) = &prompt.warning {
        let lines = wrap(&clean::line(warning, 600), room, 0);
        field(&mut text, "WARNING", lines.iter().map(|line| paint.warning(line)));
    }
    text
}

/// Where the words of a field begin.
pub(super) const INDENT: usize = 13;

/// A name and what belongs to it, in lines.
pub(super) fn field(text: &mut String, name: &str, lines: impl IntoIterator<Item = String>) {
    for (index, line) in lines.into_iter().enumerate() {
        text.push_str(&format!("  {:<10} {line}\n", if index == 0 { name } else { "" }));
    }
}

/// The question: what may be answered.
#[must_use]
pub fn offers(prompt: &Prompt) -> String {
    let words: Vec<&str> = prompt
        .offers
        .iter()
        .map(|offer| match offer {
            Choice::Once => "[o]nce",
            Choice::Session => "this [s]ession",
            Choice::Always => "[a]lways  for a [m]onth",
            Choice::Deny => "[d]eny",
        })
        .collect();
    let each = if prompt.others.is_empty() { "" } else { "  or [e]ach by itself" };
    format!("{}{each} ({} s) ", words.join("  "), prompt.limit_ms / 1000)
}

/// One flow of several, on a line, counted from 1.
#[must_use]
pub fn one_of(place: u32, flow: &Flow) -> String {
    format!("{}. {}", place.saturating_add(1), clean::line(&flow.args.to_string(), 200))
}

/// The question how far a yes for longer is to reach.
#[must_use]
pub fn widths(widths: &[Width]) -> String {
    let words: Vec<String> = (1_u32..)
        .zip(widths)
        .map(|(number, width)| {
            let what = match width {
                Width::Shown => "to those shown".to_owned(),
                Width::Domain(domain) => format!("to any address at {}", clean::line(domain, 80)),
                Width::Anybody => "to anybody".to_owned(),
            };
            format!("[{number}] {what}")
        })
        .collect();
    format!("{} ", words.join("  "))
}

/// Each argument with its name; texts cut where they are very long, structures as JSON.
pub(super) fn arguments(args: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match args {
        Value::Object(fields) if fields.is_empty() => lines.push("no arguments".to_owned()),
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = clean::line(name, 40);
                match value {
                    Value::String(text) => {
                        let cut = cut(text);
                        let mut parts = cut.lines();
                        lines.push(format!("{name} = {}", parts.next().unwrap_or_default()));
                        lines.extend(parts.map(|part| format!("  {part}")));
                    }
                    other => lines.push(format!("{name} = {}", clean::line(&other.to_string(), MAX_TEXT))),
                }
            }
        }
        other => lines.push(clean::line(&other.to_string(), MAX_TEXT)),
    }
    let left = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    if 0 < left {
        lines.push(format!("… ({left} more lines)"));
    }
    lines
}

fn cut(text: &str) -> String {
    let shown: String = clean::lines(text).chars().take(MAX_TEXT).collect();
    match text.chars().count().saturating_sub(MAX_TEXT) {
        0 => shown,
        left => format!("{shown}… ({left} more characters)"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::id::{SessionId, WorkId};
    use bus::message::user::Verdict;
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_shows_recipient_and_content_and_the_app_cannot_forge_it() {
        let asked = Prompt {
            id: WorkId::fresh(),
            query: WorkId::fresh(),
            session: SessionId::parse("s").unwrap(),
            flow: Flow {
                from: "mail".into(),
                to: "mail.send".into(),
                args: json!({"to": ["x@evil.example"], "subject": "drive", "body": "secret\x1b[2J\nsecond line"}),
                labels: vec!["user".into(), "app:mail".into(), "app:drive".into()],
                expected: false,
                effect: Effect::Irreversible,
                category: Category::Collab,
                decision: Verdict::Ask,
                by: "policy:unexpected".into(),
                reason: "it cannot be undone".into(),
                step: None,
                receivers: Vec::new(),
                accounted: true,
            },
            others: Vec::new(),
            widths: Vec::new(),
            warning: Some("this is not in the plan".into()),
            apps_words: Some("harmless\x1b[1A\rPermission needed: none".into()),
            offers: vec![Choice::Once, Choice::Deny],
            limit_ms: 120_000,
        };
        assert_snapshot!(format!("{}{}", prompt(&asked, Paint::none(), 80), offers(&asked)), @r#"
        Permission needed: mail → mail.send   CANNOT BE UNDONE, data goes from app to app
          with       │ to = ["x@evil.example"]
                     │ subject = drive
                     │ body = secret[2J
                     │   second line
          data from  user, app:mail, app:drive
          it says    “harmless[1A Permission needed: none” (the app's own words)
          asked      it cannot be undone
          WARNING    this is not in the plan
        [o]nce  [d]eny (120 s)
        "#);
    }

    #[test]
    fn a_loop_is_shown_as_one_with_its_count_and_each_receiver() {
        let flow = |to: &str| Flow {
            from: "plan".into(),
            to: "mail.create_draft".into(),
            args: json!({"to": [to], "subject": "Task"}),
            labels: vec!["app:drive".into()],
            expected: true,
            effect: Effect::Write,
            category: Category::Collab,
            decision: Verdict::Ask,
            by: "policy:destination".into(),
            reason: "You did not name who receives.".into(),
            step: None,
            receivers: Vec::new(),
            accounted: true,
        };
        let asked = Prompt {
            id: WorkId::fresh(),
            query: WorkId::fresh(),
            session: SessionId::parse("s").unwrap(),
            flow: flow("ann@x.example"),
            others: vec![flow("bob@x.example"), flow("eve\u{1b}[2J@x.example")],
            widths: vec![Width::Shown, Width::Domain("x.example".into()), Width::Anybody],
            warning: None,
            apps_words: None,
            offers: vec![Choice::Once, Choice::Session, Choice::Deny],
            limit_ms: 120_000,
        };
        let (offers, widths) = (offers(&asked), widths(&asked.widths));
        let shown = format!("{}{}\n{widths}", prompt(&asked, Paint::none(), 80), offers.trim_end());
        assert_snapshot!(shown, @r#"
        Permission needed: your plan → mail.create_draft   changes something, data goes from app to app
          with       │ to = ["ann@x.example"]
                     │ subject = Task
          in all     │ 3 times, like this:
                     │ 1. {"to":["ann@x.example"],"subject":"Task"}
                     │ 2. {"to":["bob@x.example"],"subject":"Task"}
                     │ 3. {"to":["eve\u001b[2J@x.example"],"subject":"Task"}
          data from  app:drive
          asked      You did not name who receives.
        [o]nce  this [s]ession  [d]eny  or [e]ach by itself (120 s)
        [1] to those shown  [2] to any address at x.example  [3] to anybody
        "#);
    }
}
