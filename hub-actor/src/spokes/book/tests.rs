//! What `book.rs` promises, each promise a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::message::host::{REQUIRED_LAYERS, Vouched};
use bus::message::profile::Limits;
use bus::message::task::Done;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const LIMITS: Limits = manifest::limits::DEFAULT;

fn app(name: &str) -> AppId {
    AppId::parse(name).unwrap()
}

fn host(name: &str) -> HostId {
    HostId::parse(name).unwrap()
}

fn need(name: &str) -> Need {
    let (user, session) = (UserId::parse("ann").unwrap(), SessionId::parse("s").unwrap());
    let hash = if name == "mail" { "h1" } else { "" };
    Need { user, session, query: None, app: app(name), hash: hash.into(), fresh: false }
}

fn offer(name: &str, pinned: &str, credentials: bool) -> (AppId, Offer) {
    let kind = match pinned {
        "" => Kind::Prompt,
        _ => Kind::Stdio { command: vec!["x".into()], env: BTreeMap::new() },
    };
    let profile = Profile {
        app: app(name),
        kind,
        description: String::new(),
        functions: Vec::new(),
        limits: LIMITS,
        read: Vec::new(),
        network: false,
        wishes: bus::message::profile::Wishes::default(),
    };
    (app(name), Offer { profile, hash: pinned.into(), credentials })
}

/// Of a host without spokes, whose mail has this hash.
fn report(hash: &str) -> HostReport {
    let apps = vec![(app("mail"), hash.to_owned())];
    HostReport { live: 0, capacity: 10, apps, looked_ms: 0, missing: Vec::new(), leases: Vec::new() }
}

struct Scene {
    book: Book,
    now: Instant,
}

type Answer = oneshot::Receiver<Result<SpokeAddr, Failure>>;

impl Scene {
    fn new() -> Self {
        let offers = [offer("mail", "h1", true), offer("muse", "", false)].into_iter().collect();
        Self { book: Book::new(offers), now: Instant::now() }
    }

    fn reports(&mut self, name: &str, live: u32) {
        self.reports_of(name, live, Vec::new());
    }

    fn reports_of(&mut self, name: &str, live: u32, leases: Vec<Option<LeaseId>>) {
        self.report(&host(name), HostReport { live, leases, ..report("h1") });
    }

    fn report(&mut self, host: &HostId, report: HostReport) {
        self.book.reported(host, report, self.now);
    }

    fn wants(&mut self, need: Need) -> Answer {
        let (placed, answer) = oneshot::channel();
        self.book.place(need, placed, self.now);
        answer
    }

    /// The spawn that a host is asked for.
    fn asked(&mut self) -> (HostId, Spawn) {
        self.book
            .effects()
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Spawn(host, spawn) => Some((host, *spawn)),
                _ => None,
            })
            .unwrap()
    }

    fn vouches(&mut self, host: &HostId, spawn: &WorkId, without: &str) -> Result<(), NotHandled> {
        let layers = REQUIRED_LAYERS.iter().filter(|layer| **layer != without);
        let layers = layers.map(|layer| (*layer).to_owned()).collect();
        let vouched = Vouched { layers, app_layers: None, report: Value::Null, took_us: 1 };
        self.book.spawned(host, Spawned { spawn: spawn.clone(), result: Ok(vouched) }, self.now)
    }

    /// A spoke that is there.
    fn spoke(&mut self, need: Need) -> SpokeAddr {
        let mut answer = self.wants(need);
        let (host, spawn) = self.asked();
        self.vouches(&host, &spawn.id, "").unwrap();
        self.book.ready(&spawn.spoke, self.now).unwrap();
        answer.try_recv().unwrap().unwrap()
    }

    fn task(&mut self, spoke: &SpokeAddr, id: &str) -> oneshot::Receiver<Ended> {
        let (ended, end) = oneshot::channel();
        let begin = Begin {
            spoke: spoke.clone(),
            task: WorkId::parse(id).unwrap(),
            inquiry: None,
            step: None,
            depth: 0,
            labels: Labels::none(),
            stream: false,
            ended,
        };
        self.book.begin(begin).unwrap();
        end
    }

    fn done(&mut self, spoke: &SpokeAddr, id: &str, size: usize) -> Result<(), NotHandled> {
        let done = Done { task: WorkId::parse(id).unwrap(), result: Ok(json!(1)), model_calls: 0 };
        self.book.done(spoke, done, size, self.now)
    }
}

#[test]
fn work_is_given_only_when_both_the_spoke_and_its_host_have_spoken() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let mut answer = scene.wants(need("mail"));
    let (on, spawn) = scene.asked();
    assert_eq!((&on, spawn.pinned.as_str()), (&host("a"), "h1"));
    scene.book.ready(&spawn.spoke, scene.now).unwrap();
    assert!(answer.try_recv().is_err());
    scene.vouches(&on, &spawn.id, "").unwrap();
    assert_eq!(answer.try_recv().unwrap().unwrap(), spawn.spoke);
    assert_eq!(scene.book.live(), 1);
}

#[test]
fn a_spoke_that_lacks_a_layer_is_stopped_and_another_host_is_tried() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    scene.reports("b", 0);
    let mut answer = scene.wants(need("mail"));
    let (first, spawn) = scene.asked();
    scene.book.ready(&spawn.spoke, scene.now).unwrap();
    scene.vouches(&first, &spawn.id, "root").unwrap();
    let effects = scene.book.effects();
    assert!(matches!(&effects[0], Effect::Stop(on, spoke, _) if on == &first && spoke == &spawn.spoke));
    let Effect::Spawn(second, again) = &effects[1] else { panic!("{effects:?}") };
    assert_ne!(&first, second);
    assert_ne!(spawn.spoke, again.spoke, "a name is never used again");
    scene.vouches(second, &again.id, "root").unwrap();
    let failure = answer.try_recv().unwrap().unwrap_err();
    assert!(failure.detail.contains("does not vouch for root"), "{failure}");
}

#[test]
fn a_key_is_signed_once_and_only_for_the_host_that_was_asked() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let _answer = scene.wants(need("mail"));
    let (on, spawn) = scene.asked();
    assert_eq!(scene.book.sign(&host("evil"), &spawn.id), Err(NotHandled::Host));
    assert_eq!(scene.book.sign(&on, &WorkId::fresh()), Err(NotHandled::Spoke));
    assert_eq!(scene.book.sign(&on, &spawn.id), Ok(spawn.spoke));
    assert_eq!(scene.book.sign(&on, &spawn.id), Err(NotHandled::Again));
    assert_eq!(scene.vouches(&host("evil"), &spawn.id, ""), Err(NotHandled::Host));
}

#[test]
fn a_session_shares_a_spoke_and_nobody_else_does() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    assert_eq!(scene.wants(need("mail")).try_recv().unwrap().unwrap(), spoke);
    for other in [
        Need { user: UserId::parse("bob").unwrap(), ..need("mail") },
        Need { session: SessionId::parse("t").unwrap(), ..need("mail") },
        Need { query: Some(WorkId::fresh()), ..need("mail") },
        Need { fresh: true, ..need("mail") },
    ] {
        assert_ne!(scene.spoke(other), spoke);
    }
}

#[test]
fn two_who_want_the_same_spoke_at_once_get_the_same() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let mut first = scene.wants(need("mail"));
    let mut second = scene.wants(need("mail"));
    let (on, spawn) = scene.asked();
    scene.vouches(&on, &spawn.id, "").unwrap();
    scene.book.ready(&spawn.spoke, scene.now).unwrap();
    assert_eq!(first.try_recv().unwrap(), second.try_recv().unwrap());
}

#[test]
fn a_spoke_waits_for_its_first_host_and_no_longer_than_its_time() {
    let mut scene = Scene::new();
    let mut early = scene.wants(need("muse"));
    assert!(scene.book.effects().is_empty());
    scene.reports("a", 0);
    let (_, spawn) = scene.asked();
    scene.now += SPAWN + Duration::from_secs(1);
    scene.reports("a", 0);
    scene.book.tick(scene.now);
    let failure = early.try_recv().unwrap().unwrap_err();
    assert!(failure.detail.contains("did not start it in time"), "{failure}");
    assert_eq!(scene.book.ready(&spawn.spoke, scene.now), Err(NotHandled::Spoke));
}

#[test]
fn a_task_ends_once_whoever_says_so() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let other = scene.spoke(need("muse"));
    let mut end = scene.task(&spoke, "t1");
    assert_eq!(scene.done(&other, "t1", 10), Err(NotHandled::Task));
    assert_eq!(scene.done(&spoke, "t1", 10), Ok(()));
    assert_eq!(end.try_recv().unwrap().result, Ok(json!(1)));
    assert_eq!(scene.done(&spoke, "t1", 10), Err(NotHandled::Task));
}

#[test]
fn a_spoke_that_ends_fails_its_tasks_at_once_and_says_how() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let mut ends = [scene.task(&spoke, "t1"), scene.task(&spoke, "t2")];
    let exited = |how: &str| Exited { spoke: spoke.clone(), how: how.into(), violation: true };
    scene.book.exited(&host("evil"), exited("a lie"));
    assert!(ends[0].try_recv().is_err());
    scene.book.exited(&host("a"), exited("killed by SIGSYS (system call 41, socket)"));
    for end in &mut ends {
        let failure = end.try_recv().unwrap().result.unwrap_err();
        assert_eq!(failure.code, FailureCode::AppExited);
        assert!(failure.detail.contains("system call 41"), "{failure}");
    }
    let effects = scene.book.effects();
    assert!(effects.contains(&Effect::Forget(spoke.clone())), "the egress-gateway is told");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Killed(killed, _) if killed == &spoke)));
}

#[test]
fn a_spoke_whose_app_is_gone_is_given_nothing_more() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let _ended = scene.task(&spoke, "t1");
    let task = WorkId::parse("t1").unwrap();
    let result = Err(Failure::new(FailureCode::AppExited, "mail was killed"));
    scene.book.done(&spoke, Done { task, result, model_calls: 0 }, 10, scene.now).unwrap();
    assert_ne!(scene.spoke(need("mail")), spoke);
}

#[test]
fn an_app_that_is_pinned_anew_does_nothing_more_for_queries_from_before() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let (mail, muse) = (scene.spoke(need("mail")), scene.spoke(need("muse")));
    let (mut end, mut other) = (scene.task(&mail, "t1"), scene.task(&muse, "t2"));
    let mut starting = scene.wants(Need { fresh: true, ..need("mail") });
    let (_, spawn) = scene.asked();
    scene.book.offer([offer("mail", "h2", true), offer("muse", "", false)].into_iter().collect(), scene.now);
    let stopped: Vec<SpokeAddr> = scene
        .book
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Stop(_, spoke, why) if why == CHANGED => Some(spoke),
            _ => None,
        })
        .collect();
    assert_eq!(stopped, [mail, spawn.spoke]);
    assert!(end.try_recv().unwrap().result.unwrap_err().detail.ends_with(CHANGED));
    assert!(starting.try_recv().unwrap().unwrap_err().detail.ends_with(CHANGED));
    let again = scene.wants(need("mail")).try_recv().unwrap().unwrap_err();
    assert!(again.detail.ends_with(CHANGED), "{again}");
    // Control: the other app's works on.
    assert!(other.try_recv().is_err());
    assert_eq!(scene.wants(need("muse")).try_recv().unwrap().unwrap(), muse);
    // For a query that came since, it is started.
    scene.report(&host("a"), HostReport { live: 1, ..report("h2") });
    let _answer = scene.wants(Need { hash: "h2".into(), ..need("mail") });
    assert_eq!(scene.asked().1.pinned, "h2");
}

#[test]
fn a_host_that_has_not_looked_since_an_app_was_added_is_asked_and_looks_itself() {
    let late = Duration::from_secs(10);
    for (after, looked_ms, asked) in [(Duration::ZERO, 0, true), (late, 9500, true), (late, 0, false)] {
        let mut scene = Scene::new();
        scene.reports("a", 0);
        scene.book.offer([offer("mail", "h2", true)].into_iter().collect(), scene.now);
        scene.now += after;
        scene.report(&host("a"), HostReport { looked_ms, ..report("h1") });
        let mut answer = scene.wants(Need { hash: "h2".into(), ..need("mail") });
        match asked {
            true => assert_eq!(scene.asked().1.pinned, "h2"),
            false => {
                let failure = answer.try_recv().unwrap().unwrap_err();
                assert!(failure.detail.contains("differ from the ones that are pinned"), "{failure}");
            }
        }
    }
}

#[test]
fn a_silent_host_and_a_restarted_one_lose_their_spokes() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    scene.reports("a", 1);
    let mut end = scene.task(&spoke, "t1");
    scene.reports("a", 0);
    assert!(end.try_recv().is_err(), "once may be a slip");
    scene.reports("a", 0);
    assert!(end.try_recv().unwrap().result.unwrap_err().detail.contains("restarted"));
    let spoke = scene.spoke(need("mail"));
    let mut end = scene.task(&spoke, "t2");
    scene.now += SILENCE + Duration::from_secs(1);
    scene.book.tick(scene.now);
    assert!(end.try_recv().unwrap().result.unwrap_err().detail.contains("has not been heard of"));
    assert!(scene.book.overview().is_empty());
}

/// The leases that hosts are told count.
fn told(effects: Vec<Effect>) -> Vec<(HostId, LeaseId)> {
    let lease = |effect| match effect {
        Effect::Lease(host, lease) => Some((host, lease)),
        _ => None,
    };
    effects.into_iter().filter_map(lease).collect()
}

#[test]
fn a_host_is_told_to_end_the_spokes_of_another_hub_and_no_other_host_is() {
    let mut scene = Scene::new();
    scene.reports("b", 0);
    for lease in [Some(LeaseId::fresh()), None] {
        scene.reports_of("a", 1, vec![lease.clone()]);
        let told = told(scene.book.effects());
        assert!(
            matches!(&told[..], [(on, ours)] if on == &host("a") && Some(ours) != lease.as_ref()),
            "{told:?}"
        );
    }
    // What is asked for now has the lease that counts: it stays, however often it is reported.
    let mut answer = scene.wants(need("muse"));
    let (on, spawn) = scene.asked();
    scene.reports_of(on.as_str(), 1, vec![spawn.lease.clone()]);
    scene.vouches(&on, &spawn.id, "").unwrap();
    scene.book.ready(&spawn.spoke, scene.now).unwrap();
    assert!(answer.try_recv().unwrap().is_ok());
    scene.reports_of(on.as_str(), 1, vec![spawn.lease.clone()]);
    assert_eq!(told(scene.book.effects()), []);
    // Where that one is reported by another host, it is none that was given there.
    let other = if on == host("a") { "b" } else { "a" };
    scene.reports_of(other, 1, vec![spawn.lease]);
    assert!(matches!(&told(scene.book.effects())[..], [(on, _)] if on == &host(other)));
}

#[test]
fn what_was_given_up_with_its_host_is_ended_when_the_host_is_back() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let _answer = scene.wants(need("mail"));
    let (_, spawn) = scene.asked();
    scene.now += SILENCE + Duration::from_secs(1);
    scene.book.tick(scene.now);
    scene.reports_of("a", 1, vec![spawn.lease.clone()]);
    let told = told(scene.book.effects());
    assert!(matches!(&told[..], [(_, ours)] if Some(ours) != spawn.lease.as_ref()), "{told:?}");
}

#[test]
fn credentials_are_taken_back_from_a_spoke_of_an_earlier_hub_and_from_no_others_by_a_host_that_lies() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let exited = |spoke: &SpokeAddr| Exited { spoke: spoke.clone(), how: "x".into(), violation: false };
    let forgotten =
        |scene: &mut Scene, spoke: &SpokeAddr| scene.book.effects().contains(&Effect::Forget(spoke.clone()));
    let orphan = SpokeAddr { app: app("mail"), id: SpokeId::fresh() };
    scene.book.exited(&host("a"), exited(&orphan));
    assert!(forgotten(&mut scene, &orphan));
    let _answer = scene.wants(need("mail"));
    let (on, spawn) = scene.asked();
    scene.book.exited(&host("evil"), exited(&spawn.spoke));
    assert!(!forgotten(&mut scene, &spawn.spoke), "it is being started elsewhere");
    scene.vouches(&on, &spawn.id, "").unwrap();
    scene.book.ready(&spawn.spoke, scene.now).unwrap();
    scene.book.exited(&host("evil"), exited(&spawn.spoke));
    assert!(!forgotten(&mut scene, &spawn.spoke), "it lives elsewhere");
}

#[test]
fn a_spoke_that_floods_is_stopped_and_its_tasks_fail() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let mut end = scene.task(&spoke, "t1");
    let at_once = SPOKE_RATE.1;
    for _ in 0..at_once {
        assert_eq!(scene.done(&spoke, "x", 10), Err(NotHandled::Task));
    }
    assert_eq!(scene.done(&spoke, "x", 10), Err(NotHandled::Flood));
    assert_eq!(end.try_recv().unwrap().result.unwrap_err().code, FailureCode::AppNonsense);
    assert!(scene.book.effects().iter().any(|effect| matches!(effect, Effect::Stop(..))));
    assert_eq!(scene.done(&spoke, "x", 10), Err(NotHandled::Spoke));
}

#[test]
fn a_spoke_without_work_goes_and_one_with_work_stays() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let (idle, busy) = (scene.spoke(need("mail")), scene.spoke(need("muse")));
    let _end = scene.task(&busy, "t1");
    scene.now += IDLE + Duration::from_secs(1);
    scene.reports("a", 2);
    scene.book.tick(scene.now);
    let stopped: Vec<_> = scene
        .book
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Stop(_, spoke, _) => Some(spoke),
            _ => None,
        })
        .collect();
    assert_eq!(stopped, [idle]);
}

#[test]
fn a_task_that_nobody_waits_for_is_cancelled_and_an_overdue_one_costs_the_spoke() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let _end = scene.task(&spoke, "t1");
    scene.book.effects();
    scene.book.abandon(&WorkId::parse("t1").unwrap(), scene.now);
    assert_eq!(scene.book.effects(), [Effect::Cancel(spoke.clone(), WorkId::parse("t1").unwrap())]);
    assert_eq!(scene.done(&spoke, "t1", 10), Err(NotHandled::Task));
    let _end = scene.task(&spoke, "t2");
    let mut other = scene.task(&spoke, "t3");
    scene.book.overdue(&WorkId::parse("t2").unwrap());
    assert!(other.try_recv().unwrap().result.is_err());
    assert_eq!(scene.book.live(), 0);
}

#[test]
fn a_lost_bus_fails_what_runs_and_what_is_wanted_is_tried_again() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let mut end = scene.task(&spoke, "t1");
    let mut wanted = scene.wants(need("muse"));
    scene.book.effects();
    scene.book.bus_lost();
    assert_eq!(end.try_recv().unwrap().result.unwrap_err().code, FailureCode::Lost);
    assert!(wanted.try_recv().is_err());
    scene.book.effects();
    scene.reports("a", 0);
    let (_, spawn) = scene.asked();
    assert_eq!(spawn.spoke.app, app("muse"));
}

#[test]
fn a_task_of_the_hubs_own_may_not_ask() {
    let mut scene = Scene::new();
    scene.reports("a", 0);
    let spoke = scene.spoke(need("mail"));
    let _end = scene.task(&spoke, "t1");
    let caller = scene.book.caller(&spoke, &WorkId::parse("t1").unwrap(), scene.now);
    assert!(matches!(caller, Err(Unheard::NotAllowed)));
}

proptest! {
    /// Whatever hosts and spokes say, in whatever order: no task ends twice, the books stay balanced, and no host is told to
    /// end a spoke that is still held.
    #[test]
    fn no_message_in_no_order_upsets_the_book(acts in proptest::collection::vec((0..9u8, 0..4usize), 0..60)) {
        let mut scene = Scene::new();
        scene.reports("a", 0);
        let (mut spawns, mut spokes, mut ends) = (Vec::new(), Vec::<SpokeAddr>::new(), Vec::new());
        for (act, which) in acts {
            let spoke = spokes.get(which).cloned();
            match act {
                0 => {
                    let fresh = which % 2 == 0;
                    drop(scene.wants(Need { fresh, ..need("mail") }));
                }
                1 => if let Some((on, spawn)) = spawns.get(which) {
                    let spawn: &Spawn = spawn;
                    let _ = scene.vouches(on, &spawn.id, if which == 3 { "seccomp" } else { "" });
                },
                2 => if let Some(spoke) = spoke { let _ = scene.book.ready(&spoke, scene.now); },
                3 => if let Some(spoke) = spoke {
                    let exited = Exited { spoke, how: "x".into(), violation: which == 1 };
                    scene.book.exited(&host("a"), exited);
                },
                4 => if let Some(spoke) = spoke {
                    let (ended, end) = oneshot::channel();
                    let begin = Begin {
                        spoke, task: WorkId::fresh(), inquiry: None, step: None, depth: 0,
                        labels: Labels::none(), stream: false, ended,
                    };
                    let task = begin.task.clone();
                    if scene.book.begin(begin).is_ok() { ends.push((task, end)); }
                },
                5 => if let (Some(spoke), Some((task, _))) = (spoke, ends.get(which)) {
                    let done = Done { task: task.clone(), result: Ok(Value::Null), model_calls: 0 };
                    let _ = scene.book.done(&spoke, done, 1, scene.now);
                },
                6 => { scene.now += Duration::from_secs(2); scene.book.tick(scene.now); }
                7 => {
                    let leases = spawns.iter().map(|(_, spawn)| spawn.lease.clone()).collect();
                    scene.reports_of("a", u32::try_from(which).unwrap(), leases);
                }
                _ => scene.book.bus_lost(),
            }
            let mut leases = Vec::new();
            for effect in scene.book.effects() {
                match effect {
                    Effect::Spawn(on, spawn) => {
                        spokes.push(spawn.spoke.clone());
                        spawns.push((on, *spawn));
                    }
                    Effect::Lease(on, lease) => leases.push((on, lease)),
                    _ => {}
                }
            }
            let live = scene.book.live.iter().map(|(spoke, live)| (spoke, &live.host));
            let begun = scene.book.attempts.values().map(|attempt| (&attempt.spoke, &attempt.host));
            for (spoke, on) in live.chain(begun) {
                let asked = spawns.iter().find(|(_, spawn)| &spawn.spoke == spoke).unwrap();
                prop_assert_eq!(Some(&scene.book.hosts[on].lease), asked.1.lease.as_ref());
                for (_, told) in leases.iter().filter(|(told, _)| told == on) {
                    prop_assert_eq!(Some(told), asked.1.lease.as_ref(), "{} is held", spoke);
                }
            }
            for (_, held, _, _) in scene.book.overview() {
                prop_assert!(usize::try_from(held).unwrap() >= scene.book.live());
            }
        }
        scene.book.stop_all();
        prop_assert_eq!(scene.book.live(), 0);
        for (_, mut end) in ends {
            prop_assert!(!matches!(end.try_recv(), Err(oneshot::error::TryRecvError::Empty)), "a task without an end");
        }
    }
}

#[test]
fn the_number_of_open_requests_is_bounded() {
    let open = Arc::new(Semaphore::new(OPEN_REQUESTS));
    let held: Vec<_> = (0..OPEN_REQUESTS).map(|_| Arc::clone(&open).try_acquire_owned().unwrap()).collect();
    assert!(open.try_acquire().is_err());
    drop(held);
    assert!(open.try_acquire().is_ok());
}
