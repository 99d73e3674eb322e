//! Who may publish and subscribe to what.
//!
//! Answers: which subjects does this role have?
//! Never: widens anything by default; what is not listed is denied.
//! Carries: I-01, I-03, I-04, I-09.

pub mod matrix;

use std::time::Duration;

use crate::id::{HostId, SpokeAddr, UserId};
use crate::subject::{Auditor, Leaf, Service, Subject, inbox, pattern};

/// A party on the bus. Each has one credential and one set of rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Plans, permits, routes.
    Hub,
    /// Holds the model key.
    LlmGateway,
    /// The only way out.
    EgressGateway,
    /// Starts and stops the core processes; notes what the broker refused.
    Supervisor,
    /// Starts spokes on one machine.
    Host(HostId),
    /// One app's process.
    Spoke(SpokeAddr),
    /// A person's clients.
    User(UserId),
    /// Sees everything and says nothing.
    Tap,
    /// A person with the `nats` command line: may ask services how they are, nothing else.
    Operator,
}

/// The rights of a role: subject patterns as the broker takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// What it may publish to. Empty means nothing.
    pub publish: Vec<String>,
    /// What it may subscribe to. Empty means nothing.
    pub subscribe: Vec<String>,
    /// May it answer a request on a subject it could not publish to otherwise: how many messages, for how long?
    /// Never for spokes, users and the tap: it bypasses publish rules.
    pub respond: Option<(u32, Duration)>,
    /// Subscriptions it may hold at once; no limit for the core.
    pub subscriptions: Option<u32>,
}

/// What the `$SRV` protocol (NATS ADR-32) asks of a micro service.
const SERVICE_DISCOVERY: &str = "$SRV.>";

/// The bucket in which the hub keeps grants; spoken only by the hub.
pub const GRANTS_BUCKET: &str = "secgpt_grants";

/// The rights of a role. Total, pure, and the only place that hands out rights.
#[must_use]
pub fn rights(role: &Role) -> Rights {
    match role {
        Role::Hub => Rights {
            publish: list(&[
                pattern::EVERY_SPOKE_IN,
                pattern::EVERY_HOST_IN,
                pattern::ANY_HOST,
                pattern::EVERY_USER_IN,
                pattern::HUB_OUT,
                "secgpt.audit.hub.*",
                &echo(Auditor::Hub),
                // Grants live in a JetStream bucket; nobody else has any JetStream subject. Opening it (three), reading
                // one, listing, following a long list, writing.
                "$JS.API.INFO",
                "$JS.API.STREAM.INFO.KV_secgpt_grants",
                "$JS.API.STREAM.CREATE.KV_secgpt_grants",
                "$JS.API.DIRECT.GET.KV_secgpt_grants.>",
                "$JS.API.CONSUMER.CREATE.KV_secgpt_grants",
                "$JS.FC.KV_secgpt_grants.>",
                "$KV.secgpt_grants.>",
            ]),
            subscribe: vec![
                pattern::every_spoke_to(Service::Isc),
                pattern::every_spoke_to(Service::Memory),
                pattern::every_spoke_to(Service::Result),
                pattern::every_spoke_to(Service::Log),
                pattern::EVERY_HOST_OUT.to_owned(),
                pattern::EVERY_USER_OUT.to_owned(),
                pattern::HUB_IN.to_owned(),
                echo(Auditor::Hub),
                SERVICE_DISCOVERY.to_owned(),
            ],
            respond: SERVICE_RESPONSES,
            subscriptions: None,
        },
        Role::LlmGateway => gateway(Service::Llm, Auditor::Llm, "secgpt.audit.llm.*"),
        Role::EgressGateway => gateway(Service::Egress, Auditor::Egress, "secgpt.audit.egress.*"),
        Role::Supervisor => Rights {
            publish: list(&["secgpt.audit.supervisor.*"]),
            subscribe: Vec::new(),
            respond: None,
            subscriptions: Some(0),
        },
        Role::Host(host) => Rights {
            publish: vec![pattern::host_out(host), format!("secgpt.audit.host.{host}.*")],
            subscribe: vec![
                pattern::host_in(host),
                pattern::ANY_HOST.to_owned(),
                SERVICE_DISCOVERY.to_owned(),
            ],
            respond: SERVICE_RESPONSES,
            subscriptions: Some(64),
        },
        Role::Spoke(spoke) => Rights {
            publish: vec![pattern::spoke_out(spoke)],
            subscribe: vec![pattern::spoke_in(spoke)],
            respond: None,
            // Its own, and one for each model call in flight; a plan may hand it a task for each step.
            subscriptions: Some(256),
        },
        Role::User(user) => Rights {
            publish: vec![pattern::user_out(user)],
            subscribe: vec![pattern::user_in(user)],
            respond: None,
            subscriptions: Some(64),
        },
        Role::Tap => Rights {
            publish: Vec::new(),
            subscribe: list(&[pattern::ALL]),
            respond: None,
            subscriptions: Some(16),
        },
        Role::Operator => Rights {
            publish: list(&[SERVICE_DISCOVERY]),
            subscribe: vec![format!("{}.>", inbox::OPERATOR)],
            respond: None,
            subscriptions: Some(64),
        },
    }
}

/// One answer to each discovery request, within a second.
const SERVICE_RESPONSES: Option<(u32, Duration)> = Some((1, Duration::from_secs(1)));

/// Where a part of the core hears itself, to know that its subscriptions are in force.
fn echo(of: Auditor) -> String {
    Subject::Echo(of).to_string()
}

fn gateway(service: Service, named: Auditor, audit: &str) -> Rights {
    let echo = echo(named);
    Rights {
        // The last one: a spoke that floods is to be stopped.
        publish: list(&[
            pattern::EVERY_SPOKE_REPLY,
            pattern::HUB_REPLY,
            audit,
            &echo,
            &Subject::HubIn(Leaf::Stop).to_string(),
        ]),
        subscribe: vec![
            pattern::every_spoke_to(service),
            pattern::hub_to(service),
            echo,
            SERVICE_DISCOVERY.to_owned(),
        ],
        respond: SERVICE_RESPONSES,
        subscriptions: None,
    }
}

fn list(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|&pattern| pattern.to_owned()).collect()
}

impl Rights {
    /// May the role publish to this literal subject, by the list alone (answers to requests aside)?
    #[must_use]
    pub fn may_publish(&self, subject: &str) -> bool {
        self.publish.iter().any(|pattern| covers(pattern, subject))
    }

    /// May the role subscribe to this subject or pattern?
    #[must_use]
    pub fn may_subscribe(&self, wanted: &str) -> bool {
        self.subscribe.iter().any(|pattern| covers(pattern, wanted))
    }
}

/// Does `pattern` match everything that `wanted` matches? Wildcards as in the NATS protocol: `*` is one token,
/// a final `>` is one or more.
#[must_use]
pub fn covers(pattern: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('.');
    for token in pattern.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            ("*", Some(next)) if next != ">" => {}
            (literal, Some(next)) if literal == next && literal != ">" => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{AppId, SpokeId};
    use crate::subject::{Leaf, Op, Subject};

    fn addr(app: &str, id: &str) -> SpokeAddr {
        SpokeAddr { app: AppId::parse(app).unwrap(), id: SpokeId::parse(id).unwrap() }
    }

    proptest! {
        #[test]
        fn an_app_cannot_publish_as_another_app(a in "[a-z]{1,8}", b in "[a-z]{1,8}", x in "[a-z0-9]{1,8}", y in "[a-z0-9]{1,8}", op in 0..Op::ALL.len()) {
            prop_assume!((&a, &x) != (&b, &y));
            let own = rights(&Role::Spoke(addr(&a, &x)));
            for service in Service::ALL {
                let said = Subject::SpokeOut { spoke: addr(&b, &y), service, op: Op::ALL[op] };
                prop_assert!(!own.may_publish(&said.to_string()));
            }
        }

        #[test]
        fn an_app_cannot_hear_another_apps_replies(a in "[a-z]{1,8}", b in "[a-z]{1,8}", x in "[a-z0-9]{1,8}", y in "[a-z0-9]{1,8}", t in "[a-z]{1,5}") {
            prop_assume!((&a, &x) != (&b, &y));
            let own = rights(&Role::Spoke(addr(&a, &x)));
            let theirs = Subject::SpokeIn { spoke: addr(&b, &y), leaf: Leaf::Reply(t) };
            prop_assert!(!own.may_subscribe(&theirs.to_string()));
        }
    }

    #[test]
    fn there_is_no_direct_path_between_apps() {
        let (a, b) = (addr("mail", "a1"), addr("drive", "b1"));
        let (says, hears) = (rights(&Role::Spoke(a.clone())), rights(&Role::Spoke(b.clone())));
        for leaf in [Leaf::Task, Leaf::Cancel, Leaf::Reply("x".into())] {
            assert!(!says.may_publish(&Subject::SpokeIn { spoke: b.clone(), leaf }.to_string()));
        }
        for service in Service::ALL {
            for &op in Op::ALL {
                assert!(
                    !hears.may_subscribe(&Subject::SpokeOut { spoke: a.clone(), service, op }.to_string())
                );
            }
        }
    }

    #[test]
    fn the_tap_has_no_publish_right() {
        let tap = rights(&Role::Tap);
        assert!(tap.publish.is_empty() && tap.respond.is_none());
    }

    #[test]
    fn only_the_core_may_answer_beyond_its_list() {
        for role in [Role::Spoke(addr("mail", "a1")), Role::User(UserId::parse("ann").unwrap()), Role::Tap] {
            assert_eq!(rights(&role).respond, None, "{role:?}");
        }
    }

    #[test]
    fn a_wildcard_is_not_covered_by_a_narrower_one() {
        assert!(covers("a.*", "a.b"));
        assert!(covers("a.>", "a.b.c"));
        assert!(covers("a.>", "a.*.>"));
        assert!(!covers("a.*", "a.>"));
        assert!(!covers("a.*", "a.b.c"));
        assert!(!covers("a.>", "a"));
        assert!(!covers("a.b", "a.*"));
        assert!(!covers("", "a"));
    }
}
