//! What `answer.rs` promises, each promise a test.

use bus::id::{SessionId, StepId};
use bus::message::user::{Category, Effect, Flow};

use super::*;

fn result(step: &str, value: Value, error: Option<&str>) -> StepResult {
    StepResult {
        step: StepId::parse(step).unwrap(),
        app: "mail".into(),
        functionality: "mail.read".into(),
        value,
        error: error.map(Into::into),
    }
}

fn flow(from: &str, decision: Verdict, args: Value) -> Flow {
    Flow {
        from: from.into(),
        to: "mail.read".into(),
        args,
        labels: Vec::new(),
        expected: true,
        effect: Effect::Read,
        category: Category::Exec,
        decision,
        by: "user".into(),
        reason: "You refused it.".into(),
        step: None,
        receivers: Vec::new(),
        accounted: true,
    }
}

#[test]
fn results_that_are_too_large_to_be_composed_are_named() {
    let results = [result("s1", json!("x".repeat(TOGETHER + 1)), None), result("s2", json!("small"), None)];
    let question: Value = serde_json::from_str(&question("q", &results)).unwrap();
    assert!(question["results"][0]["error"].as_str().unwrap().contains("too large"));
    assert_eq!(question["results"][1]["value"], json!("small"));
}

#[test]
fn without_a_model_every_result_has_its_line() {
    let results = [result("s1", json!({"a": 1}), None), result("s2", Value::Null, Some("it is away"))];
    let text = without_model(&results, "busy");
    assert!(
        text.contains("(busy)")
            && text.contains("mail.read: {\"a\":1}")
            && text.contains("no result: it is away")
    );
}

#[test]
fn a_refusal_of_the_plan_is_told_apart_from_a_failure() {
    let mut ledger =
        Ledger { results: vec![result("s1", Value::Null, Some("You refused it."))], ..Ledger::default() };
    ledger.flows = vec![flow("drive", Verdict::Deny, json!({}))];
    assert_eq!(
        unanswered(&ledger).0,
        Ending::Failed,
        "an app that was refused something is no refusal of the plan"
    );
    ledger.flows.push(flow("plan", Verdict::Deny, json!({})));
    assert_eq!(unanswered(&ledger), (Ending::Refused, "mail.read: You refused it.".to_owned()));
}

#[test]
fn a_reason_that_holds_for_several_apps_is_said_once() {
    let failed = |app: &str, why: &str| StepResult {
        app: app.into(),
        functionality: format!("{app}.read"),
        ..result("s1", Value::Null, Some(&format!("the spoke of {app} could not be started: {why}")))
    };
    let ledger = Ledger {
        results: vec![failed("mail", "no room"), failed("drive", "no room"), failed("notes", "it is gone")],
        ..Ledger::default()
    };
    assert_eq!(
        unanswered(&ledger).1,
        "mail.read, drive.read: the spoke could not be started: no room; \
         notes.read: the spoke could not be started: it is gone"
    );
}

#[test]
fn an_outcome_always_fits_one_message() {
    let big = || json!("x".repeat(200 << 10));
    let mut outcome = Outcome {
        answer: Some("the answer".into()),
        session: SessionId::parse("s").unwrap(),
        outcome: Ending::Answered,
        plan: json!({"steps": []}),
        results: (1..9).map(|n| result(&format!("s{n}"), big(), None)).collect(),
        flows: (0..50).map(|_| flow("plan", Verdict::Allow, big())).collect(),
        choices: Vec::new(),
        unsupported: Vec::new(),
        model_calls: Default::default(),
        prompts: 0,
        elapsed_ms: 1,
        error: None,
        hint: None,
        model: None,
    };
    fit(&mut outcome);
    let event =
        Event { query: bus::id::WorkId::fresh(), what: Happening::Answered(Box::new(outcome.clone())) };
    assert!(bus::envelope::pack(&event).is_ok());
    assert_eq!(outcome.answer.as_deref(), Some("the answer"));
    assert_eq!((outcome.results.len(), outcome.flows.len()), (8, 50));
}
