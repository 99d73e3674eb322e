//! Gmail, Drive and plain requests: every functionality, and the credential that nobody sees.

use std::path::Path;

use bus::message::user::{Choice, Outcome};
use serde_json::{Value, json};
use system_tests::person::{Person, Tap};
use system_tests::system::{Options, System};

use super::{Shipped, TOKEN, only, refused};
use crate::reference::{call, plan};

fn does(person: &mut Person, functionality: &str, args: Value) -> Outcome {
    person.ask(&plan(&json!([call("s1", functionality, &args)])), Choice::Once)
}

#[test]
fn every_functionality_of_gmail_answers_through_the_gateway() {
    let shipped = Shipped::new(&["gmail"]);
    let system = shipped.start(&["gmail"]);
    let mut person = Person::join(&system, "alice");
    let found = does(&mut person, "gmail.search", json!({"query": "rent"}));
    let rent = json!({
        "id": "m3", "thread_id": "t2", "sender": "Ann <ann@post.example>", "to": "me@post.example", "subject": "Rent",
        "date": "Mon, 4 May 2026 09:00:00 +0000", "snippet": "The rent rises. Pay by May.\nGrüße, Ann",
        "body": "The rent rises. Pay by May.\nGrüße, Ann", "attachments": ["plan.pdf"]});
    assert_eq!(*only(&found), json!({"messages": [rent], "threads": [], "more": false}));
    let newest = does(&mut person, "gmail.search", json!({"query": "", "max_results": 1}));
    assert_eq!((&only(&newest)["messages"][0]["id"], &only(&newest)["more"]), (&json!("m3"), &json!(true)));
    let none = does(&mut person, "gmail.search", json!({"query": "no such words"}));
    assert_eq!(*only(&none), json!({"messages": [], "threads": [], "more": false}));
    let threads = does(&mut person, "gmail.search", json!({"query": "dinner", "resource": "threads"}));
    assert_eq!(only(&threads)["threads"][1]["id"], "t1");
    let one = does(&mut person, "gmail.get_message", json!({"message_id": "m3"}));
    assert_eq!(*only(&one), rent);
    let thread = does(&mut person, "gmail.get_thread", json!({"thread_id": "t1"}));
    let bodies: Vec<&Value> =
        only(&thread)["messages"].as_array().unwrap().iter().map(|m| &m["body"]).collect();
    assert_eq!(bodies, ["Seven is fine.", "Dinner at seven?"]);

    let mail = json!({"to": ["ann@post.example", "bob@post.example"], "subject": "Grüße aus Irvine", "message": "Süße Grüße.\nEve", "bcc": "carl@post.example"});
    let sent = does(&mut person, "gmail.send", mail.clone());
    assert_eq!(*only(&sent), json!({"message_id": "sent-1", "thread_id": "t-sent"}));
    let wire = shipped.google.account.lock().unwrap().sent[0].clone();
    let (head, body) = wire.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with(
            "To: ann@post.example, bob@post.example\r\nBcc: carl@post.example\r\nSubject: =?UTF-8?B?"
        ),
        "{wire}"
    );
    assert!(!head.contains("Cc: \r\n") && !wire.replace("\r\n", "").contains('\n'), "{wire:?}");
    let text = data_encoding::BASE64.decode(body.replace("\r\n", "").as_bytes()).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "Süße Grüße.\nEve");
    let draft = does(
        &mut person,
        "gmail.create_draft",
        json!({"to": "ann@post.example", "subject": "Hi", "message": "x"}),
    );
    assert_eq!(*only(&draft), json!({"draft_id": "draft-1", "message_id": "m-draft-1"}));
    assert!(
        shipped.google.account.lock().unwrap().drafts[0]
            .starts_with("To: ann@post.example\r\nSubject: Hi\r\n")
    );
    let gone = does(&mut person, "gmail.delete", json!({"message_id": "m2"}));
    assert_eq!(
        (only(&gone), &shipped.google.account.lock().unwrap().binned),
        (&json!({"deleted": "m2"}), &vec!["m2".to_owned()])
    );
    // What Gmail refuses is told in its words, once.
    let before = shipped.google.server.count();
    let lost = does(&mut person, "gmail.get_message", json!({"message_id": "m9"}));
    assert!(
        refused(&lost).contains("gmail answered 404 Not Found: Requested entity was not found."),
        "{lost:#?}"
    );
    assert_eq!(shipped.google.server.count(), before + 1);
}

#[test]
fn an_argument_of_a_mail_cannot_become_a_header() {
    let shipped = Shipped::new(&["gmail"]);
    let system = shipped.start(&["gmail"]);
    let mut person = Person::join(&system, "alice");
    for to in [
        "ann@post.example\r\nBcc: eve@evil.example",
        "ann@post.example, eve@evil.example",
        "Ann <eve@evil.example>",
    ] {
        let outcome = does(&mut person, "gmail.send", json!({"to": to, "subject": "Hi", "message": "x"}));
        assert!(!outcome.results.iter().any(|result| result.error.is_none()), "{to}: {outcome:#?}");
    }
    // Control: a line break in the subject is a blank.
    does(
        &mut person,
        "gmail.send",
        json!({"to": "ann@post.example", "subject": "Hi\r\nBcc: eve@evil.example", "message": "x"}),
    );
    let sent = shipped.google.account.lock().unwrap().sent.clone();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].contains("Subject: Hi  Bcc: eve@evil.example\r\n") && !sent[0].contains("\r\nBcc"),
        "{}",
        sent[0]
    );
}

#[test]
fn drive_retrieves_the_text_of_what_matches() {
    let shipped = Shipped::new(&["google_drive"]);
    let system = shipped.start(&["google_drive"]);
    let mut person = Person::join(&system, "alice");
    let found = does(&mut person, "google_drive.retrieve", json!({"query": "plants"}));
    let documents = only(&found)["documents"].as_array().unwrap();
    let seen: Vec<(&str, &str)> =
        documents.iter().map(|one| (one["id"].as_str().unwrap(), one["text"].as_str().unwrap())).collect();
    assert_eq!(
        seen[..3],
        [("d1", "We spend 100 on plants."), ("d2", "plant,price\nfern,7\n"), ("d3", "Water the plants.")]
    );
    assert!(seen[3].0 == "d4" && seen[3].1.contains("plants"), "{seen:?}");
    assert_eq!(documents[0]["source"], "https://docs.google.com/document/d/d1");
    let quoted = does(&mut person, "google_drive.retrieve", json!({"query": "Budget's"}));
    assert_eq!(only(&quoted)["documents"][0]["title"], "Budget's plan");
    let none = does(&mut person, "google_drive.retrieve", json!({"query": "' or name contains '"}));
    assert_eq!(only(&none)["documents"], json!([]));
}

#[test]
fn plain_requests_reach_what_the_manifest_names_with_every_method() {
    let shipped = Shipped::new(&["requests"]);
    let system = shipped.start(&[]);
    let mut person = Person::join(&system, "alice");
    let url = format!("https://{}/echo/a?b=c%20d", shipped.address());
    for method in ["get", "post", "put", "patch", "delete"] {
        let mut args = json!({"url": url});
        let sends = ["post", "put", "patch"].contains(&method);
        if sends {
            args["data"] = json!({"text": "ü"});
        }
        let outcome = does(&mut person, &format!("requests.{method}"), args);
        let body = if sends { json!({"text": "ü"}) } else { Value::Null };
        let wanted = json!({"method": method.to_uppercase(), "path": "/echo/a?b=c%20d", "body": body, "authorization": null});
        assert_eq!(*only(&outcome), wanted);
    }
}

/// Every file below, as text.
fn texts(folder: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, all);
        } else if let Ok(bytes) = std::fs::read(&path) {
            all.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[test]
fn the_token_is_on_the_wire_to_google_and_nowhere_else() {
    let shipped = Shipped::new(&["gmail", "google_drive", "requests"]);
    let options = Options { env: vec![("RUST_LOG".into(), "trace".into())], ..Options::default() };
    let system = shipped.start_with(&["gmail", "google_drive"], options);
    let tap = Tap::join(&system);
    let mut person = Person::join(&system, "alice");
    let mut said = String::new();
    for (functionality, args) in [
        ("gmail.search", json!({"query": "rent"})),
        ("gmail.send", json!({"to": "ann@post.example", "subject": "Hi", "message": "x"})),
        ("google_drive.retrieve", json!({"query": "plants"})),
        ("gmail.get_message", json!({"message_id": "m9"})),
        // The same server under another app's name: no token goes there.
        ("requests.get", json!({"url": format!("https://{}/echo", shipped.address())})),
        ("requests.get", json!({"url": format!("https://{}/gmail/v1/users/me/messages", shipped.address())})),
    ] {
        said += &format!("{:?}", does(&mut person, functionality, args));
    }
    // Control: it was there, and the server without it refuses.
    let seen = shipped.google.server.seen.lock().unwrap().clone();
    let with = seen.iter().filter(|seen| seen.header("authorization") == Some(&format!("Bearer {TOKEN}")));
    assert_eq!((with.count(), seen.len()), (9, 11));
    assert!(
        said.contains("invalid authentication credentials") && said.contains("apps authorize requests"),
        "{said}"
    );
    let heard: String = tap.heard().iter().map(|heard| format!("{heard:?}")).collect();
    assert!(heard.contains("fetch-request") && heard.contains("messages/send"), "control: the tap heard it");
    let encoded = data_encoding::BASE64.encode(TOKEN.as_bytes());
    let mut places = vec![
        ("the outcomes".to_owned(), said),
        ("the tap".to_owned(), heard),
        ("secgpt up".to_owned(), system.up_log()),
    ];
    let requests: String = ["planner", "compose", "derive", "spoke"]
        .iter()
        .flat_map(|kind| system.model().requests(kind))
        .map(|request| request.to_string())
        .collect();
    assert!(requests.contains("gmail"), "control: the model was asked");
    places.push(("the model".to_owned(), requests));
    texts(&system.state(), &mut places);
    assert!(
        places.iter().any(|(place, text)| place.ends_with("egress-gateway.log") && !text.is_empty()),
        "control"
    );
    for (place, text) in places {
        assert!(!text.contains(TOKEN) && !text.contains(&encoded), "the token is in {place}");
    }
}

#[test]
fn an_app_without_its_credential_is_not_offered_and_says_what_it_needs() {
    let shipped = Shipped::new(&["gmail", "requests"]);
    let system = System::start(shipped.install(Options::default()));
    let mut person = Person::join(&system, "alice");
    let outcome = does(&mut person, "gmail.search", json!({"query": "rent"}));
    assert!(outcome.results.is_empty(), "{outcome:#?}");
    assert_eq!(shipped.google.server.count(), 0);
    let listed = system.secgpt(&["apps", "list"]).stdout;
    assert!(listed.contains("secgpt apps authorize gmail"), "{listed}");
    // Control: who names it in the settings has it, and is told by Google what is missing.
    let named = System::start(shipped.install(Options::default()).set("apps.enabled", "[\"gmail\"]"));
    let outcome = does(&mut Person::join(&named, "alice"), "gmail.search", json!({"query": "rent"}));
    assert!(refused(&outcome).contains("secgpt apps authorize gmail"), "{outcome:#?}");
}
