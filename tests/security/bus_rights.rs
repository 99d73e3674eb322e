//! What a hostile spoke, tap or user can do with its own credential on a real broker.
//! Carries: I-01, I-03, I-04, I-09, I-16.

use bus::acl::Role;
use bus::id::{AppId, SpokeAddr, SpokeId, UserId};
use bus::limits::MAX_PAYLOAD;
use system_tests::nats::Nats;

fn spoke(app: &str, id: &str) -> SpokeAddr {
    SpokeAddr { app: AppId::parse(app).unwrap(), id: SpokeId::parse(id).unwrap() }
}

#[track_caller]
fn refused(verdict: Result<(), String>, what: &str, subject: &str) {
    let expected = format!("Permissions Violation for {what} to \"{subject}\"");
    assert_eq!(verdict, Err(expected));
}

#[test]
fn an_app_cannot_publish_as_another_app() {
    let nats = Nats::start();
    let mut tap = nats.raw(&Role::Tap);
    tap.subscribe("secgpt.spoke.>", None, 1).unwrap();
    let mut mail = nats.raw(&Role::Spoke(spoke("mail", "a1")));
    for other in [
        "secgpt.spoke.drive.b1.out.isc.request",
        "secgpt.spoke.mail.a2.out.isc.request",
        "secgpt.spoke.drive.b1.in.task",
        "secgpt.spoke.mail.a1.in.task",
        "secgpt.hub.in.reply.x",
        "secgpt.hub.out.llm.budget",
        "secgpt.user.ann.out.consent",
        "secgpt.user.ann.in.prompt",
        "secgpt.host.local.out.spawned",
        "secgpt.audit.hub.decision",
    ] {
        refused(mail.publish(other, None, b"x"), "Publish", other);
    }
    // Control: its own subject carries the same message, and the tap has heard nothing else.
    mail.publish("secgpt.spoke.mail.a1.out.isc.request", None, b"x").unwrap();
    let heard: Vec<String> = tap.messages().unwrap().into_iter().map(|message| message.subject).collect();
    assert_eq!(heard, ["secgpt.spoke.mail.a1.out.isc.request"]);
}

#[test]
fn an_app_cannot_hear_another_apps_replies() {
    let nats = Nats::start();
    let mut mail = nats.raw(&Role::Spoke(spoke("mail", "a1")));
    for elsewhere in [
        ">",
        "secgpt.>",
        "secgpt.spoke.>",
        "secgpt.spoke.*.*.in.>",
        "secgpt.spoke.mail.>",
        "secgpt.spoke.mail.*.in.>",
        "secgpt.spoke.mail.a1.>",
        "secgpt.spoke.mail.a1.out.>",
        "secgpt.spoke.drive.b1.in.reply.x",
        "secgpt.user.ann.in.>",
        "secgpt.audit.>",
        "_INBOX.>",
        "$SYS.>",
        "$JS.EVENT.>",
    ] {
        let verdict = mail.subscribe(elsewhere, None, 1);
        refused(verdict, "Subscription", elsewhere);
        let verdict = mail.subscribe(elsewhere, Some("thieves"), 2);
        let expected =
            format!("Permissions Violation for Subscription to \"{elsewhere}\" using queue \"thieves\"");
        assert_eq!(verdict, Err(expected));
    }
    // Control: on its own subjects it hears what is for it, and nothing of what is for the other.
    mail.subscribe("secgpt.spoke.mail.a1.in.>", None, 3).unwrap();
    let mut hub = nats.raw(&Role::Hub);
    hub.publish("secgpt.spoke.drive.b1.in.task", None, b"theirs").unwrap();
    hub.publish("secgpt.spoke.mail.a1.in.task", None, b"own").unwrap();
    let heard = mail.messages().unwrap();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].bytes, b"own");
}

#[test]
fn there_is_no_direct_path_between_apps() {
    let nats = Nats::start();
    let mut mail = nats.raw(&Role::Spoke(spoke("mail", "a1")));
    let mut drive = nats.raw(&Role::Spoke(spoke("drive", "b1")));
    drive.subscribe("secgpt.spoke.drive.b1.in.>", None, 1).unwrap();
    refused(
        drive.subscribe("secgpt.spoke.mail.a1.out.>", None, 2),
        "Subscription",
        "secgpt.spoke.mail.a1.out.>",
    );
    refused(
        mail.publish("secgpt.spoke.drive.b1.in.task", None, b"x"),
        "Publish",
        "secgpt.spoke.drive.b1.in.task",
    );
    mail.publish("secgpt.spoke.mail.a1.out.isc.request", None, b"x").unwrap();
    assert_eq!(drive.messages().unwrap(), []);
}

#[test]
fn the_tap_has_no_publish_right() {
    let nats = Nats::start();
    let mut tap = nats.raw(&Role::Tap);
    tap.subscribe("secgpt.>", None, 1).unwrap();
    for subject in
        ["secgpt.audit.hub.decision", "secgpt.user.ann.out.consent", "tap", "_INBOX.x", "$SRV.PING"]
    {
        refused(tap.publish(subject, None, b"x"), "Publish", subject);
    }
    // Control: another's message on the same subject does reach it.
    nats.raw(&Role::Hub).publish("secgpt.audit.hub.decision", None, b"x").unwrap();
    assert_eq!(tap.messages().unwrap().len(), 1);
}

#[test]
fn a_user_can_neither_answer_nor_read_anothers_prompts() {
    let nats = Nats::start();
    let mut ann = nats.raw(&Role::User(UserId::parse("ann").unwrap()));
    refused(ann.publish("secgpt.user.bob.out.consent", None, b"x"), "Publish", "secgpt.user.bob.out.consent");
    refused(ann.subscribe("secgpt.user.bob.in.>", None, 1), "Subscription", "secgpt.user.bob.in.>");
    refused(ann.subscribe("secgpt.user.*.in.>", None, 1), "Subscription", "secgpt.user.*.in.>");
    ann.subscribe("secgpt.user.ann.in.>", None, 1).unwrap();
    ann.publish("secgpt.user.ann.out.consent", None, b"x").unwrap();
}

#[test]
fn a_task_gives_a_spoke_no_right_to_answer_elsewhere() {
    let nats = Nats::start();
    let mut hub = nats.raw(&Role::Hub);
    let mut mail = nats.raw(&Role::Spoke(spoke("mail", "a1")));
    mail.subscribe("secgpt.spoke.mail.a1.in.>", None, 1).unwrap();
    for reply in ["secgpt.hub.in.reply.x", "secgpt.spoke.drive.b1.in.task"] {
        hub.publish("secgpt.spoke.mail.a1.in.task", Some(reply), b"do").unwrap();
        assert_eq!(mail.messages().unwrap().len(), 1);
        refused(mail.publish(reply, None, b"x"), "Publish", reply);
    }
    // Control: a service of the core has that right, for one message, because the $SRV protocol needs it.
    let mut operator = nats.raw(&Role::Operator);
    operator.subscribe("_INBOX.>", None, 1).unwrap();
    let mut gateway = nats.raw(&Role::LlmGateway);
    gateway.subscribe("$SRV.>", None, 1).unwrap();
    refused(gateway.publish("_INBOX.x", None, b"pong"), "Publish", "_INBOX.x");
    operator.publish("$SRV.PING", Some("_INBOX.x"), b"").unwrap();
    assert_eq!(gateway.messages().unwrap().len(), 1);
    gateway.publish("_INBOX.x", None, b"pong").unwrap();
    refused(gateway.publish("_INBOX.x", None, b"pong"), "Publish", "_INBOX.x");
    assert_eq!(operator.messages().unwrap().len(), 1);
}

#[test]
fn a_message_larger_than_allowed_ends_the_connection() {
    let nats = Nats::start();
    let own = "secgpt.spoke.mail.a1.out.log.line";
    let mut mail = nats.raw(&Role::Spoke(spoke("mail", "a1")));
    mail.publish(own, None, &vec![b'x'; MAX_PAYLOAD]).unwrap();
    let verdict = mail.publish(own, None, &vec![b'x'; MAX_PAYLOAD + 1]);
    assert_eq!(verdict, Err("Maximum Payload Violation".into()));
}

#[test]
fn a_spoke_cannot_pile_up_subscriptions() {
    let nats = Nats::start();
    let mut mail = nats.raw(&Role::Spoke(spoke("mail", "a1")));
    let verdicts: Vec<_> = (0..300)
        .map(|sid| mail.subscribe(&format!("secgpt.spoke.mail.a1.in.reply.{sid}"), None, sid))
        .collect();
    let taken = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
    assert_eq!(taken, 256);
    assert_eq!(verdicts[299], Err("maximum subscriptions exceeded".into()));
}
