//! What this machine can enforce.
//!
//! Answers: which features of the kernel are there, and what is to be done about those that are not?
//! Never: changes anything.

use jail::probe::{Feature, State, features};
use serde_json::{Value, json};

/// All features, as a JSON array for `secgpt doctor`.
///
/// # Errors
/// If it cannot be written as JSON, which cannot be.
pub fn as_json() -> Result<String, serde_json::Error> {
    let features: Vec<Value> = features().iter().map(one).collect();
    serde_json::to_string(&features)
}

/// What is missing of that which is needed, a sentence for each reason: one setting may stand in the way of many.
pub(crate) fn missing() -> Vec<String> {
    sentences(&features())
}

fn sentences(features: &[Feature]) -> Vec<String> {
    let mut reasons: Vec<(Vec<&str>, &str, (&str, &str))> = Vec::new();
    for feature in features.iter().filter(|feature| feature.required) {
        let State::Missing { what, why, what_to_do } = &feature.state else { continue };
        match reasons.iter_mut().find(|(.., reason)| *reason == (why, what_to_do)) {
            Some((names, ..)) => names.push(&feature.name),
            None => reasons.push((vec![&feature.name], what, (why, what_to_do))),
        }
    }
    let sentence = |(names, what, (why, what_to_do)): &(Vec<&str>, &str, (&str, &str))| {
        let others = names.len().saturating_sub(1);
        let named = names.first().copied().unwrap_or_default();
        let more = if others == 0 { String::new() } else { format!(" (and {others} more that need it)") };
        format!("{named}{more}: {what}: {why}; {what_to_do}")
    };
    reasons.iter().map(sentence).collect()
}

fn one(feature: &Feature) -> Value {
    let (ok, detail, hint) = match &feature.state {
        State::Ok => (true, String::new(), None),
        State::Missing { what, why, what_to_do } => (false, format!("{what}: {why}"), Some(what_to_do)),
    };
    json!({
        "feature": feature.name,
        "ok": ok,
        "required": feature.required,
        "detail": detail,
        "hint": hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_said_once_however_many_features_it_takes_away() {
        let missing = |what: &str, why: &str| State::Missing {
            what: what.to_owned(),
            why: why.to_owned(),
            what_to_do: "run: sysctl".to_owned(),
        };
        let feature =
            |name: &str, required: bool, state: State| Feature { name: name.to_owned(), required, state };
        let said = sentences(&[
            feature("Linux", true, State::Ok),
            feature("user namespaces", true, missing("unshare: EPERM", "they are off")),
            feature("a spoke", true, missing("user namespace: EPERM", "they are off")),
            feature("an app", true, missing("ended", "another reason")),
            feature("a cgroup", false, missing("none", "they are off")),
        ]);
        assert_eq!(
            said,
            [
                "user namespaces (and 1 more that need it): unshare: EPERM: they are off; run: sysctl",
                "an app: ended: another reason; run: sysctl"
            ]
        );
    }
}
