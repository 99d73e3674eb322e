//! Arguments in a request's address and headers.
//!
//! Answers: how is this value written where the description wants it?
//! Never: lets a value out of its place.

use bus::message::operation::{Parameter, Style};
use bus::message::task::Failure;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::wrong;

/// All but the unreserved characters of RFC 3986.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// For `allowReserved`: what may stand in a query, but not what ends it or begins the next parameter.
const RESERVED: &AsciiSet = &PLAIN
    .remove(b':')
    .remove(b'/')
    .remove(b'?')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';');

/// Percent-encoded, for anywhere in an address.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// In place of `{name}` in a path.
pub(super) fn path(parameter: &Parameter, value: &Value) -> String {
    let parts = parts(parameter, value, &encoded);
    let name = encoded(&parameter.name);
    match parameter.style {
        Style::Label => parts.iter().map(|part| format!(".{part}")).collect(),
        Style::Matrix if parameter.explode && value.is_object() => {
            parts.iter().map(|part| format!(";{part}")).collect()
        }
        Style::Matrix if parameter.explode => parts.iter().map(|part| format!(";{name}={part}")).collect(),
        Style::Matrix => format!(";{name}={}", parts.join(",")),
        _ => parts.join(","),
    }
}

/// After the `?`: each `name=value` of it.
pub(super) fn query(parameter: &Parameter, value: &Value) -> Vec<String> {
    let escaped =
        |text: &str| utf8_percent_encode(text, if parameter.reserved { RESERVED } else { PLAIN }).to_string();
    let name = encoded(&parameter.name);
    let field =
        |(field, value): (&String, &Value)| format!("{name}[{}]={}", encoded(field), escaped(&text(value)));
    let parts = parts(parameter, value, &escaped);
    let one = |value: String| vec![format!("{name}={value}")];
    match (parameter.style, value) {
        (Style::DeepObject, Value::Object(fields)) => fields.iter().map(field).collect(),
        (Style::Form, Value::Object(_)) if parameter.explode => parts,
        (Style::Form | Style::SpaceDelimited | Style::PipeDelimited, Value::Array(_))
            if parameter.explode =>
        {
            parts.iter().map(|part| format!("{name}={part}")).collect()
        }
        (Style::SpaceDelimited, _) => one(parts.join("%20")),
        (Style::PipeDelimited, _) => one(parts.join("|")),
        _ => one(parts.join(",")),
    }
}

/// A header's value. The gateway refuses one with a line break in it.
pub(super) fn header(parameter: &Parameter, value: &Value) -> String {
    parts(parameter, value, &str::to_owned).join(",")
}

/// The parts of a value, escaped; for a list its elements, for an object its names and values.
fn parts(parameter: &Parameter, value: &Value, escaped: &dyn Fn(&str) -> String) -> Vec<String> {
    match value {
        value if parameter.style == Style::Json => vec![escaped(&value.to_string())],
        Value::Array(items) => items.iter().map(|item| escaped(&text(item))).collect(),
        Value::Object(fields) => {
            let between = if parameter.explode { "=" } else { "," };
            fields
                .iter()
                .map(|(name, value)| format!("{}{between}{}", escaped(name), escaped(&text(value))))
                .collect()
        }
        value => vec![escaped(&text(value))],
    }
}

/// As it stands in an address: a string without its quotes; what has no form there, as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// Is the filled address still of the form that the description gave it? A segment that became empty, `.` or `..` would
/// be taken for another path.
pub(super) fn checked(template: &str, filled: &str) -> Result<(), Failure> {
    let mut segments = filled.split('/');
    for wanted in template.split('/') {
        let segment = segments.next().unwrap_or_default();
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        if wanted.contains('{') && matches!(dots.as_str(), "" | "." | "..") {
            return Err(wrong(format!("{wanted} cannot be {segment:?}: it is a part of the address")));
        }
    }
    Ok(())
}
