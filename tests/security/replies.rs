//! A spoke cannot have a service publish for it where it may not publish itself.
//! Carries: I-02.

use bus::acl::Role;
use bus::envelope;
use bus::id::{AppId, SpokeAddr, SpokeId, WorkId};
use bus::launch::LlmConfig;
use bus::message::audit::{Record, What};
use bus::message::chat::{ChatReply, ChatRequest, Turn};
use system_tests::core_process::Core;
use system_tests::nats::Nats;
use system_tests::program::eventually;

fn spoke(app: &str, id: &str) -> Role {
    Role::Spoke(SpokeAddr { app: AppId::parse(app).unwrap(), id: SpokeId::parse(id).unwrap() })
}

#[test]
fn a_foreign_reply_subject_is_not_answered_but_recorded() {
    let nats = Nats::start();
    let config = LlmConfig {
        base_url: "http://127.0.0.1:1/v1".into(),
        model: "m".into(),
        api_key: None,
        embeddings_model: None,
        timeout_ms: 2000,
    };
    let _gateway = Core::start(&nats, "llm-gateway", &Role::LlmGateway, config);
    let mut tap = nats.raw(&Role::Tap);
    tap.subscribe("secgpt.audit.llm.dropped", None, 1).unwrap();
    let mut drive = nats.raw(&spoke("drive", "b1"));
    drive.subscribe("secgpt.spoke.drive.b1.in.>", None, 1).unwrap();
    let mut hub = nats.raw(&Role::Hub);
    hub.subscribe("secgpt.hub.in.>", None, 1).unwrap();

    let mut mail = nats.raw(&spoke("mail", "a1"));
    mail.subscribe("secgpt.spoke.mail.a1.in.>", None, 1).unwrap();
    let request = ChatRequest {
        task: WorkId::parse("t1").unwrap(),
        turns: vec![Turn::User { text: "hi".into() }],
        tools: vec![],
        schema: None,
        stream: false,
    };
    let body = envelope::pack(&request).unwrap();
    let foreign = [
        "secgpt.spoke.drive.b1.in.reply.x",
        "secgpt.spoke.drive.b1.in.task",
        "secgpt.spoke.mail.a1.in.task",
        "secgpt.hub.in.reply.x",
        "secgpt.spoke.mail.a1.in.replyx",
        "secgpt.spoke.mail.a1.out.isc.request",
        "_INBOX.x",
    ];
    for reply in foreign {
        mail.publish("secgpt.spoke.mail.a1.out.llm.chat", Some(reply), &body).unwrap();
    }
    let mut dropped: Vec<String> = Vec::new();
    eventually("a record for each attempt", || {
        dropped.extend(tap.messages().unwrap().iter().map(|message| why(&message.bytes)));
        (dropped.len() == foreign.len()).then_some(())
    });
    for (why, reply) in dropped.iter().zip(foreign) {
        assert_eq!(*why, format!("the reply subject {reply:?} is not the caller's own"));
    }
    assert_eq!(drive.messages().unwrap(), []);
    assert_eq!(hub.messages().unwrap(), []);
    assert_eq!(mail.messages().unwrap(), []);

    // Control: into its own inbox the same request is answered (there is no budget for it).
    mail.publish("secgpt.spoke.mail.a1.out.llm.chat", Some("secgpt.spoke.mail.a1.in.reply.x"), &body)
        .unwrap();
    let answer = eventually("an answer", || mail.messages().unwrap().into_iter().next());
    assert_eq!(answer.subject, "secgpt.spoke.mail.a1.in.reply.x");
    let answer: ChatReply = rmp(&answer.bytes);
    assert!(matches!(answer, ChatReply::Failed { .. }), "{answer:?}");
}

fn why(bytes: &[u8]) -> String {
    match rmp::<Record>(bytes).what {
        What::Dropped { subject, why } => {
            assert_eq!(subject, "secgpt.spoke.mail.a1.out.llm.chat");
            why
        }
        other => panic!("{other:?}"),
    }
}

/// The body behind the headers.
fn rmp<M: envelope::Message>(bytes: &[u8]) -> M {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    envelope::unpack(None, &bytes[end + 4..]).unwrap()
}
