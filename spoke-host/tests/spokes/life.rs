//! Start, end and capacity.

use std::time::{Duration, Instant};

use bus::id::LeaseId;
use bus::message::profile::Kind;
use bus::message::task::{FailureCode, Work};
use serde_json::json;
use system_tests::program::{built, eventually};

use crate::hub::{Heard, Hub, PATIENCE, Settings, call, children, is_alive, profile};

#[tokio::test]
async fn an_empty_spoke_becomes_ready_and_its_host_vouches_for_every_layer() {
    let mut hub = Hub::start().await;
    let (_, vouched) = hub.spawn_empty().await;
    assert_eq!(vouched.missing(), Vec::<String>::new());
    assert_eq!(vouched.app_layers, None);
    // What the host reports is what the kernel says, read here once more.
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Threads:\t1"] {
        assert!(status.contains(line), "{line} in\n{status}");
    }
}

#[tokio::test]
async fn a_broker_that_is_named_by_a_host_name_leaves_no_second_thread() {
    let mut hub = Hub::with(Settings { by_name: true, ..Settings::default() }).await;
    let (_, vouched) = hub.spawn_catalogued("metro_hail").await;
    assert_eq!(vouched.missing(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(format!("/proc/{}/task", hub.pid())).unwrap().count(), 1);
}

#[tokio::test]
async fn the_host_reports_its_load_and_its_apps_each_second() {
    let mut hub = Hub::start().await;
    hub.spawn_empty().await;
    let report = hub
        .hear("a report with a spoke", |heard| match heard {
            Heard::Report(report) if report.live == 1 && !report.apps.is_empty() => Some(report.clone()),
            _ => None,
        })
        .await;
    assert_eq!((report.capacity, report.missing), (100, Vec::<String>::new()));
    let metro = report.apps.iter().find(|(app, _)| app.as_str() == "metro_hail").unwrap();
    assert_eq!(metro.1.len(), 64);
}

#[tokio::test]
async fn a_killed_spoke_is_reported_within_a_second() {
    let mut hub = Hub::start().await;
    let (spoke, _) = hub.spawn_empty().await;
    let begun = Instant::now();
    std::process::Command::new("kill").args(["-9", &hub.pid().to_string()]).status().unwrap();
    let exited = hub.exited(&spoke).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((exited.how.as_str(), exited.violation), ("killed by signal 9 (SIGKILL)", false));
}

#[tokio::test]
async fn a_spoke_is_stopped_when_the_hub_says_so() {
    let mut hub = Hub::start().await;
    let (spoke, _) = hub.spawn_catalogued("metro_hail").await;
    let processes = [vec![hub.pid()], children(hub.pid())].concat();
    assert!(2 <= processes.len(), "{processes:?}");
    hub.stop(&spoke).await;
    assert_eq!(hub.exited(&spoke).await.how, "stopped");
    assert_gone(&processes).await;
}

#[tokio::test]
async fn spokes_of_another_lease_are_reported_and_ended_and_those_of_this_one_stay() {
    let mut hub = Hub::start().await;
    let old = [hub.lease.clone(), None];
    let (orphan, _) = hub.spawn_catalogued("metro_hail").await;
    let processes = [vec![hub.pid()], children(hub.pid())].concat();
    hub.lease = None;
    let (nameless, _) = hub.spawn_empty().await;
    let lease = LeaseId::fresh();
    hub.lease = Some(lease.clone());
    let (own, _) = hub.spawn_empty().await;
    let named = |leases: &[Option<LeaseId>], wanted: &[Option<LeaseId>]| {
        leases.len() == wanted.len() && wanted.iter().all(|lease| leases.contains(lease))
    };
    let all = [&old[..], &[Some(lease.clone())]].concat();
    hub.hear("a report with all leases", |heard| match heard {
        Heard::Report(report) => named(&report.leases, &all).then_some(()),
        _ => None,
    })
    .await;
    hub.tells(lease.clone()).await;
    for spoke in [&orphan, &nameless] {
        assert_eq!(hub.exited(spoke).await.how, "stopped");
    }
    assert_gone(&processes).await;
    hub.hear("a report with one lease", |heard| match heard {
        Heard::Report(report) => named(&report.leases, &[Some(lease.clone())]).then_some(()),
        _ => None,
    })
    .await;
    // It was not asked to end, and does not.
    assert_eq!(hub.pids().len(), 1);
    hub.stop(&own).await;
    assert_eq!(hub.exited(&own).await.how, "stopped");
}

#[tokio::test]
async fn nothing_is_left_when_the_host_is_killed() {
    let mut hub = Hub::start().await;
    hub.spawn_catalogued("metro_hail").await;
    hub.spawn_empty().await;
    let mut processes = hub.pids();
    for pid in hub.pids() {
        processes.extend(children(pid));
    }
    std::process::Command::new("kill").args(["-9", &hub.core.pid().to_string()]).status().unwrap();
    assert_gone(&processes).await;
}

#[tokio::test]
async fn a_spoke_ends_with_its_connection_and_is_not_taken_for_an_intruder() {
    let mut hub = Hub::start().await;
    let (spoke, _) = hub.spawn_empty().await;
    let pid = hub.pid();
    // The broker goes; the host tries again, the spoke does not.
    hub.nats.program().signal(nix::sys::signal::Signal::SIGKILL);
    assert_gone(&[pid]).await;
    // Its host says so a moment after the process is gone.
    let log = eventually("the end is in the log", || {
        Some(hub.core.log()).filter(|log| log.contains(&format!("{spoke} how=")))
    });
    assert!(log.contains("exited with 0") && !log.contains("SIGSYS"), "{spoke}: {log}");
}

#[tokio::test]
async fn a_full_host_says_so_and_has_room_again_later() {
    let mut hub = Hub::with(Settings { capacity: 2, ..Settings::default() }).await;
    let (first, _) = hub.spawn_empty().await;
    hub.spawn_empty().await;
    let (_, result) = hub.try_spawn(profile("empty", Kind::Empty, &[]), String::new()).await;
    let failure = result.unwrap_err();
    assert!(failure.elsewhere && failure.detail.contains("full"), "{failure:?}");
    hub.stop(&first).await;
    hub.exited(&first).await;
    hub.spawn_empty().await;
}

#[tokio::test]
async fn an_app_that_is_not_the_vetted_one_is_not_started() {
    let mut hub = Hub::start().await;
    let (profile, pinned) = hub.stranger("changed", "read -r line", &[]);
    hub.stranger("changed", "read -r line; echo changed", &[]);
    let (_, result) = hub.try_spawn(profile.clone(), pinned).await;
    let failure = result.unwrap_err();
    assert!(failure.elsewhere && failure.detail.contains("not those that were vetted"), "{failure:?}");

    let mut unknown = profile;
    unknown.app = bus::id::AppId::parse("unknown").unwrap();
    let failure = hub.try_spawn(unknown, String::new()).await.1.unwrap_err();
    assert!(failure.elsewhere && failure.detail.contains("does not have the app unknown"), "{failure:?}");
}

#[tokio::test]
async fn a_spoke_that_only_says_it_is_confined_is_not_vouched_for() {
    let spoke = built("examples/rogue-spoke");
    let mut hub = Hub::with(Settings { spoke, ..Settings::default() }).await;
    let (_, result) = hub.try_spawn(profile("unconfined", Kind::Empty, &[]), String::new()).await;
    let failure = result.unwrap_err();
    assert!(failure.detail.contains("the kernel does not enforce"), "{failure:?}");
    assert!(failure.detail.contains("system call filter"), "{failure:?}");
    assert_gone(&hub.pids()).await;
}

#[tokio::test]
async fn a_spoke_that_makes_a_forbidden_call_dies_and_the_call_is_named() {
    let spoke = built("examples/rogue-spoke");
    let mut hub = Hub::with(Settings { spoke, ..Settings::default() }).await;
    // The control: the same program, confined, that makes no such call.
    let (tame, _) = hub.spawn(profile("tame", Kind::Empty, &[]), String::new()).await;
    for (act, call) in [("connects", "socket"), ("opens", "openat"), ("executes", "execve")] {
        let (spoke, result) = hub.try_spawn(profile(act, Kind::Empty, &[]), String::new()).await;
        assert!(result.is_ok(), "{act}: {result:?}");
        let exited = hub.exited(&spoke).await;
        assert!(exited.violation && exited.how.contains("SIGSYS"), "{act}: {exited:?}");
        assert!(exited.how.contains(call), "{act}: {exited:?}");
    }
    assert_eq!(hub.pids().len(), 1);
    hub.stop(&tame).await;
    assert_eq!(hub.exited(&tame).await.how, "stopped");
}

#[tokio::test]
async fn a_storm_of_requests_is_served() {
    let mut hub = Hub::start().await;
    let begun = Instant::now();
    for _ in 0..80 {
        let (_, vouched) = hub.spawn_empty().await;
        assert!(vouched.missing().is_empty());
    }
    assert_eq!(hub.pids().len(), 80);
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_task_of_an_unknown_functionality_fails_by_name() {
    let mut hub = Hub::start().await;
    let (spoke, _) = hub.spawn_empty().await;
    let failure = hub.call(&spoke, "nothing", json!({})).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Unknown);
    assert!(failure.detail.contains("nothing"), "{failure:?}");
}

#[tokio::test]
async fn more_tasks_than_a_spoke_takes_are_refused_and_all_the_others_end_once() {
    let mut hub = Hub::start().await;
    let (spoke, _) = hub.spawn_empty().await;
    let mut ids = Vec::new();
    for _ in 0..300 {
        // The model never answers, so each is cut off by its limit.
        let turns = vec![bus::message::chat::Turn::User { text: "hello".into() }];
        let work = Work::Converse { turns, schema: None, stream: false };
        ids.push(hub.give(&spoke, Duration::from_secs(2), work).await);
    }
    let (mut late, mut refused) = (0, 0);
    for id in &ids {
        match hub.done(id).await.result.unwrap_err().code {
            FailureCode::Timeout => late += 1,
            FailureCode::Lost => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((late, refused), (256, 44));
    assert_eq!(hub.left_over(|heard| matches!(heard, Heard::Done(..))), 0);
    let failure = hub.work(&spoke, call("x", json!({}))).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Unknown, "it goes on");
}

/// Waits until none of the processes is there.
pub async fn assert_gone(pids: &[u32]) {
    let begun = Instant::now();
    while pids.iter().any(|&pid| is_alive(pid)) {
        assert!(begun.elapsed() < Duration::from_secs(10), "still there: {pids:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
