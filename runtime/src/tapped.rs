//! A message as the tap shows it.
//!
//! Answers: who said what to whom, and in which words?
//! Never: fails on a message; what cannot be read is shown as it is.
//! Carries: I-09.

use bus::id::{AppId, UserId};
use bus::subject::{Auditor, Subject};
use serde_json::{Value, json};

use crate::show::clean;
use crate::show::paint::Paint;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this app.
    pub app: Option<AppId>,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only what carries data from there: `app:drive`, `web:example.com`, `memory:city`.
    pub label: Option<String>,
}

impl Filter {
    /// Can it be wanted, by its headers alone? What is not need not be decoded.
    #[must_use]
    pub fn may_pass(&self, message: &async_nats::Message) -> bool {
        let kind = self.kind.as_ref().is_none_or(|kind| header(message, bus::envelope::KIND) == Some(kind));
        let label = self.label.as_ref().is_none_or(|label| labels(message).any(|has| has == label));
        kind && label
    }
}

/// Where its data came from, if the hub says so. What anybody else writes there is no label: the broker lets nobody but the hub and its
/// gateways speak on what is heard by spokes and users, and gateways label nothing.
fn labels(message: &async_nats::Message) -> impl Iterator<Item = &str> {
    let by_hub = matches!(
        Subject::parse(&message.subject),
        Some(Subject::SpokeIn { .. } | Subject::UserIn { .. } | Subject::Audit { by: Auditor::Hub, .. })
    );
    let said = header(message, bus::envelope::LABELS).filter(|_| by_hub).unwrap_or_default();
    said.split(',').filter(|label| !label.is_empty())
}

fn header<'a>(message: &'a async_nats::Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
}

/// One message.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// When it was seen, as RFC 3339.
    pub time: String,
    /// Where it was said.
    pub subject: String,
    /// What it says it is.
    pub kind: Option<String>,
    /// The query that it belongs to, in the words of who says it: `subject` tells who that is.
    pub work: Option<String>,
    /// The trace that it belongs to, as W3C writes it: the same for all of a query. In the words of who says it, as well.
    pub trace: Option<String>,
    /// Where its data came from, if the hub has said so.
    pub labels: Vec<String>,
    /// Where the answer goes.
    pub reply: Option<String>,
    /// Its body.
    pub body: Value,
    /// The body's bytes.
    pub size: usize,
}

impl Tapped {
    /// Reads a message; the body as MessagePack, or, if it is none, as hexadecimal digits.
    #[must_use]
    pub fn read(message: &async_nats::Message, time: String) -> Self {
        let header = |name: &str| header(message, name).map(str::to_owned);
        Self {
            time,
            subject: message.subject.to_string(),
            kind: header(bus::envelope::KIND),
            work: header(bus::envelope::WORK),
            trace: header(bus::envelope::TRACEPARENT),
            labels: labels(message).map(str::to_owned).collect(),
            reply: message.reply.as_ref().map(ToString::to_string),
            body: body(&message.payload),
            size: message.payload.len(),
        }
    }

    /// Is it wanted, as far as [`Filter::may_pass`] has not decided it?
    #[must_use]
    pub fn passes(&self, filter: &Filter) -> bool {
        let subject = Subject::parse(&self.subject);
        let app = filter.app.as_ref().is_none_or(|app| match &subject {
            Some(Subject::SpokeOut { spoke, .. } | Subject::SpokeIn { spoke, .. }) => spoke.app == *app,
            // Elsewhere an app is named in the body: in a spawn request, a decision, a plan.
            _ => mentions(&self.body, app.as_str()),
        });
        let user = filter.user.as_ref().is_none_or(|user| match &subject {
            Some(Subject::UserOut { user: of, .. } | Subject::UserIn { user: of, .. }) => of == user,
            _ => self.body.get("user").and_then(Value::as_str) == Some(user.as_str()),
        });
        app && user
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "time": self.time, "subject": self.subject, "kind": self.kind, "work": self.work, "trace": self.trace,
            "labels": self.labels, "reply": self.reply, "size": self.size, "body": self.body,
        })
    }

    /// For people: time, from, to, what, and the body cut to `width` characters in all.
    #[must_use]
    pub fn line(&self, width: usize, paint: Paint) -> String {
        let time = self.time.get(11..23).unwrap_or(&self.time);
        let (from, to) = parties(&self.subject);
        let kind = clean::line(self.kind.as_deref().unwrap_or("?"), 20);
        let head = format!("{time}  {from:>24} → {to:<24} {kind:<14}");
        let room = width.saturating_sub(head.chars().count().saturating_add(30)).max(40);
        format!(
            "{}  {:>24} → {:<24} {} {}",
            paint.dim(time),
            paint.name(&format!("{from:>24}")),
            paint.name(&format!("{to:<24}")),
            paint.bold(&format!("{kind:<14}")),
            clean::line(&self.body.to_string(), room)
        )
    }
}

/// Who says it to whom, in few words.
fn parties(subject: &str) -> (String, String) {
    let short = |text: &str| text.chars().take(24).collect::<String>();
    let spoke = |spoke: &bus::id::SpokeAddr| {
        let id: String =
            spoke.id.as_str().chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
        short(&format!("{}.{id}", spoke.app))
    };
    match Subject::parse(subject) {
        Some(Subject::SpokeOut { spoke: who, service, op }) => {
            (spoke(&who), short(&format!("{}.{}", service.as_str(), op.as_str())))
        }
        Some(Subject::SpokeIn { spoke: who, .. }) => ("·".to_owned(), spoke(&who)),
        Some(Subject::HubOut { service, op }) => {
            ("hub".to_owned(), short(&format!("{}.{}", service.as_str(), op.as_str())))
        }
        Some(Subject::HubIn(_)) => ("·".to_owned(), "hub".to_owned()),
        Some(Subject::HostOut { host, op }) => {
            (short(&format!("host {host}")), short(&format!("hub.{}", op.as_str())))
        }
        Some(Subject::HostIn { host, .. }) => ("hub".to_owned(), short(&format!("host {host}"))),
        Some(Subject::HostAny(op)) => ("hub".to_owned(), short(&format!("any host.{}", op.as_str()))),
        Some(Subject::UserOut { user, op }) => {
            (short(&format!("user {user}")), short(&format!("hub.{}", op.as_str())))
        }
        Some(Subject::UserIn { user, .. }) => ("hub".to_owned(), short(&format!("user {user}"))),
        Some(Subject::Echo(of)) => (short(&named(&of)), short(&named(&of))),
        Some(Subject::Audit { by, op }) => (short(&named(&by)), short(&format!("audit.{}", op.as_str()))),
        None => ("?".to_owned(), clean::line(subject, 24)),
    }
}

fn named(by: &Auditor) -> String {
    match by {
        Auditor::Host(host) => format!("host {host}"),
        other => other.to_string(),
    }
}

fn body(payload: &[u8]) -> Value {
    match rmp_serde::from_slice(payload) {
        Ok(value) => value,
        Err(_) if payload.is_empty() => Value::Null,
        Err(_) => {
            json!({ "not_messagepack": payload.iter().take(4096).map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
    }
}

/// Does any text of the body name the app, alone or as `<app>.<functionality>`?
fn mentions(value: &Value, app: &str) -> bool {
    match value {
        Value::String(text) => {
            text == app || text.strip_prefix(app).is_some_and(|rest| rest.starts_with('.'))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, app)),
        Value::Object(fields) => fields.values().any(|item| mentions(item, app)),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tapped(subject: &str, body: Value) -> Tapped {
        Tapped {
            time: "2026-01-02T03:04:05.678Z".into(),
            subject: subject.into(),
            kind: Some("audit".into()),
            work: None,
            trace: None,
            labels: Vec::new(),
            reply: None,
            body,
            size: 1,
        }
    }

    #[test]
    fn a_filter_for_an_app_finds_what_is_said_about_it() {
        let filter = Filter { app: Some(AppId::parse("mail").unwrap()), ..Filter::default() };
        assert!(tapped("secgpt.spoke.mail.a1.out.result.done", json!({})).passes(&filter));
        assert!(!tapped("secgpt.spoke.drive.a1.out.result.done", json!({"a": "mail"})).passes(&filter));
        assert!(tapped("secgpt.audit.hub.decision", json!({"what": {"to": "mail.send"}})).passes(&filter));
        assert!(
            !tapped("secgpt.audit.hub.decision", json!({"what": {"to": "mailbox.send"}})).passes(&filter)
        );
    }

    #[test]
    fn a_body_that_is_not_messagepack_is_shown_as_it_is() {
        assert_eq!(body(&[0xc1]), json!({"not_messagepack": "c1"}));
        assert_eq!(body(&rmp_serde::to_vec_named(&json!({"a": 1})).unwrap()), json!({"a": 1}));
    }

    #[test]
    fn a_message_cannot_forge_a_line_of_the_tap() {
        let line = tapped("secgpt.evil\n.x", json!({"text": "a\u{1b}[2J\nb"})).line(200, Paint::none());
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
    }

    #[test]
    fn a_label_is_found_in_the_headers_and_nothing_is_decoded_for_it() {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(bus::envelope::LABELS, "user,app:drive");
        headers.insert(bus::envelope::KIND, "task");
        let message = async_nats::Message {
            subject: "secgpt.spoke.mail.a1.in.task".into(),
            reply: None,
            payload: vec![0xc1].into(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 1,
        };
        let wants = |label: &str, kind: &str| {
            let filter = Filter { label: Some(label.into()), kind: Some(kind.into()), ..Filter::default() };
            filter.may_pass(&message)
        };
        assert!(wants("app:drive", "task"));
        assert!(!wants("app:dr", "task") && !wants("app:mail", "task") && !wants("app:drive", "audit"));
        assert_eq!(Tapped::read(&message, String::new()).labels, ["user", "app:drive"]);
        let prompt = async_nats::Message { subject: "secgpt.user.ann.in.prompt".into(), ..message.clone() };
        assert_eq!(Tapped::read(&prompt, String::new()).labels, ["user", "app:drive"]);
        // What a spoke, a host or a user writes there is no label.
        for forger in [
            "secgpt.spoke.mail.a1.out.isc.request",
            "secgpt.spoke.mail.a1.out.result.done",
            "secgpt.host.local.out.report",
            "secgpt.audit.host.local.lifecycle",
            "secgpt.user.ann.out.query",
            "secgpt.anything",
        ] {
            let message = async_nats::Message { subject: forger.into(), ..message.clone() };
            assert!(Tapped::read(&message, String::new()).labels.is_empty(), "{forger}");
            let filter = Filter { label: Some("app:drive".into()), ..Filter::default() };
            assert!(!filter.may_pass(&message), "{forger}");
        }
    }
}
