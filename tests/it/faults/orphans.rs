//! Spokes whose hub was killed are ended by the next one, whatever they do, and nobody else's are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::person::Tap;
use system_tests::program::eventually;
use system_tests::stranger::{Strangers, reads};
use system_tests::system::{Options, System, descendants, runs};

use super::floods::{Flood, KINDS, at_work};
use super::{ask, call, ended, part, planned, send, works, works_again};

/// How long an orphan may live once there is a hub again: its host reports each second.
const SECONDS: Duration = Duration::from_secs(5);

/// More than two reports of a host.
const REPORTS: Duration = Duration::from_millis(2500);

/// Has an app work on what never ends, kills the hub, and sees the spoke and its app end. Says how long that took.
fn orphaned(system: &System, floods: bool) -> Duration {
    let (app, ..) = KINDS[2];
    let host = part(system, "spoke-host").expect("a host");
    std::thread::scope(|scope| {
        let tap = Tap::join(system);
        let asking = scope.spawn(|| ask(system, &planned(&[call("a", &format!("{app}.hang"))])).0);
        let (spoke, task, pid) = at_work(&tap, app);
        // A tap hears everything, and would be flooded itself.
        drop(tap);
        let mut processes = descendants(pid);
        processes.push(pid);
        assert!(2 <= processes.len(), "the spoke and its app: {processes:?}");
        let mut flood = Flood::new(system, &spoke, &task, &KINDS[2]);

        // Control: a living hub has it work on, also when its host was not heard of for a moment.
        send(host, Signal::SIGSTOP);
        std::thread::sleep(REPORTS);
        send(host, Signal::SIGCONT);
        std::thread::sleep(REPORTS);
        assert!(processes.iter().all(|&pid| runs(pid)), "{spoke} was ended under a living hub");

        let hub = part(system, "hub").expect("a hub");
        send(hub, Signal::SIGKILL);
        let flooding = floods.then(|| {
            scope.spawn(move || {
                let (sent, began) = (AtomicU64::new(0), Instant::now());
                flood.send(&sent, || runs(pid) && began.elapsed() < SECONDS * 4);
                sent.load(Ordering::Relaxed)
            })
        });
        eventually("the next hub is there", || part(system, "hub").filter(|again| *again != hub));
        let began = Instant::now();
        eventually("the orphan has ended", || (!processes.iter().any(|&pid| runs(pid))).then_some(()));
        let took = began.elapsed();
        if let Some(flooding) = flooding {
            let sent = flooding.join().unwrap();
            assert!(10_000 < sent, "{sent} messages are no flood");
        }
        ended(&asking.join().unwrap());
        assert_eq!(part(system, "spoke-host"), Some(host), "it did not end with its host");
        took
    })
}

#[test]
fn spokes_of_a_killed_hub_are_ended_by_the_next_one_even_while_they_flood_it() {
    let hang = [reads("hang", json!({"hang": 120_000}))];
    let strangers = Strangers::new().with(KINDS[2].0, "", &hang, "");
    let system = System::start(strangers.install(Options::default()));
    works(&system);
    // The second hub is the one whose own spokes are looked at in the second turn.
    for floods in [false, true] {
        let took = orphaned(&system, floods);
        eprintln!("floods: {floods}; ended {took:?} after the next hub was there");
        assert!(took < SECONDS, "{took:?}");
        works_again(&system);
    }
}
