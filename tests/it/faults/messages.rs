//! Messages that are none, on every subject that a user, a spoke and a host speak on, while the system runs.

use bus::acl::Role;
use bus::envelope::{KIND, VERSION, pack};
use bus::id::{AppId, HostId, SessionId, SpokeAddr, SpokeId, UserId, WorkId};
use bus::message::user::{Admin, Query};
use system_tests::person::{Tap, address, signer};
use system_tests::raw::Raw;
use system_tests::system::{Options, System, descendants};

use super::works;

fn raw(system: &System, role: &Role) -> Raw {
    let credential = signer(system).issue(role, None).expect("a credential");
    Raw::connect(&address(system).url, Some(&credential)).expect("a connection")
}

fn with_headers(raw: &mut Raw, subject: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = "NATS/1.0\r\n".to_owned();
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut bytes = format!("HPUB {subject} {} {}\r\n", head.len(), head.len() + body.len()).into_bytes();
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(b"\r\n");
    raw.send(&bytes);
    assert_eq!(raw.settle(), Ok(vec![]), "{subject}");
}

#[test]
fn no_malformed_message_ends_a_process_and_each_is_dropped_and_recorded() {
    let system = System::start(Options::default());
    let tap = Tap::join(&system);
    let before = descendants(system.pid());
    let user = UserId::parse("ann").unwrap();
    let spoke = SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse("none").unwrap() };
    let host = HostId::parse("elsewhere").unwrap();
    let mut speakers = Vec::new();
    let of = |start: String, ops: &[&str]| ops.iter().map(|op| format!("{start}.{op}")).collect::<Vec<_>>();
    speakers.push((
        Role::User(user.clone()),
        of(format!("secgpt.user.{user}.out"), &["query", "consent", "cancel", "admin"]),
    ));
    speakers.push((
        Role::Spoke(spoke.clone()),
        of(
            format!("secgpt.spoke.{spoke}.out"),
            &[
                "result.ready",
                "result.done",
                "result.token",
                "isc.request",
                "isc.probe",
                "memory.recall",
                "log.line",
                "llm.chat",
            ],
        ),
    ));
    speakers.push((
        Role::Host(host.clone()),
        of(format!("secgpt.host.{host}.out"), &["report", "spawned", "exited", "sign"]),
    ));
    let query = Query {
        id: WorkId::fresh(),
        session: SessionId::fresh(),
        text: "What is the capital of France?".into(),
        attended: false,
        private: true,
        replan_of: None,
    };
    let query = pack(&query).unwrap();
    let mut sent = 0;
    for (role, subjects) in &speakers {
        let mut raw = raw(&system, role);
        for subject in subjects {
            for body in
                [&b""[..], &[0xc1], &[0xff; 300], &query[..query.len() / 2], b"{\"json\": true}", &[0x91; 40]]
            {
                assert_eq!(raw.publish(subject, None, body), Ok(()), "{subject}");
                sent += 1;
            }
            with_headers(&mut raw, subject, &[(VERSION, "7")], &query);
            with_headers(&mut raw, subject, &[(VERSION, "soon")], &query);
            with_headers(&mut raw, subject, &[(KIND, "prompt")], &query);
            sent += 3;
            let dropped = |heard: &system_tests::person::Heard, words: &str| {
                let what = &heard.body["what"]["dropped"];
                what["subject"] == *subject && what["why"].as_str().is_some_and(|why| why.contains(words))
            };
            let _ =
                tap.until(&format!("{subject}: a newer one"), |heard| dropped(heard, "version 7 is newer"));
            let _ = tap.until(&format!("{subject}: another kind"), |heard| dropped(heard, "\"prompt\" came"));
        }
        let unknown = subjects[0].rsplit_once('.').unwrap().0.to_owned() + ".surprise";
        assert_eq!(raw.publish(&unknown, None, &query), Ok(()), "{unknown}");
    }
    // Each of them was recorded, and none was answered.
    let of_ours = |heard: &&system_tests::person::Heard| {
        heard.body["what"]["dropped"]["subject"].as_str().is_some_and(|subject| {
            speakers.iter().any(|(_, subjects)| subjects.iter().any(|spoken| spoken == subject))
        })
    };
    system_tests::program::eventually("all are recorded", || {
        (sent <= tap.of_kind("audit").iter().filter(of_ours).count()).then_some(())
    });
    let after = descendants(system.pid());
    let core = |pids: &[u32]| pids.iter().filter(|pid| before.contains(pid)).count();
    assert_eq!(core(&after), before.len(), "all processes are still there");
    works(&system);
}

#[test]
fn what_is_larger_than_its_kind_may_be_is_dropped_unread() {
    let system = System::start(Options::default());
    let tap = Tap::join(&system);
    let user = UserId::parse("ann").unwrap();
    let mut raw = raw(&system, &Role::User(user.clone()));
    let mut admin = pack(&Admin::Status).unwrap().to_vec();
    let subject = format!("secgpt.user.{user}.out.admin");
    let inbox = format!("{}.1", bus::subject::inbox::user(&user));
    raw.subscribe(&format!("{}.>", bus::subject::inbox::user(&user)), None, 1).unwrap();
    // Control: as it is, it is answered.
    raw.publish(&subject, Some(&inbox), &admin).unwrap();
    system_tests::program::eventually("an answer", || raw.messages().unwrap().pop());
    admin.resize((4 << 10) + 1, 0xc0);
    raw.publish(&subject, Some(&inbox), &admin).unwrap();
    let _ = tap.until("it is recorded", |heard| {
        let what = &heard.body["what"]["dropped"];
        what["subject"] == subject
            && what["why"].as_str().is_some_and(|why| why.contains("more than the 4096 allowed"))
    });
    assert_eq!(raw.messages().unwrap(), []);
    works(&system);
}
