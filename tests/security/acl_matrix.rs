//! Every role against every subject: by the rule, by a real broker, and in the golden file, the same.
//! Carries: I-01, I-03, I-04, I-09.

use std::collections::HashMap;

use bus::acl::Role;
use bus::acl::matrix::{Cell, Matrix};
use system_tests::golden::golden;
use system_tests::nats::Nats;
use system_tests::raw::Raw;

#[test]
fn the_matrix_of_rights_is_the_agreed_one() {
    golden("acl-matrix.txt", &Matrix::by_rule().unwrap().render());
}

#[test]
fn the_broker_enforces_the_matrix_of_rights() {
    let nats = Nats::start();
    let rule = Matrix::by_rule().unwrap();
    let mut connections: HashMap<Role, Raw> = HashMap::new();
    let measured = Matrix::by(|role, column| {
        let Some(role) = role else { return Cell { publish: false, subscribe: false } };
        let raw = connections.entry(role.clone()).or_insert_with(|| nats.raw(role));
        // A queue group is a matter of subscribing only.
        let publish = column.queue.is_none() && allowed(&raw.publish(&column.text, None, b""), "Publish");
        let subscribe = allowed(&raw.subscribe(&column.text, column.queue, 7), "Subscription");
        raw.unsubscribe(7);
        Cell { publish, subscribe }
    })
    .unwrap();
    for (column, (rule_cells, measured_cells)) in
        rule.columns.iter().zip(rule.cells.iter().zip(&measured.cells))
    {
        for ((name, _), (by_rule, by_broker)) in rule.rows.iter().zip(rule_cells.iter().zip(measured_cells)) {
            assert_eq!(by_rule, by_broker, "{name} on {} (left: rule, right: broker)", column.text);
        }
    }
    golden("acl-matrix.txt", &measured.render());
}

/// Permitted, or refused for exactly this reason; anything else fails the test.
#[track_caller]
fn allowed(verdict: &Result<(), String>, what: &str) -> bool {
    match verdict {
        Ok(()) => true,
        Err(error) => {
            assert!(error.starts_with(&format!("Permissions Violation for {what}")), "{error}");
            false
        }
    }
}

#[test]
fn without_a_credential_nobody_comes_in() {
    let nats = Nats::start();
    assert_eq!(Raw::connect(&nats.url, None).err().as_deref(), Some("Authorization Violation"));
    // Control: with one, the same connection stands.
    assert!(Raw::connect(&nats.url, Some(&nats.credential(&Role::Tap))).is_ok());
}

#[test]
fn a_credential_of_another_realm_is_worth_nothing() {
    let (nats, other) = (Nats::start(), Nats::start());
    let foreign = other.credential(&Role::Hub);
    assert_eq!(Raw::connect(&nats.url, Some(&foreign)).err().as_deref(), Some("Authorization Violation"));
    assert!(Raw::connect(&other.url, Some(&foreign)).is_ok());
}
