//! A subject says what it says, both ways.

use proptest::prelude::*;

use super::*;
use crate::id::SessionId;

fn spoke() -> impl Strategy<Value = SpokeAddr> {
    ("[a-z][a-z0-9_-]{0,10}", "[a-zA-Z0-9]{1,22}").prop_filter_map("legal", |(app, id)| {
        Some(SpokeAddr { app: AppId::parse(&app).ok()?, id: SpokeId::parse(&id).ok()? })
    })
}

fn leaf() -> impl Strategy<Value = Leaf> {
    prop_oneof![
        Just(Leaf::Task),
        Just(Leaf::Cancel),
        Just(Leaf::Spawn),
        Just(Leaf::Stop),
        Just(Leaf::Lease),
        Just(Leaf::Prompt),
        "[a-zA-Z0-9]{1,22}".prop_map(|s| Leaf::Event(SessionId::parse(&s).unwrap())),
        "[a-zA-Z0-9_-]{1,9}(\\.[a-zA-Z0-9]{1,9}){0,2}".prop_map(Leaf::Reply),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    (0..Op::ALL.len()).prop_map(|i| Op::ALL[i])
}

fn subject() -> impl Strategy<Value = Subject> {
    let host = || "[a-z][a-z0-9-]{0,8}".prop_filter_map("legal", |h| HostId::parse(&h).ok());
    let user = || "[a-zA-Z0-9]{1,8}".prop_filter_map("legal", |u| UserId::parse(&u).ok());
    prop_oneof![
        (spoke(), 0..6usize, op()).prop_map(|(spoke, s, op)| Subject::SpokeOut {
            spoke,
            service: Service::ALL[s],
            op
        }),
        (spoke(), leaf()).prop_map(|(spoke, leaf)| Subject::SpokeIn { spoke, leaf }),
        (0..2usize, op()).prop_map(|(s, op)| Subject::HubOut { service: Service::ALL[s], op }),
        leaf().prop_map(Subject::HubIn),
        (host(), op()).prop_map(|(host, op)| Subject::HostOut { host, op }),
        (host(), leaf()).prop_map(|(host, leaf)| Subject::HostIn { host, leaf }),
        op().prop_map(Subject::HostAny),
        (user(), op()).prop_map(|(user, op)| Subject::UserOut { user, op }),
        (user(), leaf()).prop_map(|(user, leaf)| Subject::UserIn { user, leaf }),
        (host(), op()).prop_map(|(host, op)| Subject::Audit { by: Auditor::Host(host), op }),
        op().prop_map(|op| Subject::Audit { by: Auditor::Hub, op }),
    ]
}

proptest! {
    #[test]
    fn what_is_spelled_is_read_back(subject in subject()) {
        prop_assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
    }

    #[test]
    fn what_is_read_is_spelled_the_same(text in "secgpt(\\.[a-z*>]{0,6}){0,6}") {
        if let Some(subject) = Subject::parse(&text) {
            prop_assert_eq!(subject.to_string(), text);
        }
    }

    #[test]
    fn a_reply_goes_only_to_the_callers_inbox(a in spoke(), b in spoke(), token in "[a-zA-Z0-9]{1,9}") {
        prop_assume!(a != b);
        let said = Subject::SpokeOut { spoke: a.clone(), service: Service::Llm, op: Op::CHAT };
        let own = format!("{}.{token}", inbox::spoke(&a));
        let others = format!("{}.{token}", inbox::spoke(&b));
        prop_assert!(reply_is_callers_own(&said, &own));
        prop_assert!(!reply_is_callers_own(&said, &others));
    }
}

#[test]
fn what_a_spoke_says_is_known_for_its_own_even_if_nobody_understands_it() {
    assert_eq!(speaking_spoke("secgpt.spoke.mail.a1.out.llm.chat"), Some("mail.a1"));
    assert_eq!(speaking_spoke("secgpt.spoke.mail.a1.out.llm.surprise"), Some("mail.a1"));
    for other in ["secgpt.spoke.mail.a1.in.task", "secgpt.spoke.mail", "secgpt.hub.out.llm.chat", ""] {
        assert_eq!(speaking_spoke(other), None, "{other}");
    }
}

#[test]
fn a_reply_with_a_wildcard_or_beside_the_inbox_is_not_the_callers_own() {
    let spoke = SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse("a1").unwrap() };
    let said = Subject::SpokeOut { spoke, service: Service::Egress, op: Op::FETCH };
    for reply in [
        "secgpt.spoke.mail.a1.in.reply",
        "secgpt.spoke.mail.a1.in.reply.",
        "secgpt.spoke.mail.a1.in.reply.*",
        "secgpt.spoke.mail.a1.in.reply.>",
        "secgpt.spoke.mail.a1.in.replyx.a",
        "secgpt.spoke.mail.a1.in.task",
        "secgpt.spoke.mail.a1.out.isc.request",
        "secgpt.hub.in.reply.a",
        "$JS.API.STREAM.DELETE.x",
        "",
    ] {
        assert!(!reply_is_callers_own(&said, reply), "{reply}");
    }
}
