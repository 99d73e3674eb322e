//! Any API with a description: arguments, bodies, answers, refusals, limits.

use bus::message::user::{Choice, Outcome};
use serde_json::{Value, json};
use system_tests::person::Person;
use system_tests::system::System;
use system_tests::web_server::{Act, Seen, answer};

use super::{only, refused};
use crate::reference::{call, plan};
use system_tests::scratch::Scratch;
use system_tests::system::Options;
use system_tests::web_server::Server;

fn says(seen: &Seen) -> Vec<Act> {
    let json = [("Content-Type", "application/json")];
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    match seen.path().split('?').next().unwrap() {
        "/notes/a%2Fb" => answer(
            "200 OK",
            &json,
            &json!({"line": seen.line, "trace": seen.header("x-trace"), "agent": seen.header("user-agent")})
                .to_string(),
        ),
        "/notes" => {
            let link = [
                ("Content-Type", "application/json"),
                ("Link", "<https://n.example/notes?page=2>; rel=\"next\""),
            ];
            answer("200 OK", &link, "[{\"id\": 1}]")
        }
        "/form" => answer(
            "201 Created",
            &json,
            &json!({"type": seen.header("content-type"), "body": body}).to_string(),
        ),
        "/picture" => vec![Act::Send(
            [
                &b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n"[..],
                &[0x89, 0x50, 0xff, 0x00],
            ]
            .concat(),
        )],
        "/text" => answer("200 OK", &[("Content-Type", "text/plain; charset=utf-8")], "plain words"),
        "/nothing" => answer("204 No Content", &[], ""),
        "/refuses" => answer("422 Unprocessable Content", &json, "{\"error\": \"no such recipient\"}"),
        "/broken" => answer("500 Oops", &[("Content-Type", "text/html")], "<h1>oops</h1>"),
        "/large" => answer("200 OK", &json, &json!({"text": "x".repeat(2 << 20)}).to_string()),
        "/long" => answer("200 OK", &[("Content-Type", "text/plain")], &"word ".repeat(200_000)),
        "/wrong" => answer("200 OK", &json, "{\"id\": \"seven\"}"),
        "/endless" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n".to_vec()),
            Act::Endless(vec![b'x'; 4096], std::time::Duration::from_millis(1)),
        ],
        "/hangs" => vec![Act::Pause(std::time::Duration::from_secs(60))],
        other => {
            answer("404 Not Found", &json, &json!({"error": {"message": format!("no {other}")}}).to_string())
        }
    }
}

fn description(server: &str) -> Value {
    let ok =
        json!({"200": {"description": "", "content": {"application/json": {"schema": {"type": "object"}}}}});
    let get = |id: &str| json!({"get": {"operationId": id}});
    json!({
        "openapi": "3.0.3", "info": {"title": "notes", "version": "1"}, "servers": [{"url": server}],
        "paths": {
            "/notes/{id}": {"get": {"operationId": "getNote", "responses": ok, "parameters": [
                {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}]}},
            "/notes": {"get": {"operationId": "listNotes", "responses": {"200": {"headers": {"Link": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}}}},
            "/form": {"post": {"operationId": "postForm", "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema": {
                "type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}}}}}}}},
            "/picture": get("picture"), "/text": get("text"), "/nothing": get("nothing"), "/refuses": get("refuses"),
            "/broken": get("broken"), "/large": get("large"), "/long": get("long"), "/endless": get("endless"), "/hangs": get("hangs"),
            "/wrong": {"get": {"operationId": "wrong", "responses": {"200": {"content": {"application/json": {"schema":
                {"type": "object", "properties": {"id": {"type": "integer"}}}}}}}}},
        },
    })
}

struct Notes {
    _runtime: tokio::runtime::Runtime,
    _apps: Scratch,
    server: Server,
    system: System,
}

impl Notes {
    fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::plain(says));
        let apps = Scratch::new("apps");
        let folder = apps.join("notes");
        std::fs::create_dir(&folder).unwrap();
        let url = format!("http://{}", server.address);
        let description = description(&url);
        let mut manifest = format!(
            "name = \"notes\"\nkind = \"http\"\ndescription = \"Notes.\"\nopenapi = \"api.json\"\n[network]\nlocal = [\"{}\"]\n[limits]\ntask_s = 8\n",
            server.address
        );
        for name in [
            "getNote",
            "listNotes",
            "postForm",
            "picture",
            "text",
            "nothing",
            "refuses",
            "broken",
            "large",
            "long",
            "wrong",
            "endless",
            "hangs",
        ] {
            manifest +=
                &format!("[[functionality]]\nname = \"{name}\"\neffect = \"read\"\ndiscovered = true\n");
        }
        std::fs::write(folder.join("app.toml"), manifest).unwrap();
        std::fs::write(folder.join("api.json"), description.to_string()).unwrap();
        let dirs = json!([apps.path()]).to_string();
        let system = System::start(Options::default().set("apps.dirs", &dirs));
        Self { _runtime: runtime, _apps: apps, server, system }
    }

    fn person(&self) -> Person {
        Person::join(&self.system, "alice")
    }
}

fn does(person: &mut Person, name: &str, args: Value) -> Outcome {
    person.ask(&plan(&json!([call("s1", &format!("notes.{name}"), &args)])), Choice::Deny)
}

#[test]
fn a_described_api_is_called_as_its_description_says() {
    let notes = Notes::start();
    let mut person = notes.person();
    let note = does(&mut person, "getNote", json!({"id": "a/b", "tags": ["x y", "z&"], "X-Trace": "t1"}));
    let wanted =
        json!({"line": "GET /notes/a%2Fb?tags=x%20y&tags=z%26 HTTP/1.1", "trace": "t1", "agent": "secgpt"});
    assert_eq!(*only(&note), wanted);
    let list = does(&mut person, "listNotes", json!({}));
    assert_eq!(*only(&list), json!({"items": [{"id": 1}], "next": "https://n.example/notes?page=2"}));
    let form = does(&mut person, "postForm", json!({"a": "ü&", "b": [1, 2]}));
    assert_eq!(
        *only(&form),
        json!({"type": "application/x-www-form-urlencoded", "body": "a=%C3%BC%26&b=1&b=2"})
    );
    let picture = does(&mut person, "picture", json!({}));
    assert_eq!(*only(&picture), json!({"media_type": "image/png", "base64": "iVD/AA=="}));
    assert_eq!(*only(&does(&mut person, "text", json!({}))), "plain words");
    assert_eq!(*only(&does(&mut person, "nothing", json!({}))), Value::Null);
}

#[test]
fn an_api_that_refuses_is_asked_once_and_quoted() {
    let notes = Notes::start();
    let mut person = notes.person();
    let refusal = does(&mut person, "refuses", json!({}));
    assert_eq!(refused(&refusal), "notes answered 422 Unprocessable Content: no such recipient");
    let broken = does(&mut person, "broken", json!({}));
    assert_eq!(refused(&broken), "notes answered 500 Internal Server Error: <h1>oops</h1>");
    assert_eq!(notes.server.count(), 2);
    let before = notes.server.count();
    let misfit = does(&mut person, "getNote", json!({"id": 7}));
    assert!(format!("{misfit:?}").contains("id") && notes.server.count() == before, "{misfit:#?}");
}

#[test]
fn an_answer_that_is_too_large_too_late_or_not_as_described_is_a_clear_failure() {
    let notes = Notes::start();
    let mut person = notes.person();
    let large = does(&mut person, "large", json!({}));
    assert!(refused(&large).contains("ask for less at once"), "{large:#?}");
    let long = does(&mut person, "long", json!({}));
    let text = only(&long).as_str().unwrap();
    assert!(
        text.ends_with("[cut here: the text has 1000000 bytes]") && text.len() < 256 << 10,
        "{}",
        text.len()
    );
    let wrong = does(&mut person, "wrong", json!({}));
    assert!(refused(&wrong).contains("does not fit its response schema"), "{wrong:#?}");
    let endless = does(&mut person, "endless", json!({}));
    let text = only(&endless).as_str().unwrap();
    assert!(text.contains("more than 1048576 bytes]"), "{}", &text[text.len() - 80..]);
    let hangs = does(&mut person, "hangs", json!({}));
    assert!(!refused(&hangs).is_empty() && hangs.elapsed_ms < 20_000, "{hangs:#?}");
    // Control: the spoke has not suffered.
    assert_eq!(*only(&does(&mut person, "text", json!({}))), "plain words");
}
