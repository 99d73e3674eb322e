//! Apps that a person changes while the hub runs.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bus::acl::Role;
use bus::id::AppId;
use bus::message::egress::{TakeUp, TakenUp};
use bus::message::user::{Admin, Ending};
use bus::subject::{Service, pattern};
use serde_json::Value;

use crate::client::Client;
use crate::town::{Plot, Town, delegate, plain, run, well};

/// A gateway that has taken up whatever there is.
async fn gateway(town: &Town, authorized: &'static [&'static str]) {
    let bus = town.broker.bus(&Role::EgressGateway).await;
    let mut asked = bus.subscribe(&pattern::hub_to(Service::Egress)).await.unwrap();
    bus.nats().flush().await.unwrap();
    actix::spawn(async move {
        while let Some(message) = asked.next().await {
            message.body::<TakeUp>().unwrap();
            let authorized = authorized.iter().map(|app| AppId::parse(app).unwrap()).collect();
            bus.respond(&message, &TakenUp { authorized }).await;
        }
    });
}

fn hash_of(apps: &Value, app: &str) -> String {
    let found = apps.as_array().unwrap().iter().find(|entry| entry["app"] == app).unwrap();
    found["hash"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_is_taken_up_that_the_gateway_does_not_have() {
    run(async {
        let town = Town::found(Plot::new(vec![], plain())).await;
        let before = town.ann.admin(Admin::Apps).await.unwrap();
        town.change_app("mail");
        let error = town.ann.admin(Admin::TakeUp).await.unwrap_err();
        assert!(
            error.contains("the egress-gateway does not say that it has the apps as they are now"),
            "{error}"
        );
        assert_eq!(town.ann.admin(Admin::Apps).await.unwrap(), before);
        // Control: with a gateway it is.
        gateway(&town, &[]).await;
        let after = town.ann.admin(Admin::TakeUp).await.unwrap();
        assert_ne!(hash_of(&after, "mail"), hash_of(&before, "mail"));
        assert_eq!(hash_of(&after, "drive"), hash_of(&before, "drive"));
    });
}

#[test]
fn a_query_from_before_gets_nothing_of_an_app_that_is_another_now_and_the_next_one_does() {
    run(async {
        let calls = Rc::new(Cell::new(0));
        let script = well(move |_, _| {
            let call = calls.replace(calls.get() + 1);
            async move {
                // The first one is at work for longer than the test waits.
                tokio::time::sleep(Duration::from_secs(if call == 0 { 30 } else { 0 })).await;
                "done".to_owned()
            }
        });
        let mut town = Town::found(Plot::new(vec![delegate("mail"), delegate("mail")], script)).await;
        gateway(&town, &[]).await;
        let bob = Client::join(&town.broker, "bob", Rc::new(|_| None)).await;
        town.change_app("mail");
        let hosts = &town.hosts;
        let change = async {
            while hosts[0].spawned.borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bob.admin(Admin::TakeUp).await.unwrap()
        };
        let (outcome, apps) = tokio::join!(town.ann.ask("do it"), change);
        assert_eq!(outcome.outcome, Ending::Failed);
        let error = outcome.error.unwrap();
        assert!(error.contains("changed or removed meanwhile; ask again"), "{error}");
        let outcome = town.ann.ask("do it").await;
        assert_eq!(outcome.answer.as_deref(), Some("done"), "{outcome:?}");
        let spawned = town.hosts[0].spawned.borrow();
        let pins: Vec<&str> = spawned
            .iter()
            .filter(|spawn| spawn.spoke.app.as_str() == "mail")
            .map(|spawn| spawn.pinned.as_str())
            .collect();
        assert_eq!(pins.len(), 2);
        assert_eq!(pins[1], hash_of(&apps, "mail"));
        assert_ne!(pins[0], pins[1]);
    });
}
