//! What came of a query.
//!
//! Answers: the answer, what each app said, what was refused and what would mend it.
//! Never: leaves out a result or a refusal; results stand under their app's name.

use bus::message::user::{Ending, Outcome, Verdict};
use serde_json::Value;

use super::clean;
use super::paint::Paint;
use crate::error::Error;

/// The longest value that is shown whole, characters; `--json` shows all.
const MAX_VALUE: usize = 700;

/// The whole outcome. `streamed` is what of the answer is on the screen already.
#[must_use]
pub fn outcome(outcome: &Outcome, streamed: &str, paint: Paint) -> String {
    let mut text = String::new();
    if let Some(answer) = &outcome.answer
        && clean::lines(answer).trim() != streamed.trim()
    {
        text.push_str(clean::lines(answer).trim_end());
        text.push('\n');
    }
    if !outcome.results.is_empty() {
        text.push_str(&format!("\n{}\n", paint.dim("what each app returned")));
        for result in &outcome.results {
            let (name, rest) = (clean::line(&result.app, 40), clean::line(&result.functionality, 120));
            let value = match &result.error {
                Some(error) => paint.bad(&clean::line(error, MAX_VALUE)),
                None if is_answer(&result.value, outcome) => paint.dim("the answer above, word for word"),
                None => value_line(&result.value, MAX_VALUE),
            };
            text.push_str(&format!("  {}  {}  {value}\n", paint.name(&name), paint.dim(&rest)));
        }
    }
    for chosen in outcome.choices.iter().filter_map(super::chosen) {
        text.push_str(&format!("\n{}\n", paint.dim(&clean::line(&chosen, MAX_VALUE))));
    }
    let refused: Vec<_> = outcome.flows.iter().filter(|flow| flow.decision == Verdict::Deny).collect();
    if !refused.is_empty() {
        text.push_str(&format!("\n{}\n", paint.warning("refused")));
        for flow in refused {
            text.push_str(&format!(
                "  {} → {}  {}\n    {} {}\n",
                paint.name(&clean::line(&flow.from, 40)),
                paint.bold(&clean::line(&flow.to, 120)),
                paint.dim(&clean::line(&flow.args.to_string(), 300)),
                clean::line(&flow.reason, 300),
                paint.dim(&format!("({})", mend(&flow.by))),
            ));
        }
    }
    match (&outcome.error, outcome.outcome) {
        (Some(error), _) => {
            text.push_str(&format!("\n{} {}\n", paint.bad("error:"), clean::line(error, MAX_VALUE)));
        }
        (None, Ending::Refused) if outcome.answer.is_none() => {
            text.push_str(&format!("\n{}\n", paint.bad("not answered: a permission was refused")));
        }
        _ => {}
    }
    if !outcome.unsupported.is_empty() {
        let marked: Vec<String> = outcome.unsupported.iter().map(|mark| clean::line(mark, 80)).collect();
        let told = format!("in no result, and not in your words: {}", marked.join(", "));
        text.push_str(&format!("{} {told}\n", paint.warning("check:")));
    }
    if let Some(hint) = &outcome.hint {
        text.push_str(&format!("{} {}\n", paint.bold("hint:"), clean::line(hint, MAX_VALUE)));
    }
    let calls: u64 = outcome.model_calls.values().sum();
    let prompts = outcome.prompts;
    let mut foot = format!(
        "{calls} model call{} · {prompts} prompt{} · {} ms · session {}",
        plural(calls),
        plural(prompts),
        outcome.elapsed_ms,
        outcome.session
    );
    if let Some(model) = &outcome.model {
        foot.push_str(&format!(" · {}", clean::line(model, 200)));
    }
    text.push_str(&format!("\n{}\n", paint.dim(&foot)));
    text.trim_start_matches('\n').to_owned()
}

/// Is the result the answer itself, as it is when one app alone did all the work?
fn is_answer(value: &Value, outcome: &Outcome) -> bool {
    value.as_str().is_some_and(|text| outcome.answer.as_deref() == Some(text))
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A value on one line: a text as it is, all else as JSON.
#[must_use]
pub fn value_line(value: &Value, max: usize) -> String {
    match value {
        Value::String(text) => clean::line(text, max),
        other => clean::line(&other.to_string(), max),
    }
}

/// What would let a refused flow through, by who refused it.
#[must_use]
pub fn mend(by: &str) -> String {
    match by.split_once(':') {
        Some(("grant", id)) => {
            format!("a kept refusal; `secgpt grants revoke {}` takes it back", clean::line(id, 60))
        }
        Some(("policy", "unattended")) => {
            "nobody was there to ask; use `--consent ask` on a terminal, or `secgpt chat`".to_owned()
        }
        Some(("policy", rule)) => {
            format!("by the rule `{}`; another `[permission] preset` may allow it", clean::line(rule, 60))
        }
        _ if by == "user" => "you refused; ask again, or `/replan` for a plan without it".to_owned(),
        _ if by == "timeout" => {
            "nobody answered in time; `[permission] prompt_timeout` sets how long".to_owned()
        }
        _ => clean::line(by, 80),
    }
}

/// An error, for standard error.
#[must_use]
pub fn failure(error: &Error, paint: Paint) -> String {
    let mut text = format!("{} {}\n", paint.bad("error:"), clean::line(&error.line(), 2000));
    if let Some(hint) = error.way_out() {
        text.push_str(&format!("{} {}\n", paint.bold("hint:"), clean::line(hint, 2000)));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_result_stands_under_its_apps_name_and_every_refusal_says_what_would_mend_it() {
        let shown: Outcome = serde_json::from_value(json!({
            "answer": "metro_hail: 51.8\nquick_ride: 57.0\u{1b}[31m", "session": "s1", "outcome": "answered",
            "plan": {"steps": []},
            "results": [
                {"step": "s1", "app": "metro_hail", "functionality": "metro_hail.estimate_fare", "value": {"fare": 51.8}},
                {"step": "s2", "app": "quick_ride", "functionality": "quick_ride.estimate_fare", "value": null, "error": "the app ended"}
            ],
            "flows": [{"from": "mail", "to": "drive.read", "args": {"name": "a"}, "labels": ["user"], "expected": false,
                "effect": "read", "category": "collab", "decision": "deny", "by": "policy:unattended", "reason": "It is not in the plan."}],
            "model_calls": {"planner": 1, "spokes": 1}, "prompts": 0, "elapsed_ms": 12, "error": null
        })).unwrap();
        assert_snapshot!(outcome(&shown, "", Paint::none()), @r#"
        metro_hail: 51.8
        quick_ride: 57.0[31m

        what each app returned
          metro_hail  metro_hail.estimate_fare  {"fare":51.8}
          quick_ride  quick_ride.estimate_fare  the app ended

        refused
          mail → drive.read  {"name":"a"}
            It is not in the plan. (nobody was there to ask; use `--consent ask` on a terminal, or `secgpt chat`)

        2 model calls · 0 prompts · 12 ms · session s1
        "#);
        assert!(
            !outcome(&shown, "metro_hail: 51.8\nquick_ride: 57.0[31m\n", Paint::none()).starts_with("metro")
        );
    }
}
