//! What the broker refused, from its log.
//!
//! Answers: does this line of the broker's log say that something was refused?
//! Never: hands on more of a line than its end, cut; a subject in it was chosen by whoever was refused.
//! Carries: I-01, I-03. A tap cannot see what the broker drops, so this is the only witness.

/// What follows the client's own description in a line of `nats-server`.
const REFUSALS: [&str; 6] = [
    "Publish Violation",
    "Subscription Violation",
    "Publish With Reply Violation",
    "Authentication Failure",
    "authentication error",
    "maximum subscriptions exceeded",
];

/// The longest that is handed on, characters.
const MAX: usize = 400;

/// What was refused, and to whom; nothing if the line is about something else.
#[must_use]
pub fn refusal(line: &str) -> Option<String> {
    let (_, after) = line.split_once("[ERR] ").or_else(|| line.split_once("[WRN] "))?;
    let start = REFUSALS.iter().filter_map(|refusal| after.find(refusal)).min()?;
    // Before it stand address, connection number and the client's version, which no reader of the audit needs.
    let text = after.get(start..)?;
    Some(text.chars().filter(|character| !character.is_control()).take(MAX).collect())
}
