//! What `progress.rs` promises, each promise a test.

use bus::id::{AppId, Functionality};
use serde_json::json;

use super::*;
use crate::plan::{Record, Recorded, Sight, StepKind, Used};

fn id(text: &str) -> StepId {
    StepId::parse(text).unwrap()
}

fn step(name: &str, args: Value, after: &[&str], needs: &[&str]) -> Step {
    let set = |names: &[&str]| names.iter().map(|name| id(name)).collect::<BTreeSet<_>>();
    let kind = StepKind::Call { functionality: Functionality::parse("mail.read").unwrap(), args };
    Step { id: id(name), kind, after: set(after), needs: set(needs) }
}

struct Scene {
    progress: Progress,
    course: Course,
    log: Vec<String>,
}

/// Effects as short texts; derivations and permissions are answered by the test.
fn told(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Started(step) => format!("start {}", step.id),
            Effect::Derive { step, source, .. } => format!("derive {step} from {source}"),
            Effect::Permit(step, resolved) => format!("permit {} {}", step.id, resolved.args),
            Effect::Run(step, _) => format!("run {}", step.id),
            Effect::Finished(step, Ok(value)) => format!("done {} {value}", step.id),
            Effect::Finished(step, Err(failure)) => format!("fail {} {failure}", step.id),
        })
        .collect()
}

impl Scene {
    fn new(steps: Vec<Step>) -> Self {
        let plan = Arc::new(Plan { steps });
        let course = Course { plan: Arc::clone(&plan), used: Used::default(), record: Record::default() };
        let mut scene = Self { progress: Progress::new(plan), course, log: Vec::new() };
        let effects = scene.progress.begin(&mut scene.course);
        scene.log = told(&effects);
        scene
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        told(&self.progress.on(event, &mut self.course))
    }

    fn ran(&mut self, name: &str, result: Result<Value, &str>) -> Vec<String> {
        let result =
            result.map(|value| (value, Labels::none())).map_err(|why| Failure::new(FailureCode::App, why));
        self.on(Event::Ran { step: id(name), result })
    }

    fn permitted(&mut self, name: &str, result: Result<(), &str>) -> Vec<String> {
        let resolved = Resolved { args: json!({}), sources: Vec::new(), labels: Labels::none() };
        let result = result.map(|()| resolved).map_err(|why| Failure::new(FailureCode::Refused, why));
        self.on(Event::Permitted { step: id(name), result })
    }
}

#[test]
fn independent_steps_begin_together_and_one_failure_stops_no_other() {
    let mut scene = Scene::new(vec![step("s1", json!({}), &[], &[]), step("s2", json!({}), &[], &[])]);
    assert_eq!(scene.log, ["start s1", "start s2", "permit s1 {}", "permit s2 {}"]);
    assert_eq!(scene.permitted("s1", Err("no")), ["fail s1 no"]);
    assert_eq!(scene.permitted("s2", Ok(())), ["run s2"]);
    assert_eq!(scene.ran("s2", Ok(json!(1))), ["done s2 1"]);
}

#[test]
fn a_value_goes_from_step_to_step() {
    let from = json!({"x": {"$from": "s1", "path": "/a"}});
    let mut scene = Scene::new(vec![step("s1", json!({}), &[], &[]), step("s2", from, &[], &["s1"])]);
    scene.permitted("s1", Ok(()));
    let told = scene.ran("s1", Ok(json!({"a": 5})));
    assert_eq!(told, ["done s1 {\"a\":5}", "start s2", "permit s2 {\"x\":5}"]);
}

#[test]
fn a_value_that_is_not_there_fails_the_step_and_those_that_need_it_but_not_those_that_only_wait() {
    let mut scene = Scene::new(vec![
        step("s1", json!({}), &[], &[]),
        step("s2", json!({"x": {"$from": "s1", "path": "/none"}}), &[], &["s1"]),
        step("s3", json!({"x": {"$from": "s2", "path": ""}}), &[], &["s2"]),
        step("s4", json!({}), &["s3"], &[]),
    ]);
    scene.permitted("s1", Ok(()));
    let told = scene.ran("s1", Ok(json!({"a": 5})));
    assert_eq!(
        told,
        [
            "done s1 {\"a\":5}",
            "start s2",
            "fail s2 the result of step s1 has nothing at \"/none\"",
            "fail s3 it needs the result of step s2, which has none",
            "start s4",
            "permit s4 {}"
        ]
    );
}

#[test]
fn a_step_waits_for_all_its_derivations_and_fails_with_the_first_that_failed() {
    let derive = |instruction: &str| json!({"$derive": "s1", "instruction": instruction, "schema": {"type": "string"}});
    let args = json!({"x": derive("one"), "y": derive("two")});
    let mut scene = Scene::new(vec![step("s1", json!({}), &[], &[]), step("s2", args, &[], &["s1"])]);
    scene.permitted("s1", Ok(()));
    assert_eq!(
        scene.ran("s1", Ok(json!("v")))[1..],
        ["start s2", "derive s2 from \"v\"", "derive s2 from \"v\""]
    );
    let derived = |at: &str, result: Result<&str, &str>| Event::Derived {
        step: id("s2"),
        at: at.into(),
        result: result
            .map(|value| Derived {
                recorded: Recorded { value: json!(value), labels: Labels::none() },
                sight: Sight::Field,
            })
            .map_err(|why| Failure::new(FailureCode::Model, why)),
    };
    assert_eq!(scene.on(derived("/x", Ok("a"))), Vec::<String>::new());
    assert_eq!(scene.on(derived("/y", Ok("b"))), ["permit s2 {\"x\":\"a\",\"y\":\"b\"}"]);
    let mut again = Scene::new(vec![
        step("s1", json!({}), &[], &[]),
        step("s2", json!({"x": derive("one"), "y": derive("two")}), &[], &["s1"]),
    ]);
    again.permitted("s1", Ok(()));
    again.ran("s1", Ok(json!("v")));
    again.on(derived("/x", Err("the model is away")));
    assert_eq!(again.on(derived("/y", Ok("b"))), ["fail s2 the model is away"]);
}

#[test]
fn a_step_ends_once() {
    let mut scene = Scene::new(vec![step("s1", json!({}), &[], &[])]);
    scene.permitted("s1", Ok(()));
    scene.ran("s1", Ok(json!(1)));
    assert_eq!(scene.ran("s1", Ok(json!(2))), Vec::<String>::new());
    assert_eq!(scene.permitted("s1", Err("late")), Vec::<String>::new());
    assert_eq!(scene.course.record.result(&id("s1")).unwrap().value, json!(1));
    let app = AppId::parse("mail").unwrap();
    assert!(scene.course.record.result(&id("s1")).unwrap().labels.contains(&Label::App(app)));
}

#[test]
fn the_steps_of_a_loop_are_asked_about_together_and_run_in_their_order() {
    let derive = json!({"x": {"$derive": "s1", "instruction": "one", "schema": {"type": "string"}}});
    let other = |name: &str, after: &[&str]| {
        let mut step = step(name, json!({}), after, &[]);
        step.kind =
            StepKind::Call { functionality: Functionality::parse("mail.send").unwrap(), args: json!({}) };
        step
    };
    let mut steps = vec![step("s1", json!({}), &[], &[])];
    steps.push(Step {
        kind: StepKind::Call { functionality: Functionality::parse("mail.send").unwrap(), args: derive },
        ..step("s2", json!({}), &["s1"], &["s1"])
    });
    steps.extend([other("s3", &["s2"]), other("s4", &["s3"]), step("s5", json!({}), &["s4"], &[])]);
    let mut scene = Scene::new(steps);
    scene.permitted("s1", Ok(()));
    // The literal ones wait for the value of the first, so that the person sees all of them at once.
    assert_eq!(scene.ran("s1", Ok(json!("v")))[1..], ["start s2", "derive s2 from \"v\""]);
    let value =
        Derived { recorded: Recorded { value: json!("a"), labels: Labels::none() }, sight: Sight::Field };
    let told = scene.on(Event::Derived { step: id("s2"), at: "/x".into(), result: Ok(value) });
    assert_eq!(told, ["permit s3 {}", "permit s4 {}", "permit s2 {\"x\":\"a\"}"]);
    // Decided in any order, done in the plan's; and a refusal of one is the end of that one alone.
    assert_eq!(scene.permitted("s4", Ok(())), Vec::<String>::new());
    assert_eq!(scene.permitted("s3", Err("no")), Vec::<String>::new());
    assert_eq!(scene.permitted("s2", Ok(())), ["run s2"]);
    assert_eq!(scene.ran("s2", Ok(json!(1))), ["done s2 1", "start s3", "fail s3 no", "start s4", "run s4"]);
    assert_eq!(scene.ran("s4", Ok(json!(1)))[1..], ["start s5", "permit s5 {}"]);
}
