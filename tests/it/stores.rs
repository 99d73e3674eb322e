//! What the hub keeps: conversations in a real store, grants in a real broker.
//! Carries: I-01, I-05, I-14.

use std::time::Duration;

use bus::acl::{GRANTS_BUCKET, Role};
use bus::id::{AppId, SessionId, StepId, UserId, WorkId};
use bus::message::user::{Choice, Effect};
use bus::secret::Secret;
use hub_actor::grants_store::GrantsStore;
use hub_actor::memory::key::Owner;
use hub_actor::memory::store::{Store, StoreErrorKind};
use hub_actor::memory::text::{Said, Summary, Who};
use hub_actor::permission::grant::{Grant, GrantId};
use hub_actor::permission::label::{Label, Labels};
use hub_actor::permission::question::{Origin, Question, Target};
use hub_actor::plan::Conformance;
use serde_json::{Value, json};
use system_tests::nats::Nats;
use system_tests::redis::Redis;

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

fn app(name: &str) -> AppId {
    AppId::parse(name).unwrap()
}

fn said(who: Who, text: &str) -> Said {
    Said { who, text: text.to_owned() }
}

fn store(redis: &Redis, ttl: Duration) -> Store {
    Store::open(&Secret::new(redis.url()), ttl).unwrap()
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_conversation_is_found_again_by_another_process() {
    let redis = Redis::start();
    let turns = [said(Who::User, "fares?"), said(Who::Apps, "51.8")];
    store(&redis, LONG).append(&ann(), &Owner::Hub, &turns).await.unwrap();
    let again = store(&redis, LONG);
    again
        .summarised(&ann(), &Owner::Hub, &Summary { text: "Asked for fares.".into(), covers: 1 })
        .await
        .unwrap();
    again.learned(&ann(), &Owner::Hub, &[("city".to_owned(), "Irvine".to_owned())].into(), 2).await.unwrap();
    let found = again.conversation(&ann(), &Owner::Hub).await.unwrap();
    assert_eq!((found.turns.as_slice(), found.forgotten), (turns.as_slice(), 0));
    assert_eq!((found.summary.text.as_str(), found.summary.covers), ("Asked for fares.", 1));
    assert_eq!((found.entities["city"].as_str(), found.learned), ("Irvine", 2));
    // A summary that was made of less does not replace one that was made of more.
    again.summarised(&ann(), &Owner::Hub, &Summary { text: "older".into(), covers: 1 }).await.unwrap();
    assert_eq!(again.conversation(&ann(), &Owner::Hub).await.unwrap().summary.text, "Asked for fares.");
}

/// The memory of an app was lost in the reference when its process ended.
#[tokio::test]
async fn each_app_has_a_memory_of_its_own_that_no_other_reads() {
    let redis = Redis::start();
    let store = store(&redis, LONG);
    for name in ["mail", "drive", "hub"] {
        store.append(&ann(), &Owner::App(app(name)), &[said(Who::User, name)]).await.unwrap();
    }
    for name in ["mail", "drive", "hub"] {
        let found = store.conversation(&ann(), &Owner::App(app(name))).await.unwrap();
        assert_eq!(found.turns, [said(Who::User, name)]);
    }
    assert!(store.conversation(&ann(), &Owner::Hub).await.unwrap().turns.is_empty());
    let bob = UserId::parse("bob").unwrap();
    assert!(store.conversation(&bob, &Owner::App(app("mail"))).await.unwrap().turns.is_empty());
}

#[tokio::test]
async fn old_turns_go_and_are_counted() {
    let redis = Redis::start();
    let store = store(&redis, LONG);
    for n in 0..21 {
        let turns: Vec<Said> = (0..10).map(|m| said(Who::User, &format!("{n}.{m}"))).collect();
        store.append(&ann(), &Owner::Hub, &turns).await.unwrap();
    }
    let found = store.conversation(&ann(), &Owner::Hub).await.unwrap();
    assert_eq!((found.turns.len(), found.forgotten, found.turns[0].text.as_str()), (200, 10, "1.0"));
}

#[tokio::test]
async fn what_is_remembered_ends_with_its_time_which_use_prolongs() {
    let redis = Redis::start();
    let store = store(&redis, Duration::from_secs(2));
    store.append(&ann(), &Owner::Hub, &[said(Who::User, "x")]).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(store.conversation(&ann(), &Owner::Hub).await.unwrap().turns.len(), 1, "use prolongs it");
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(store.conversation(&ann(), &Owner::Hub).await.unwrap().turns.is_empty());
}

#[tokio::test]
async fn what_is_shown_can_be_forgotten() {
    let redis = Redis::start();
    let store = store(&redis, LONG);
    let mail = Owner::App(app("mail"));
    store.append(&ann(), &Owner::Hub, &[said(Who::User, "hello")]).await.unwrap();
    store.append(&ann(), &mail, &[said(Who::User, "read")]).await.unwrap();
    let shown = store.show(&ann(), None).await.unwrap();
    assert_eq!((shown[0]["of"].as_str(), shown[1]["of"].as_str()), (Some("hub"), Some("app:mail")));
    assert_eq!(shown[0]["turns"][0], json!({"who": "user", "text": "hello"}));
    assert_eq!(store.forget(&ann(), Some(&mail)).await.unwrap(), 1);
    assert_eq!(store.show(&ann(), None).await.unwrap().as_array().unwrap().len(), 1);
    assert_eq!(store.forget(&ann(), None).await.unwrap(), 1);
    assert_eq!(store.show(&ann(), None).await.unwrap(), Value::Array(vec![]));
}

#[tokio::test]
async fn a_store_that_is_gone_is_an_error_in_time_and_comes_back() {
    let redis = Redis::start();
    let store = store(&redis, LONG);
    store.append(&ann(), &Owner::Hub, &[said(Who::User, "x")]).await.unwrap();
    let mut redis = redis;
    redis.program().signal(nix::sys::signal::Signal::SIGSTOP);
    let began = std::time::Instant::now();
    let error = store.conversation(&ann(), &Owner::Hub).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    redis.program().signal(nix::sys::signal::Signal::SIGCONT);
    let redis = redis.restarted();
    let mut found = store.conversation(&ann(), &Owner::Hub).await;
    for _ in 0..20 {
        if found.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        found = store.conversation(&ann(), &Owner::Hub).await;
    }
    assert_eq!(found.unwrap().turns.len(), 1);
    drop(redis);
    assert_eq!(
        Store::open(&Secret::new("nonsense".into()), LONG).err().unwrap().kind,
        StoreErrorKind::Address
    );
}

fn question(user: &str, target: &str) -> Question {
    Question {
        user: UserId::parse(user).unwrap(),
        session: SessionId::parse("one").unwrap(),
        query: WorkId::parse("q1").unwrap(),
        from: Origin::Plan,
        to: Target::try_from(target.to_owned()).unwrap(),
        args: Value::Null,
        labels: Labels::of(Label::User),
        effect: Effect::Write,
        conformance: Conformance::Expected { step: StepId::parse("s1").unwrap() },
        destinations: vec![],
        sources: vec![],
        pin: "h1".into(),
        attended: true,
        step: None,
    }
}

fn grant(user: &str, target: &str, choice: Choice, created: u64) -> Grant {
    Grant::of_answer(&question(user, target), choice, GrantId::fresh(), created).unwrap()
}

#[tokio::test]
async fn grants_for_always_survive_a_restart_of_broker_and_hub_and_others_are_not_kept() {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let store = GrantsStore::open(hub.nats()).await.unwrap();
    assert_eq!(store.load().await.unwrap(), []);
    let first = grant("ann", "drive.write", Choice::Always, 1);
    let second = grant("bob", "mail.create_draft", Choice::Always, 2);
    for kept in [&first, &second, &grant("ann", "mail.create_draft", Choice::Session, 3)] {
        store.put(kept).await.unwrap();
    }
    assert_eq!(store.load().await.unwrap(), [first.clone(), second.clone()]);
    store.remove(&first.user, &first.id).await.unwrap();
    store.remove(&first.user, &GrantId::fresh()).await.unwrap();
    drop(hub);
    let nats = nats.restarted();
    let hub = nats.bus(&Role::Hub).await;
    let store = GrantsStore::open(hub.nats()).await.unwrap();
    assert_eq!(store.load().await.unwrap(), [second]);
    assert!(!nats.log().contains("Violation"), "the hub's rights cover all it needs:\n{}", nats.log());
}

/// So many that the broker makes the listing wait for the hub to follow.
#[tokio::test]
async fn the_hubs_rights_cover_a_long_list_of_grants() {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let store = GrantsStore::open(hub.nats()).await.unwrap();
    let mut grants: Vec<Grant> = (0..1500).map(|n| grant("ann", "drive.write", Choice::Always, n)).collect();
    // Large ones, as receivers and labels make them.
    for grant in &mut grants {
        grant.receivers = (0..50).map(|n| format!("to=receiver-{n}@somewhere.example")).collect();
    }
    futures_util::future::try_join_all(grants.iter().map(|grant| store.put(grant))).await.unwrap();
    assert_eq!(store.load().await.unwrap(), grants);
    assert!(!nats.log().contains("Violation"), "{}", nats.log());
}

#[tokio::test]
async fn a_damaged_grant_stops_the_hub_rather_than_being_passed_over() {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let store = GrantsStore::open(hub.nats()).await.unwrap();
    hub.nats().publish(format!("$KV.{GRANTS_BUCKET}.ann.g1"), "{}".into()).await.unwrap();
    hub.nats().flush().await.unwrap();
    let mut damaged = store.load().await;
    for _ in 0..20 {
        if damaged.is_err() {
            break;
        }
        damaged = store.load().await;
    }
    assert_eq!(damaged.unwrap_err().to_string(), "grants: cannot read one: what is stored is not understood");
}
