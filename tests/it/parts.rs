//! The parts that every other test stands on.

use bus::acl::Role;
use system_tests::nats::Nats;
use system_tests::redis::Redis;

#[tokio::test]
async fn a_broker_of_our_configuration_lets_the_hub_in_and_keeps_its_streams_over_a_restart() {
    let nats = Nats::start();
    let hub = nats.bus(&Role::Hub).await;
    assert!(hub.is_connected());
    let url = nats.url.clone();
    let nats = nats.restarted();
    assert_eq!(nats.url, url);
    nats.bus(&Role::Hub).await;
}

#[test]
fn a_store_listens_on_its_socket_only() {
    let redis = Redis::start();
    assert!(redis.socket().exists());
    assert!(redis.url().starts_with("unix:///"));
}
