//! Grants are kept where only the hub can write.
//! Carries: I-05.

use async_nats::jetstream;
use async_nats::jetstream::kv;
use bus::acl::{GRANTS_BUCKET, Role};
use bus::id::{AppId, HostId, SpokeAddr, SpokeId, UserId};
use futures_util::StreamExt;
use system_tests::nats::Nats;

#[tokio::test]
async fn nobody_but_the_hub_can_write_a_grant() {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let js = jetstream::new(hub.nats().clone());
    let config = kv::Config {
        bucket: GRANTS_BUCKET.into(),
        storage: jetstream::stream::StorageType::File,
        history: 1,
        ..kv::Config::default()
    };
    let bucket = js.create_key_value(config).await.unwrap();
    // Control: the hub writes, reads, lists, watches and deletes.
    bucket.put("g1", "yes".into()).await.unwrap();
    assert_eq!(bucket.get("g1").await.unwrap().unwrap(), "yes");
    let keys: Vec<String> = bucket.keys().await.unwrap().map(|key| key.unwrap()).collect().await;
    assert_eq!(keys, ["g1"]);
    let mut watch = bucket.watch_with_history(">").await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().key, "g1");
    bucket.put("g2", "yes".into()).await.unwrap();
    bucket.delete("g2").await.unwrap();
    assert_eq!(bucket.get("g2").await.unwrap(), None);

    let spoke = SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse("a1").unwrap() };
    for role in [
        Role::Spoke(spoke),
        Role::User(UserId::parse("ann").unwrap()),
        Role::Host(HostId::parse("local").unwrap()),
        Role::LlmGateway,
        Role::EgressGateway,
        Role::Supervisor,
        Role::Tap,
        Role::Operator,
    ] {
        let mut raw = nats.raw(&role);
        for subject in [
            format!("$KV.{GRANTS_BUCKET}.g1"),
            format!("$JS.API.STREAM.MSG.DELETE.KV_{GRANTS_BUCKET}"),
            format!("$JS.API.STREAM.UPDATE.KV_{GRANTS_BUCKET}"),
            format!("$JS.API.STREAM.PURGE.KV_{GRANTS_BUCKET}"),
            format!("$JS.API.DIRECT.GET.KV_{GRANTS_BUCKET}.$KV.{GRANTS_BUCKET}.g1"),
        ] {
            let verdict = raw.publish(&subject, None, b"forged");
            let expected = format!("Permissions Violation for Publish to \"{subject}\"");
            assert_eq!(verdict, Err(expected), "{role:?}");
        }
    }
    assert_eq!(bucket.get("g1").await.unwrap().unwrap(), "yes");
}

#[tokio::test]
async fn grants_survive_a_restart_of_the_broker() {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    let config = kv::Config {
        bucket: GRANTS_BUCKET.into(),
        storage: jetstream::stream::StorageType::File,
        ..kv::Config::default()
    };
    let bucket = jetstream::new(hub.nats().clone()).create_key_value(config).await.unwrap();
    bucket.put("g1", "yes".into()).await.unwrap();
    let nats = nats.restarted();
    let hub = nats.bus(&Role::Hub).await;
    let bucket = jetstream::new(hub.nats().clone()).get_key_value(GRANTS_BUCKET).await.unwrap();
    assert_eq!(bucket.get("g1").await.unwrap().unwrap(), "yes");
}
