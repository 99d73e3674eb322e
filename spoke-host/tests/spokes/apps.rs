//! App children: honest ones, and strangers that break every rule of the protocol.

use std::time::{Duration, Instant};

use bus::message::task::{FailureCode, Task, Work};
use bus::subject::{Leaf, Subject};
use serde_json::json;

use crate::hub::{Heard, Hub, PATIENCE, call, children};
use crate::life::assert_gone;
use crate::strangers::{answers, greets_then};

const FARE: fn() -> serde_json::Value = || json!({"start_point": "Main Street", "end_point": "Elm Avenue"});

#[tokio::test]
async fn a_real_app_answers_and_its_host_vouches_for_its_jail() {
    let mut hub = Hub::start().await;
    let (metro, vouched) = hub.spawn_catalogued("metro_hail").await;
    assert_eq!(vouched.missing(), Vec::<String>::new());
    assert!(vouched.app_layers.is_some());
    let fare = hub.call(&metro, "estimate_fare", FARE()).await.unwrap();
    assert_eq!(fare["fare"], 51.8);

    let (quick, _) = hub.spawn_catalogued("quick_ride").await;
    let (one, other) = (call("estimate_fare", FARE()), call("estimate_fare", FARE()));
    let one = hub.give(&quick, PATIENCE, one).await;
    let other = hub.give(&metro, PATIENCE, other).await;
    assert_eq!(hub.done(&one).await.result.unwrap()["fare"], 57.0);
    assert_eq!(hub.done(&other).await.result.unwrap()["fare"], 51.8);
}

#[tokio::test]
async fn arguments_that_do_not_fit_never_reach_the_app() {
    let mut hub = Hub::start().await;
    let (metro, _) = hub.spawn_catalogued("metro_hail").await;
    let failure = hub.call(&metro, "estimate_fare", json!({"start_point": 5})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Arguments, "{failure:?}");
}

#[tokio::test]
async fn an_app_keeps_its_data_for_the_next_spoke_of_the_same_user() {
    let mut hub = Hub::start().await;
    let (mail, _) = hub.spawn_catalogued("mail").await;
    hub.call(&mail, "newest", json!({})).await.unwrap();
    let folder = hub.nats.scratch().join("data/ann/mail");
    assert!(folder.join("mailbox.json").is_file() || folder.join("journal.jsonl").is_file());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&folder).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn text_that_is_json_becomes_a_value_and_other_text_stays_text() {
    let mut hub = Hub::start().await;
    let json = answers(r#"{"content":[{"type":"text","text":"{\"fare\":7}"}]}"#);
    let spoke = hub.spawn_stranger("json-text", &json).await;
    assert_eq!(hub.call(&spoke, "go", json!({})).await.unwrap(), json!({"fare": 7}));
    let text = answers(r#"{"content":[{"type":"text","text":"seven dollars"}]}"#);
    let spoke = hub.spawn_stranger("plain-text", &text).await;
    assert_eq!(hub.call(&spoke, "go", json!({})).await.unwrap(), json!("seven dollars"));
}

#[tokio::test]
async fn an_apps_own_error_comes_with_its_words() {
    let mut hub = Hub::start().await;
    let script = answers(r#"{"isError":true,"content":[{"type":"text","text":"no rides today"}]}"#);
    let spoke = hub.spawn_stranger("unhappy", &script).await;
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!((failure.code, failure.detail.as_str()), (FailureCode::App, "no rides today"));
}

#[tokio::test]
async fn a_result_that_does_not_fit_its_schema_is_not_handed_on() {
    let mut hub = Hub::start().await;
    let script = answers(r#"{"structuredContent":{"fare":"much"},"content":[]}"#);
    let (mut profile, pinned) = hub.stranger("ill-formed", &script, &["go"]);
    profile.functions[0].response =
        Some(json!({"type": "object", "properties": {"fare": {"type": "number"}}}));
    let (spoke, _) = hub.spawn(profile, pinned).await;
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Result);
    assert!(failure.detail.contains("/fare"), "{failure:?}");
}

#[tokio::test]
async fn a_result_that_is_too_large_is_not_handed_on() {
    let mut hub = Hub::start().await;
    let script = greets_then(
        r#"printf '{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"'
head -c 400000 /dev/zero | tr '\0' 'x'
say '"}]}}'
read -r more"#,
    );
    let spoke = hub.spawn_stranger("large", &script).await;
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Result, "{failure:?}");
}

#[tokio::test]
async fn a_tool_that_the_server_does_not_offer_is_refused_by_name_and_the_others_are_not() {
    let mut hub = Hub::start().await;
    let script = answers(r#"{"content":[{"type":"text","text":"1"}]}"#);
    let (profile, pinned) = hub.stranger("lacking", &script, &["go", "stay"]);
    let (spoke, _) = hub.spawn(profile, pinned).await;
    let failure = hub.call(&spoke, "stay", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Refused, "{failure:?}");
    let sentence = failure.detail;
    assert!(sentence.contains("does not offer stay"), "{sentence}");
    assert!(sentence.contains("`secgpt apps pin lacking`"), "{sentence}");
    assert_eq!(hub.call(&spoke, "go", json!({})).await.unwrap(), json!(1));
}

#[tokio::test]
async fn an_app_that_hangs_costs_its_task_and_nothing_else() {
    let mut hub = Hub::start().await;
    let spoke = hub.spawn_stranger("hanging", &greets_then("sleep 1000")).await;
    let begun = Instant::now();
    let id = hub.give(&spoke, Duration::from_secs(1), call("go", json!({}))).await;
    let failure = hub.done(&id).await.result.unwrap_err();
    assert_eq!(failure.code, FailureCode::Timeout, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let processes = [vec![hub.pid()], children(hub.pid())].concat();
    hub.stop(&spoke).await;
    hub.exited(&spoke).await;
    assert_gone(&processes).await;
}

#[tokio::test]
async fn a_task_can_be_cancelled() {
    let mut hub = Hub::start().await;
    let spoke = hub.spawn_stranger("endless", &greets_then("sleep 1000")).await;
    let id = hub.give(&spoke, PATIENCE, call("go", json!({}))).await;
    let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Cancel };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cancel = bus::message::task::Cancel { task: id.clone() };
    hub.bus.publish(&subject, &cancel, None).await.unwrap();
    assert_eq!(hub.done(&id).await.result.unwrap_err().code, FailureCode::Cancelled);
}

#[tokio::test]
async fn a_task_that_is_given_twice_is_done_once() {
    let mut hub = Hub::start().await;
    let spoke = hub.spawn_stranger("slow", &greets_then("sleep 1000")).await;
    let id = hub.give(&spoke, Duration::from_secs(1), call("go", json!({}))).await;
    let again = Task { id: id.clone(), limit_ms: 1000, work: call("go", json!({})) };
    let subject = Subject::SpokeIn { spoke: spoke.clone(), leaf: Leaf::Task };
    hub.bus.publish(&subject, &again, None).await.unwrap();
    hub.done(&id).await.result.unwrap_err();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(hub.left_over(|heard| matches!(heard, Heard::Done(..))), 0);
}

#[tokio::test]
async fn an_app_that_exits_in_the_middle_fails_its_task_with_how_and_its_last_words() {
    let mut hub = Hub::start().await;
    let script = greets_then("echo 'no luck today' >&2; sleep 0.1; exit 3");
    let spoke = hub.spawn_stranger("leaving", &script).await;
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::AppExited, "{failure:?}");
    assert!(
        failure.detail.contains("exit code 3") && failure.detail.contains("no luck today"),
        "{failure:?}"
    );
    let exited = hub.exited(&spoke).await;
    assert_eq!(exited.how, "its app ended by itself with exit code 3");
    assert!(!exited.violation);
}

#[tokio::test]
async fn an_app_that_exits_at_once_is_told_of_as_such() {
    let mut hub = Hub::start().await;
    let (profile, pinned) = hub.stranger("stillborn", "exit 7", &["go"]);
    // It may be found out before or after the spoke is ready.
    let detail = match hub.try_spawn(profile, pinned).await {
        (spoke, Ok(_)) => {
            let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
            assert_eq!(failure.code, FailureCode::AppExited, "{failure:?}");
            failure.detail
        }
        (_, Err(failure)) => failure.detail,
    };
    assert!(detail.contains("exit code 7"), "{detail}");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_an_error_of_the_start() {
    let mut hub = Hub::start().await;
    let (mut profile, pinned) = hub.stranger("absent", "", &["go"]);
    if let bus::message::profile::Kind::Stdio { command, .. } = &mut profile.kind {
        *command = vec!["no-such-program".to_owned()];
    }
    let failure = hub.try_spawn(profile, pinned).await.1.unwrap_err();
    assert!(failure.detail.contains("no-such-program"), "{failure:?}");
}

#[tokio::test]
async fn an_app_that_is_killed_is_known_at_once() {
    let mut hub = Hub::start().await;
    let spoke = hub.spawn_stranger("suicidal", &greets_then("kill -9 $$")).await;
    let begun = Instant::now();
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::AppExited, "{failure:?}");
    assert!(failure.detail.contains("SIGKILL"), "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_app_that_makes_a_forbidden_call_is_a_violation_by_name() {
    let mut hub = Hub::start().await;
    let script = greets_then("exec unshare --uts true");
    let spoke = hub.spawn_stranger("prying", &script).await;
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::AppExited, "{failure:?}");
    assert!(failure.detail.contains("unshare"), "{failure:?}");
    let exited = hub.exited(&spoke).await;
    assert!(exited.violation && exited.how.contains("unshare"), "{exited:?}");
}

#[tokio::test]
async fn endless_lines_of_garbage_end_the_app_and_are_called_nonsense() {
    let mut hub = Hub::start().await;
    let script = greets_then("while :; do echo garbage; done");
    let spoke = hub.spawn_stranger("babbling", &script).await;
    let failure = hub.call(&spoke, "go", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::AppNonsense, "{failure:?}");
    assert!(failure.detail.contains("babbling"), "{failure:?}");
    let exited = hub.exited(&spoke).await;
    assert!(exited.how.contains("not its protocol"), "{exited:?}");
}

#[tokio::test]
async fn a_hundred_megabytes_without_a_line_do_not_grow_the_spoke() {
    let mut hub = Hub::start().await;
    let script = greets_then("head -c 100000000 /dev/zero; sleep 1000");
    let spoke = hub.spawn_stranger("flooding", &script).await;
    let pid = hub.pid();
    let id = hub.give(&spoke, PATIENCE, call("go", json!({}))).await;
    let mut peak = 0;
    let failure = loop {
        peak = peak.max(peak_kib(pid).unwrap_or(0));
        let done = tokio::time::timeout(Duration::from_millis(1), hub.done(&id));
        if let Ok(done) = done.await {
            break done.result.unwrap_err();
        }
    };
    assert_eq!(failure.code, FailureCode::AppNonsense, "{failure:?}");
    assert!(failure.detail.contains("a line of more than"), "{failure:?}");
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[tokio::test]
async fn some_words_on_the_wrong_channel_are_passed_over() {
    let mut hub = Hub::start().await;
    let script = format!(
        "echo 'Welcome to my server!'; echo; {}",
        answers(r#"{"content":[{"type":"text","text":"1"}]}"#)
    );
    let spoke = hub.spawn_stranger("polite", &script).await;
    assert_eq!(hub.call(&spoke, "go", json!({})).await.unwrap(), json!(1));
}

#[tokio::test]
async fn an_app_that_forks_without_end_harms_only_itself() {
    let mut hub = Hub::start().await;
    let script = greets_then("f() { f | f & f; }; f; sleep 1000");
    let spoke = hub.spawn_stranger("forking", &script).await;
    let (metro, _) = hub.spawn_catalogued("metro_hail").await;
    let id = hub.give(&spoke, Duration::from_secs(2), call("go", json!({}))).await;
    let fare = hub.call(&metro, "estimate_fare", FARE()).await.unwrap();
    assert_eq!(fare["fare"], 51.8);
    let code = hub.done(&id).await.result.unwrap_err().code;
    assert!(matches!(code, FailureCode::Timeout | FailureCode::AppExited), "{code:?}");
    hub.stop(&spoke).await;
    hub.exited(&spoke).await;
}

#[tokio::test]
async fn what_an_app_writes_to_its_standard_error_reaches_the_log_bounded() {
    let mut hub = Hub::start().await;
    let script = greets_then("i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; sleep 1000");
    let spoke = hub.spawn_stranger("talkative", &script).await;
    let id = hub.give(&spoke, Duration::from_secs(2), call("go", json!({}))).await;
    let dropped = hub
        .hear("lines", |heard| match heard {
            Heard::Lines(said, lines) if *said == spoke && 0 < lines.dropped => Some(lines.dropped),
            _ => None,
        })
        .await;
    assert!(0 < dropped);
    hub.done(&id).await.result.unwrap_err();
    assert!(hub.left_over(|heard| matches!(heard, Heard::Lines(..))) < 20);
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let mut hub = Hub::start().await;
    let (metro, _) = hub.spawn_catalogued("metro_hail").await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(
            hub.give(
                &metro,
                PATIENCE,
                Work::Call { function: "estimate_fare".parse().unwrap(), args: FARE() },
            )
            .await,
        );
    }
    for id in ids {
        assert_eq!(hub.done(&id).await.result.unwrap()["fare"], 51.8);
    }
}

pub fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
