//! Deciding on a flow, without bus and actors: what do rules and grants cost?
//!
//! With a preset alone, and with a thousand rules and ten thousand grants, over flows of many kinds, no two of them
//! alike; and for one flow again and again, as an app asks in a loop.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use bus::id::{SessionId, StepId, UserId, WorkId};
use bus::message::user::{Choice, Effect};
use hub_actor::permission::decide::decide;
use hub_actor::permission::destination::{Destination, Whence};
use hub_actor::permission::grant::{Grant, GrantId, Grants};
use hub_actor::permission::label::{Label, Labels};
use hub_actor::permission::policy::{Policy, Preset};
use hub_actor::permission::question::{Origin, Question, Target};
use hub_actor::plan::Conformance;
use serde_json::{Value, json};

use crate::sample::{Sample, rounded};

const APPS: usize = 100;
const DECISIONS: usize = 10_000;

/// The medians.
pub fn measure() -> Value {
    let preset = Policy::preset(Preset::Balanced);
    let (alone, alone_p99) = timed(&preset, &Grants::default(), (0..DECISIONS).map(question));
    let began = Instant::now();
    let many = with_rules(&rules());
    let load_ms = began.elapsed().as_secs_f64() * 1e3;
    let (full, full_p99) = timed(&many, &grants(), (0..DECISIONS).map(question));
    let (again, _) = timed(&many, &Grants::default(), std::iter::repeat_n(question(1), DECISIONS));
    let (open, open_p99) = timed(&with_rules(&open_rules()), &grants(), (0..500).map(question));
    json!({
        "preset_us_p50": alone, "preset_us_p99": alone_p99,
        "rules_1000_grants_10000_us_p50": full, "rules_1000_grants_10000_us_p99": full_p99,
        "again_us_p50": again,
        "open_rules_1000_us_p50": open, "open_rules_1000_us_p99": open_p99,
        "load_1000_rules_ms": rounded(load_ms),
    })
}

/// Deciding these, one after the other: the median and the 99th percentile, microseconds.
fn timed(policy: &Policy, grants: &Grants, questions: impl Iterator<Item = Question>) -> (f64, f64) {
    let mut sample = Sample::default();
    for question in questions {
        let before = Instant::now();
        black_box(decide(policy, grants, black_box(&question)));
        sample.add(before.elapsed());
    }
    (rounded(sample.percentile_us(0.5)), rounded(sample.percentile_us(0.99)))
}

fn with_rules(rules: &str) -> Policy {
    let preset = Preset::Balanced;
    let texts = [("own.cedar", rules), (preset.file_name(), preset.shipped())];
    Policy::of_texts(&texts.map(|(name, text)| (name.to_owned(), text.to_owned()))).expect("rules")
}

/// A thousand rules that name apps and functionalities in their scopes, as an organisation writes them.
fn rules() -> String {
    let mut text = String::new();
    for number in 0..1_000 {
        let (app, other) = (number % APPS, (number / APPS) % APPS);
        let rule = match number % 4 {
            0 => format!(
                "permit (principal is Plan, action == Action::\"proceed\", resource == Functionality::\"app{app}.write\") when {{ context.expected && [Label::\"user\", Label::\"app:app{other}\"].containsAll(context.destinations.sources) }};"
            ),
            1 => format!(
                "forbid (principal == App::\"app{other}\", action, resource in App::\"app{app}\") when {{ context.labels.contains(Label::\"web:evil{other}.example\") }};"
            ),
            2 => format!(
                "permit (principal, action == Action::\"ask\", resource in App::\"app{app}\") when {{ context.effect == Effect::\"write\" }};"
            ),
            _ => format!(
                "forbid (principal, action, resource == Functionality::\"app{app}.send\") when {{ context.user == User::\"user{other}\" && !context.expected }};"
            ),
        };
        writeln!(text, "@id(\"r{number}\") {rule}").expect("a string");
    }
    text
}

/// A thousand rules that name nothing in their scopes, so that each is about every flow: the worst there is.
fn open_rules() -> String {
    let mut text = String::new();
    for number in 0..1_000 {
        let rule = format!(
            "forbid (principal, action, resource) when {{ context.effect == Effect::\"irreversible\" && context.labels.contains(Label::\"web:evil{number}.example\") }};"
        );
        writeln!(text, "@id(\"o{number}\") {rule}").expect("a string");
    }
    text
}

fn grants() -> Grants {
    let mut grants = Grants::default();
    for number in 0..10_000 {
        let id = GrantId::parse(&format!("g{number}")).expect("a name");
        let question = Question { effect: Effect::Write, ..question(number) };
        if let Some(grant) = Grant::of_answer(&question, Choice::Always, id, 0) {
            grants.add(grant);
        }
    }
    grants
}

fn question(number: usize) -> Question {
    let step = StepId::parse("s1").expect("a name");
    let app = number % APPS;
    let operation = ["read", "write", "send"][number % 3];
    let from = match number % 5 {
        0 => Origin::try_from(format!("app{}", (number / 7) % APPS)).expect("an app"),
        _ => Origin::Plan,
    };
    let labels = ["user".to_owned(), format!("app:app{}", (number / 3) % APPS), "web:x.example".to_owned()];
    let whence = if number.is_multiple_of(2) { Whence::User } else { Whence::Planner };
    Question {
        user: UserId::parse("ann").expect("a name"),
        session: SessionId::parse("one").expect("a name"),
        query: WorkId::parse("q1").expect("a name"),
        from,
        to: Target::try_from(format!("app{app}.{operation}")).expect("a functionality"),
        args: json!({"to": format!("bob{number}@x.example"), "body": "What the report says, in three sentences."}),
        labels: labels.iter().map(|label| Label::parse(label).expect("a label")).collect::<Labels>(),
        effect: [Effect::Read, Effect::Write, Effect::Irreversible][number % 3],
        conformance: match number % 4 {
            0 => Conformance::Unexpected { differs: "it is not in the plan".into() },
            _ => Conformance::Expected { step: step.clone() },
        },
        destinations: vec![Destination {
            parameter: "to".into(),
            value: format!("bob{number}@x.example"),
            whence,
        }],
        sources: Vec::new(),
        pin: format!("h{app}"),
        attended: true,
        step: Some(step),
    }
}
