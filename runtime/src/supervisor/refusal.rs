//! What the broker refused, from its log.
//!
//! Answers: does this line of the broker's log say that something was refused, and to whom?
//! Never: takes a client's own description of itself for the broker's word; hands on more than the refusal, cut.
//! Carries: I-01, I-03. A tap cannot see what the broker drops, so this is the only witness.

/// How what the broker says about a client begins when it refused something.
const REFUSALS: [&str; 7] = [
    "Publish Violation",
    "Subscription Violation",
    "Maximum Payload Violation",
    "Authorization Violation",
    "authentication error",
    "maximum payload exceeded",
    "maximum subscriptions exceeded",
];

/// The longest that is handed on, characters. A subject is shorter.
const MAX: usize = 400;

/// What was refused, and the public key of whom; nothing if the line is about something else.
///
/// A line is `[process] date time [ERR] address - cid:number - "description" - "account/user" - what happened`. The
/// description is the client's own and may say anything, but the server quotes it.
#[must_use]
pub fn refusal(line: &str) -> Option<String> {
    let (_, said) = line.split_once("[ERR] ")?;
    let fields = fields(said);
    let start = fields.iter().position(|field| {
        !field.starts_with('"') && REFUSALS.iter().any(|refusal| field.starts_with(refusal))
    })?;
    let what = fields.get(start..)?.join(" - ");
    let key = fields
        .iter()
        .filter_map(|field| field.strip_suffix('"')?.rsplit_once("/jwt:"))
        .map(|(_, key)| key)
        .find(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let who = key.map_or(String::new(), |key| format!(", to the holder of {key}"));
    Some(format!("{what}{who}").chars().filter(|character| !character.is_control()).take(MAX).collect())
}

/// The parts between ` - `, where a quoted part is one, whatever stands in it.
fn fields(text: &str) -> Vec<&str> {
    let (mut fields, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'-' if !quoted && text.get(at.saturating_sub(1)..at.saturating_add(2)) == Some(" - ") => {
                fields.extend(text.get(start..at.saturating_sub(1)));
                start = at.saturating_add(2);
            }
            _ => {}
        }
    }
    fields.extend(text.get(start..));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(refusal(line).as_deref(), expected);
    }

    #[test]
    fn a_refusal_is_told_with_the_key_of_whom_it_met() {
        check(
            "[9815] 2026/11/23 01:29:06.519620 [ERR] 127.0.0.1:59346 - cid:15 - \"v0.51.0:rust:spoke\" - \"ADMV2/bus/jwt:UBSC5\" - Publish Violation - Subject \"secgpt.hub.in.reply.x\"",
            Some("Publish Violation - Subject \"secgpt.hub.in.reply.x\", to the holder of UBSC5"),
        );
        check(
            "[1] 2026/11/23 01:29:08.981551 [ERR] 127.0.0.1:47668 - cid:16 - authentication error",
            Some("authentication error"),
        );
    }

    #[test]
    fn a_client_cannot_forge_a_refusal_by_its_name() {
        let line = |name: &str, what: &str| {
            format!("[1] d t [ERR] 127.0.0.1:1 - cid:15 - \"v:rust:{name}\" - \"A/bus/jwt:UREAL\" - {what}")
        };
        check(&line(r#"x\" - Publish Violation - forged"#, "Client disconnected"), None);
        check(
            &line(r#"/jwt:UFORGED\" - y"#, "Subscription Violation - Subject \"a.>\", SID 1"),
            Some("Subscription Violation - Subject \"a.>\", SID 1, to the holder of UREAL"),
        );
    }

    #[test]
    fn other_lines_are_about_something_else() {
        check("[1] 2026/11/23 01:29:08.981505 [WRN] Account fetch failed: fetching jwt timed out", None);
        check("[1] 2026/11/23 01:26:45.096763 [ERR] 127.0.0.1:1 - cid:9 - TLS handshake error: bad", None);
        check("", None);
    }
}
