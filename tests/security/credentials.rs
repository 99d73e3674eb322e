//! Credentials that are no longer, or never were, good.
//! Carries: I-01.

use std::time::Duration;

use bus::acl::Role;
use bus::id::{AppId, SpokeAddr, SpokeId};
use bus::identity::{Credential, OwnKey};
use system_tests::nats::Nats;
use system_tests::program::eventually;
use system_tests::raw::Raw;

fn spoke(id: &str) -> Role {
    Role::Spoke(SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse(id).unwrap() })
}

fn refused(nats: &Nats, credential: &Credential) -> Option<String> {
    Raw::connect(&nats.url, Some(credential)).err()
}

const VIOLATION: &str = "Authorization Violation";

#[test]
fn an_expired_credential_ends_the_connection_and_opens_no_other() {
    let nats = Nats::start();
    let short = nats.credential_for(&spoke("a1"), Duration::from_secs(2));
    let long = nats.credential_for(&spoke("b1"), Duration::from_secs(60));
    // Control: as long as it is good, it opens a connection.
    let mut held = Raw::connect(&nats.url, Some(&short)).unwrap();
    let mut other = Raw::connect(&nats.url, Some(&long)).unwrap();
    assert_eq!(held.closed(), "User Authentication Expired");
    // Times in statements are whole seconds, and the broker counts the last one as good.
    eventually("the last second is over", || {
        (refused(&nats, &short).as_deref() == Some(VIOLATION)).then_some(())
    });
    assert_eq!(other.settle(), Ok(vec![]));
}

#[tokio::test]
async fn a_revoked_credential_ends_the_connection_and_opens_no_other_even_after_a_restart() {
    let mut nats = Nats::start();
    let (bad, good) = (nats.credential(&spoke("a1")), nats.credential(&spoke("b1")));
    let mut held = Raw::connect(&nats.url, Some(&bad)).unwrap();
    let mut other = Raw::connect(&nats.url, Some(&good)).unwrap();
    nats.revoke(&bad).await;
    assert_eq!(held.closed(), "User Authentication Revoked");
    assert_eq!(refused(&nats, &bad).as_deref(), Some(VIOLATION));
    // Control: what was signed by the same key for another holder stays good.
    assert_eq!(other.settle(), Ok(vec![]));
    assert_eq!(refused(&nats, &good), None);
    let nats = nats.restarted();
    assert_eq!(refused(&nats, &bad).as_deref(), Some(VIOLATION));
    assert_eq!(refused(&nats, &good), None);
}

#[test]
fn a_statement_is_worth_nothing_without_its_key() {
    let nats = Nats::start();
    let own = nats.credential(&spoke("a1"));
    let other = OwnKey::generate().with_jwt(own.jwt.clone()).unwrap();
    assert_eq!(refused(&nats, &other).as_deref(), Some(VIOLATION));
    assert_eq!(refused(&nats, &own), None);
}

#[test]
fn a_changed_statement_is_worth_nothing() {
    let nats = Nats::start();
    let own = nats.credential(&spoke("a1"));
    let hub = nats.credential(&Role::Hub);
    // The hub's rights under the spoke's signature.
    let mut parts: Vec<&str> = own.jwt.split('.').collect();
    parts[1] = hub.jwt.split('.').nth(1).unwrap();
    let forged = Credential { jwt: parts.join("."), seed: hub.seed.clone() };
    assert_eq!(refused(&nats, &forged).as_deref(), Some(VIOLATION));
    assert_eq!(refused(&nats, &hub), None);
}

#[tokio::test]
async fn the_system_account_is_closed_to_every_role() {
    let nats = Nats::start();
    let mut hub = nats.raw(&Role::Hub);
    let verdict = hub.publish("$SYS.REQ.CLAIMS.UPDATE", Some("secgpt.hub.in.reply.x"), b"x");
    assert_eq!(verdict, Err("Permissions Violation for Publish to \"$SYS.REQ.CLAIMS.UPDATE\"".into()));
    // Control: the supervisor's own credential of that account may, and may not see the bus.
    let system = nats.realm.system_credential().unwrap();
    let mut supervisor = Raw::connect(&nats.url, Some(&system)).unwrap();
    supervisor.subscribe(">", None, 1).unwrap();
    nats.raw(&Role::Hub).publish("secgpt.hub.out.llm.chat", None, b"x").unwrap();
    let heard = supervisor.messages().unwrap();
    assert!(heard.iter().all(|message| message.subject.starts_with("$SYS.")), "{heard:?}");
}
