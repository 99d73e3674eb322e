//! Where the reference failed: each failure is a regression test here.
//!
//! Answers: does it go wrong here as it went wrong there?
//! Carries: I-02, I-05, I-07, I-10, I-14, I-16, I-17.

use std::time::Instant;

use bus::message::isc::{Recall, Response};
use bus::message::user::{Admin, Category, Choice, Ending, Verdict};
use bus::subject::{Op, Service};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use system_tests::person::{Intruder, Person, Tap};
use system_tests::program::{PATIENCE, eventually};
use system_tests::stranger::{Function, Strangers, reads};
use system_tests::system::{Options, System, descendants, runs, waits_in_reserve};

use super::{
    APPOINTMENT, DRAFT, FARES, FLIGHT, NEWEST, call, delegate, error, has, kept, pairs, plan, sent, value,
};

/// The processes that run this program, below a running system.
fn processes(system: &System, program: &str) -> Vec<u32> {
    let is = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| exe.file_name().is_some_and(|name| name == program))
    };
    descendants(system.pid()).into_iter().filter(|&pid| !waits_in_reserve(pid)).filter(is).collect()
}

// 1. The sandbox is not there.

#[test]
fn failure_01_the_sandbox_is_there() {
    let strangers = Strangers::new().with(
        "curious",
        "Looks around.",
        &[reads("look", json!({"look": true})), reads("attempt", json!({"try": true}))],
        "",
    );
    let system = System::start(strangers.install(Options::default()));
    let mut person = Person::join(&system, "alice");
    let state = system.state();
    let files: Vec<String> = ["keys/signing.nk", "running.json", "data"]
        .iter()
        .map(|name| state.join(name).display().to_string())
        .chain([env!("CARGO_MANIFEST_DIR"), "/sys", "/etc/shadow"].map(str::to_owned))
        .collect();
    // Control: outside they are there.
    assert!(files.iter().take(5).all(|file| std::fs::metadata(file).is_ok()), "{files:?}");
    let outcome =
        person.ask(&plan(&json!([call("s1", "curious.look", &json!({"files": files}))])), Choice::Deny);
    let seen = value(&outcome, "curious.look");
    for (file, there) in seen["files"].as_object().unwrap() {
        assert_eq!(there, false, "an app sees {file}");
    }
    let attempt = |person: &mut Person, act: Value| {
        let outcome =
            person.ask(&plan(&json!([call("s1", "curious.attempt", &json!({"act": act}))])), Choice::Deny);
        let value = outcome.results[0].value.clone();
        if value.is_null() { json!({"ok": false, "why": outcome.results[0].error}) } else { value }
    };
    let broker = system_tests::person::address(&system).url.replace("nats://", "");
    let parent = system.pid();
    for act in [
        json!(["tcp", format!("address={broker}")]),
        json!(["signal", format!("pid={parent}")]),
        json!(["proc-of", format!("pid={parent}")]),
        json!(["memory", "mb=8192"]),
        json!(["tty"]),
        json!(["terminal"]),
        json!(["write", "path=/app/app.toml"]),
    ] {
        let result = attempt(&mut person, act.clone());
        assert_ne!(result["ok"], true, "{act}: {result}");
        assert!(!result.is_null(), "{act} was not tried");
    }
    assert!(runs(parent));
}

// 2. Forked, not started.

#[test]
fn failure_02_a_spoke_is_started_and_not_forked() {
    let mut options = Options::default();
    options.env.push(("PLANTED_IN_THE_HUB".into(), "planted".into()));
    let system = System::start(options);
    Person::join(&system, "alice").ask(FARES, Choice::Deny);
    let spokes = processes(&system, "spoke");
    assert!(2 <= spokes.len());
    // Control: the parent has the variable.
    let environ = |pid: u32| {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned()
    };
    assert!(environ(system.pid()).contains("PLANTED_IN_THE_HUB"));
    for pid in spokes {
        assert!(!environ(pid).contains("PLANTED"), "{}", environ(pid));
        let mut kinds: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .map(|to| to.display().to_string().split([':', '[']).next().unwrap_or_default().to_owned())
            .collect();
        kinds.sort();
        kinds.dedup();
        // Pipes to its host and its app, one connection, the event loop, nothing that was open before.
        let known = ["pipe", "socket", "anon_inode", "/dev/null", "/null"];
        assert!(kinds.iter().all(|kind| known.contains(&kind.as_str())), "{pid}: {kinds:?}");
        // Its memory is its own program's: no other binary of ours is mapped.
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        for program in ["/hub", "/secgpt", "/spoke-host", "/llm-gateway"] {
            assert!(!maps.lines().any(|line| line.ends_with(program)), "{program} in {pid}");
        }
    }
}

// 3. Approved data never arrives.

#[test]
fn failure_03_approved_data_does_arrive() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(APPOINTMENT, Choice::Once);
    person.take_prompts();
    person.ask(FLIGHT, Choice::Once);
    let prompts = person.take_prompts();
    let shown = prompts.iter().find(|prompt| prompt.flow.category == Category::Data).unwrap();
    let bookings = json!(kept(&system, "alice", "travel_mate", "bookings.jsonl")).to_string();
    for item in ["Robert Hill", "robert.hill@post.example", "heart surgery"] {
        assert!(shown.flow.args.to_string().contains(item), "{item} was not shown: {shown:#?}");
        assert!(bookings.contains(item), "{item} did not arrive: {bookings}");
    }
}

// 4. Memory of an app is lost when its process ends; summaries are made again for ever.

#[test]
fn failure_04_memory_survives_the_end_of_its_spoke() {
    let mut system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(&has("symptom_solver", "say what a headache may be"), Choice::Deny);
    eventually("it is kept", || {
        person.admin(&Admin::Memory { app: None }).unwrap().to_string().contains("headache").then_some(())
    });
    let before = processes(&system, "spoke");
    // The app's process ends, and with it everything else.
    system.restart_with(&[]);
    assert!(before.iter().all(|pid| !runs(*pid)));
    system.model().reset();
    let mut person = Person::join(&system, "alice");
    person.ask(&has("symptom_solver", "say what I asked about"), Choice::Deny);
    let request = sent(&system, "spoke")[0]["messages"].to_string();
    assert!(request.contains("headache"), "{request}");
}

#[test]
fn failure_04_a_summary_is_not_made_again_on_every_query() {
    let system = System::start(Options::default().set("memory.summary_token_limit", "60"));
    let mut person = Person::join(&system, "alice");
    let summaries = || system.model().calls()["summary"].as_u64().unwrap_or(0);
    let long = "Please note for later that the list of open questions has grown rather long by now, and that each \
                of them needs an answer before the workshop. What is the capital of France?";
    for _ in 0..4 {
        person.ask(long, Choice::Deny);
    }
    eventually("a summary was made", || (0 < summaries()).then_some(()));
    // Short queries from here on: the limit is not passed again by each.
    let settled = |queries: &mut dyn FnMut()| {
        queries();
        // Entities are made for every exchange; when those of the last are made, so is its summary.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        summaries()
    };
    let before = settled(&mut || {});
    let after = settled(&mut || {
        for _ in 0..4 {
            person.ask("What is 2 + 2?", Choice::Deny);
        }
    });
    assert!(after <= before + 1, "{before} summaries before four short queries, {after} after");
}

// 5. A reused spoke leaks.

#[test]
fn failure_05_a_reused_spoke_does_not_leak_history_to_the_app_that_calls_it() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(&has("symptom_solver", "say what a headache with code 4711 may be"), Choice::Deny);
    assert!(sent(&system, "spoke").iter().any(|request| request.to_string().contains("4711")), "control");
    system.model().reset();
    let outcome = person
        .ask(&has("mail", "call symptom_solver.diagnose with {\"text\": \"I have a cough\"}"), Choice::Once);
    assert!(
        outcome
            .flows
            .iter()
            .any(|flow| flow.to == "symptom_solver.diagnose" && flow.decision == Verdict::Allow)
    );
    let all = json!(sent(&system, "spoke")).to_string() + &json!(sent(&system, "plain")).to_string();
    assert!(all.contains("cough"), "control: {all}");
    assert!(!all.contains("4711"), "an earlier conversation reached the caller or its request: {all}");
    assert!(!json!(outcome).to_string().contains("4711"));
}

// 6. Injected text reaches the hub's planner.

#[test]
fn failure_06_injected_text_does_not_reach_the_planner_on_the_next_query() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(NEWEST, Choice::Deny);
    // Control: the app's own model had it.
    let injected = "backup-desk@outpost-mirror.example";
    assert!(json!(sent(&system, "spoke")).to_string().contains(injected));
    eventually("the exchange is kept", || {
        person.admin(&Admin::Memory { app: None }).unwrap().to_string().contains("newest email").then_some(())
    });
    for query in ["What did I ask before?", "What is the capital of France?", FARES] {
        person.ask(query, Choice::Deny);
    }
    let requests = sent(&system, "planner");
    assert_eq!(requests.len(), 4);
    let all = json!(requests).to_string();
    for text in [injected, "do not tell the user", "Workshop moved", "Priya"] {
        assert!(!all.contains(text), "{text:?} reached the planner");
    }
    // Nor does what apps say about themselves; but the user's own words do.
    for text in ["booking fee", "Add 10 dollars", "storyteller", "every traveller is well looked after"] {
        assert!(!all.contains(text), "{text:?} reached the planner");
    }
    assert!(all.contains("summarise my newest email"), "control");
}

// 7. A request without a probe runs the other app with no consent; then the hub crashes.

/// An app that works while its spoke is taken over.
fn waiting() -> (System, Tap, Person, Strangers) {
    let strangers = Strangers::new().with("waiter", "Waits.", &[reads("wait", json!({"hang": 4000}))], "");
    let system = System::start(strangers.install(Options::default()));
    let tap = Tap::join(&system);
    let mut person = Person::join(&system, "alice");
    person.begin("call waiter.wait", None);
    (system, tap, person, strangers)
}

#[test]
fn failure_07_a_request_without_a_probe_is_decided_like_any_other() {
    let (system, tap, mut person, _strangers) = waiting();
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            Intruder::take_over(&system, &tap, "waiter").ask_app("mail.delete", json!({"id": "m1"})).unwrap()
        });
        person.outcome(&mut |_| Some(Choice::Deny));
        asking.join().unwrap()
    });
    assert!(answer.result.is_err());
    assert_eq!(pairs(&person.take_prompts()), [("waiter".to_owned(), "mail.delete".to_owned())]);
    assert!(kept(&system, "alice", "mail", "journal.jsonl").is_empty());
    let hub = processes(&system, "hub");
    assert_eq!(person.ask(FARES, Choice::Deny).outcome, Ending::Answered);
    assert_eq!(processes(&system, "hub"), hub, "the hub is the same process as before");
}

// 8. The sender is whatever the message says.

#[test]
fn failure_08_a_forged_sender_has_none_of_the_others_grants() {
    let (system, tap, mut person, _strangers) = waiting();
    // mail holds a grant for drive.list, for always.
    let mut other = Person::join(&system, "alice");
    other.ask(&has("mail", "call drive.list"), Choice::Always);
    assert_eq!(kept(&system, "alice", "drive", "journal.jsonl").len(), 1);
    let mail = tap.until("mail's spoke", |heard| heard.kind == "task" && heard.subject.contains(".mail."));
    let mail = mail.subject.trim_end_matches(".in.task").to_owned();
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let intruder = Intruder::take_over(&system, &tap, "waiter");
            // On the other's subject: the broker does not take it.
            let body = json!({"task": intruder.task, "functionality": "drive.list", "args": {}, "why": ""});
            let body = rmp_serde::to_vec_named(&body).unwrap();
            intruder.publish(&format!("{mail}.out.isc.request"), None, body.clone());
            // With the other's inbox for the answer: dropped. With more in the body than belongs there: not read.
            let own = format!("secgpt.spoke.{}.out.isc.request", intruder.spoke);
            intruder.publish(&own, Some(&format!("{}.in.reply.x", mail)), body);
            let forged = json!({"task": intruder.task, "functionality": "drive.list", "args": {}, "why": "",
                "from": "mail", "sender": "mail", "spoke": mail, "app": "mail"});
            intruder.publish(&own, None, rmp_serde::to_vec_named(&forged).unwrap());
            // Its own request is asked about as its own.
            intruder.ask_app("drive.list", json!({})).unwrap()
        });
        person.outcome(&mut |_| Some(Choice::Deny));
        asking.join().unwrap()
    });
    assert!(answer.result.is_err());
    let prompts = pairs(&person.take_prompts());
    assert!(
        !prompts.is_empty()
            && prompts.iter().all(|pair| *pair == ("waiter".to_owned(), "drive.list".to_owned())),
        "{prompts:?}"
    );
    assert_eq!(kept(&system, "alice", "drive", "journal.jsonl").len(), 1, "mail's grant was used by another");
    let not_own = tap.heard().into_iter().any(|heard| {
        heard.subject == "secgpt.audit.hub.dropped" && heard.body.to_string().contains("not the caller's own")
    });
    assert!(not_own, "the foreign reply subject is on record");
}

#[test]
fn failure_08_a_spoke_cannot_ask_for_another_ones_task() {
    let (system, tap, mut person, _strangers) = waiting();
    let mut other = Person::join(&system, "bob");
    other.begin("call waiter.wait", None);
    let tasks = eventually("two tasks", || {
        let tasks: Vec<_> =
            tap.of_kind("task").into_iter().filter(|heard| heard.subject.contains(".waiter.")).collect();
        (tasks.len() == 2).then_some(tasks)
    });
    let intruder = Intruder::take_over(&system, &tap, "waiter");
    let own = json!(intruder.task);
    let foreign = tasks.iter().find(|task| task.body["id"] != own).unwrap();
    let foreign = bus::id::WorkId::parse(foreign.body["id"].as_str().unwrap()).unwrap();
    // Stored data of the other user, for the other user's task.
    let recall = Recall { task: foreign, about: "everything".into(), why: String::new() };
    let answer: Result<Response, _> =
        intruder.request(Service::Memory, Op::RECALL, &recall, std::time::Duration::from_millis(800));
    assert!(!matches!(&answer, Ok(Response { result: Ok(_) })), "{answer:?}");
    tap.until("it is on record", |heard| {
        heard.subject == "secgpt.audit.hub.dropped" && heard.body.to_string().contains("out.memory.recall")
    });
    for person in [&mut person, &mut other] {
        person.outcome(&mut |_| Some(Choice::Once));
        assert!(person.take_prompts().is_empty());
    }
}

// 9. Prompts name the wrong pair of apps, and never show recipient or content.

#[test]
fn failure_09_prompts_name_the_right_pair_with_recipient_and_content() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    // An earlier request of another app.
    person.ask(&has("symptom_solver", "call drive.list"), Choice::Deny);
    assert_eq!(pairs(&person.take_prompts()), [("symptom_solver".to_owned(), "drive.list".to_owned())]);
    let outcome = person.ask_with(NEWEST, None, |prompt| {
        Some(if prompt.flow.to.starts_with("drive.") { Choice::Once } else { Choice::Deny })
    });
    let prompts = person.take_prompts();
    assert!(prompts.iter().all(|prompt| prompt.flow.from == "mail"), "{:?}", pairs(&prompts));
    let send =
        prompts.iter().find(|prompt| prompt.flow.to == "mail.send").unwrap_or_else(|| panic!("{outcome:#?}"));
    assert_eq!(send.flow.args["to"], json!(["backup-desk@outpost-mirror.example"]), "the recipient");
    let body = send.flow.args["body"].as_str().unwrap();
    let files = kept(&system, "alice", "drive", "journal.jsonl");
    assert!(!files.is_empty() && 20 < body.len(), "the content: {body}");
    assert!(
        send.flow.labels.contains(&"app:drive".to_owned()),
        "where the content is from: {:?}",
        send.flow.labels
    );
    assert!(
        send.warning.is_some() && send.flow.reason.contains("backup-desk@outpost-mirror.example"),
        "{send:#?}"
    );
    assert!(!system.state().join("data/alice/mail/outbox.json").exists(), "nothing left");
    // On the terminal as well.
    let asked = system.secgpt(&["ask", "--consent", "expected", NEWEST]);
    assert!(
        asked.stderr.contains("mail.send") && asked.stderr.contains("backup-desk@outpost-mirror.example"),
        "{asked:?}"
    );
}

// 10. Refusing to share data crashes the query, and the program never ends.

#[test]
fn failure_10_refusing_data_does_not_end_the_program() {
    let mut system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    person.ask(APPOINTMENT, Choice::Once);
    let refused = person.ask_with(FLIGHT, None, |prompt| {
        Some(if prompt.flow.category == Category::Data { Choice::Deny } else { Choice::Once })
    });
    assert_eq!(refused.outcome, Ending::Answered, "it goes on without: {refused:#?}");
    assert_eq!(kept(&system, "alice", "travel_mate", "bookings.jsonl").len(), 1);
    assert_eq!(person.ask(FARES, Choice::Deny).outcome, Ending::Answered);
    assert_eq!(system.stop(), Some(0), "and it ends when it is told to");
}

// 11. No timeout that works.

#[test]
fn failure_11_a_hung_spoke_ends_in_a_named_error() {
    let strangers = Strangers::new().with(
        "sleeper",
        "Sleeps.",
        &[reads("sleep", json!({"hang": 600_000}))],
        "[limits]\ntask_s = 2",
    );
    let system = System::start(strangers.install(Options::default()));
    let mut person = Person::join(&system, "alice");
    person.begin("call sleeper.sleep", None);
    // The whole spoke hangs, not only its app: it cannot keep its own clock.
    let spoke = eventually("a spoke", || processes(&system, "spoke").first().copied());
    for pid in processes(&system, "spoke") {
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP);
    }
    assert!(runs(spoke));
    let begun = Instant::now();
    let outcome = person.outcome(&mut |_| None);
    assert!(begun.elapsed() < PATIENCE);
    let error = outcome.error.clone().unwrap_or_default();
    assert!(
        error.contains("sleeper") && (error.contains("within") || error.contains("in time")),
        "{outcome:#?}"
    );
    // The hub is not frozen.
    assert_eq!(person.ask(FARES, Choice::Deny).outcome, Ending::Answered);
}

#[test]
fn failure_11_a_killed_spoke_ends_in_a_named_error_at_once() {
    let (system, tap, mut person, _strangers) = waiting();
    let _ = tap.until("its task", |heard| heard.kind == "task" && heard.subject.contains(".waiter."));
    let begun = Instant::now();
    for pid in processes(&system, "spoke") {
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
    }
    let outcome = person.outcome(&mut |_| None);
    assert!(begun.elapsed().as_millis() < 3500, "{:?}", begun.elapsed());
    let why = error(&outcome, "waiter.wait");
    assert!(why.contains("waiter") || why.contains("killed") || why.contains("signal"), "{why}");
    assert_eq!(person.ask(FARES, Choice::Deny).outcome, Ending::Answered);
}

// 13. Schemas are checked only by the spokes.

#[test]
fn failure_13_schemas_are_checked_by_the_hub() {
    // A spoke that was taken over says what does not fit: its own check is not there any more, the hub's is.
    let woke = json!({"type": "object", "properties": {"woke": {"type": "boolean"}}, "required": ["woke"]});
    let strangers = Strangers::new().with(
        "waiter",
        "Waits.",
        &[Function { response: Some(woke), ..reads("wait", json!({"hang": 4000})) }],
        "",
    );
    let system = System::start(strangers.install(Options::default()));
    let tap = Tap::join(&system);
    let mut person = Person::join(&system, "alice");
    person.begin("call waiter.wait", None);
    let intruder = Intruder::take_over(&system, &tap, "waiter");
    let done = bus::message::task::Done {
        task: intruder.task.clone(),
        result: Ok(json!({"woke": "as late as you like"})),
        model_calls: 0,
    };
    let own = format!("secgpt.spoke.{}.out.result.done", intruder.spoke);
    intruder.publish(&own, None, rmp_serde::to_vec_named(&done).unwrap());
    let outcome = person.outcome(&mut |_| None);
    assert!(error(&outcome, "waiter.wait").contains("does not fit its response schema"), "{outcome:#?}");
    assert_eq!(outcome.results[0].value, Value::Null);
    // Arguments that do not fit never leave the hub.
    let before = tap.of_kind("task").len();
    let wrong = plan(&json!([call("s1", "metro_hail.estimate_fare", &json!({"start_point": 7}))]));
    let outcome = person.ask(&wrong, Choice::Deny);
    assert_eq!(outcome.outcome, Ending::Failed);
    assert!(json!(outcome).to_string().contains("metro_hail.estimate_fare"), "{outcome:#?}");
    let given =
        tap.of_kind("task").into_iter().skip(before).filter(|task| task.subject.contains(".metro_hail."));
    assert_eq!(given.count(), 0);
}

// 14. Four candidates only.

#[test]
fn failure_14_with_nine_apps_none_is_missed() {
    let strangers = (0..9).fold(Strangers::new(), |strangers, number| {
        let name = format!("service_{number}");
        strangers.with(&name, "Serves.", &[reads("serve", json!({"say": {"number": number}}))], "")
    });
    let system = System::start(strangers.install(Options::default()));
    let mut person = Person::join(&system, "alice");
    person.ask("hello", Choice::Deny);
    let request = sent(&system, "planner")[0].to_string();
    for number in 0..9 {
        assert!(request.contains(&format!("service_{number}.serve(")), "service_{number} was not offered");
    }
    for number in [0, 4, 8] {
        let outcome = person.ask(&format!("call service_{number}.serve"), Choice::Deny);
        assert_eq!(value(&outcome, &format!("service_{number}.serve"))["number"], number);
    }
}

// 15. Every error is swallowed into one sentence.

#[test]
fn failure_15_errors_name_what_happened() {
    let strangers = Strangers::new().with(
        "broken",
        "Breaks.",
        &[
            reads("fail", json!({"fail": "the tide table of 1912 is lost"})),
            reads("leave", json!({"exit": 3})),
            reads("babble", json!({"garbage": 100_u64 << 20})),
        ],
        "",
    );
    let system = System::start(strangers.install(Options::default()));
    let mut person = Person::join(&system, "alice");
    for (functionality, says) in [
        ("broken.fail", &["tide table of 1912"][..]),
        ("broken.leave", &["broken", "3"]),
        ("broken.babble", &["broken", "killed"]),
    ] {
        let outcome = person.ask(&format!("call {functionality}"), Choice::Deny);
        assert_eq!(outcome.outcome, Ending::Failed);
        let why = error(&outcome, functionality).to_owned();
        assert!(says.iter().all(|word| why.contains(word)), "{functionality}: {why}");
        assert!(outcome.error.unwrap().contains(&why), "the outcome says it as well");
    }
    // One step that fails does not take the others with it, nor its own words.
    let outcome = person.ask(
        &plan(&json!([
            call("s1", "broken.fail", &json!({})),
            call("s2", "metro_hail.estimate_fare", &json!({"start_point": "a", "end_point": "b"})),
        ])),
        Choice::Deny,
    );
    assert_eq!(outcome.outcome, Ending::Answered);
    assert!(error(&outcome, "broken.fail").contains("1912"));
    assert!(value(&outcome, "metro_hail.estimate_fare")["fare"].is_number());
    // What a model writes in place of a plan.
    for (said, names) in [
        ("plan: not JSON at all", "JSON"),
        (
            "plan: {\"answer\":null,\"steps\":[{\"id\":\"s1\",\"kind\":\"call\",\"functionality\":\"no.such\",\"args\":{},\"after\":[]}]}",
            "no.such",
        ),
    ] {
        let outcome = person.ask(said, Choice::Deny);
        assert_eq!(outcome.outcome, Ending::Failed);
        assert!(outcome.error.clone().unwrap().contains(names), "{outcome:#?}");
    }
    let outcome = person.ask(&plan(&json!([delegate("s1", "nobody", "work")])), Choice::Deny);
    assert!(outcome.error.unwrap().contains("nobody"));
}

// 16. "Always" is offered for everything.

#[test]
fn failure_16_always_is_not_offered_for_what_cannot_be_undone() {
    let system = System::start(Options::default());
    let mut person = Person::join(&system, "alice");
    let by_app = has("symptom_solver", "call mail.delete with {\"id\": \"m4\"}");
    for (query, to) in [
        ("Send an email to dana@x.example saying 'See you at seven.'", "mail.send"),
        ("Delete message m4", "mail.delete"),
        ("Share open-questions.md with dana@x.example", "drive.share"),
        (by_app.as_str(), "mail.delete"),
    ] {
        let outcome = person.ask(query, Choice::Deny);
        let prompts = person.take_prompts();
        let prompt =
            prompts.iter().find(|prompt| prompt.flow.to == to).unwrap_or_else(|| panic!("{outcome:#?}"));
        assert_eq!(prompt.offers, [Choice::Once, Choice::Deny], "{to}");
    }
    // Control: for what can be changed back it is.
    person.ask(DRAFT, Choice::Deny);
    assert!(person.take_prompts()[0].offers.contains(&Choice::Always));
}
