//! Arguments become requests.

#![allow(clippy::unwrap_used)]

use bus::message::operation::{Body, Content, Encoding, Endpoint, Parameter, Place, Style};
use serde_json::{Value, json};

use super::*;

fn parameter(name: &str, place: Place, style: Style, explode: bool) -> Parameter {
    Parameter { name: name.into(), argument: name.into(), place, style, explode, reserved: false }
}

fn endpoint(url: &str, parameters: Vec<Parameter>, body: Option<Body>) -> Endpoint {
    Endpoint { method: "POST".into(), url: url.into(), parameters, body, paged: false }
}

fn asked(endpoint: &Endpoint, args: Value) -> Ask {
    ask(endpoint, args.as_object().unwrap()).unwrap()
}

#[test]
fn a_value_in_a_path_cannot_become_another_path() {
    let note = endpoint(
        "https://n.example/notes/{id}/text",
        vec![parameter("id", Place::Path, Style::Simple, false)],
        None,
    );
    let url = |id: Value| ask(&note, json!({"id": id}).as_object().unwrap()).map(|ask| ask.url);
    assert_eq!(url(json!("a b")).unwrap(), "https://n.example/notes/a%20b/text");
    assert_eq!(url(json!(7)).unwrap(), "https://n.example/notes/7/text");
    assert_eq!(
        url(json!("../../admin?x=1#y")).unwrap(),
        "https://n.example/notes/..%2F..%2Fadmin%3Fx%3D1%23y/text"
    );
    assert_eq!(url(json!("@evil.example\\x")).unwrap(), "https://n.example/notes/%40evil.example%5Cx/text");
    assert_eq!(url(json!("%2e%2e")).unwrap(), "https://n.example/notes/%252e%252e/text");
    assert_eq!(url(json!("{id}")).unwrap(), "https://n.example/notes/%7Bid%7D/text");
    for bad in [json!(".."), json!("."), json!(""), json!(null), json!([])] {
        assert!(url(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn lists_and_objects_are_written_in_the_style_of_the_description() {
    let query = |style, explode, value: Value| {
        fill::query(&parameter("q", Place::Query, style, explode), &value).join("&")
    };
    let (list, object) = (json!(["a b", 2]), json!({"r": 1, "s": "x&y"}));
    assert_eq!(query(Style::Form, true, json!("a&b=c")), "q=a%26b%3Dc");
    assert_eq!(query(Style::Form, true, list.clone()), "q=a%20b&q=2");
    assert_eq!(query(Style::Form, false, list.clone()), "q=a%20b,2");
    assert_eq!(query(Style::Form, true, object.clone()), "r=1&s=x%26y");
    assert_eq!(query(Style::Form, false, object.clone()), "q=r,1,s,x%26y");
    assert_eq!(query(Style::SpaceDelimited, false, list.clone()), "q=a%20b%202");
    assert_eq!(query(Style::PipeDelimited, false, list.clone()), "q=a%20b|2");
    assert_eq!(query(Style::DeepObject, true, object.clone()), "q[r]=1&q[s]=x%26y");
    assert_eq!(query(Style::Json, false, json!({"a": [1]})), "q=%7B%22a%22%3A%5B1%5D%7D");
    assert_eq!(query(Style::Form, true, json!(true)), "q=true");
    let path =
        |style, explode, value: &Value| fill::path(&parameter("p", Place::Path, style, explode), value);
    assert_eq!(path(Style::Simple, false, &list), "a%20b,2");
    assert_eq!(path(Style::Simple, true, &object), "r=1,s=x%26y");
    assert_eq!(path(Style::Label, false, &list), ".a%20b.2");
    assert_eq!(path(Style::Matrix, false, &list), ";p=a%20b,2");
    assert_eq!(path(Style::Matrix, true, &list), ";p=a%20b;p=2");
    assert_eq!(path(Style::Matrix, true, &object), ";r=1;s=x%26y");
    let reserved = Parameter { reserved: true, ..parameter("q", Place::Query, Style::Form, true) };
    assert_eq!(fill::query(&reserved, &json!("a/b?c&d=e#f+g")), ["q=a/b?c%26d%3De%23f%2Bg"]);
}

#[test]
fn what_is_not_given_is_not_sent() {
    let parameters = vec![
        parameter("q", Place::Query, Style::Form, true),
        parameter("X-Trace", Place::Header, Style::Simple, false),
    ];
    let fields = Content::Fields(vec!["text".into(), "tags".into()]);
    let body = Body { media_type: "application/json".into(), encoding: Encoding::Json, content: fields };
    let search = endpoint("https://n.example/notes", parameters, Some(body));
    let all = asked(&search, json!({"q": "x", "X-Trace": 7, "text": "a", "tags": [1]}));
    assert_eq!(all.url, "https://n.example/notes?q=x");
    assert!(all.headers.contains(&("X-Trace".into(), "7".into())));
    assert_eq!(&all.body[..], br#"{"text":"a","tags":[1]}"#);
    let none = asked(&search, json!({"q": null}));
    assert_eq!((none.url.as_str(), &none.body[..]), ("https://n.example/notes", &b"{}"[..]));
    assert!(!none.headers.iter().any(|(name, _)| name == "X-Trace"));
}

#[test]
fn a_body_is_written_as_its_type_wants() {
    let sent = |media_type: &str, encoding, value: Value| {
        let body =
            Body { media_type: media_type.into(), encoding, content: Content::Argument("body".into()) };
        let ask = asked(&endpoint("https://n.example/", vec![], Some(body)), json!({"body": value}));
        let media_type = ask.headers.iter().find(|(name, _)| name == "Content-Type").unwrap().1.clone();
        (media_type, String::from_utf8_lossy(&ask.body).into_owned())
    };
    let form = sent(
        "application/x-www-form-urlencoded",
        Encoding::Form,
        json!({"a": "x&y", "b": [1, 2], "c": null}),
    );
    assert_eq!(form.1, "a=x%26y&b=1&b=2");
    assert_eq!(sent("text/csv", Encoding::Text, json!("a,b")), ("text/csv".into(), "a,b".into()));
    assert_eq!(sent("image/png", Encoding::Base64, json!("aGk=")).1, "hi");
    assert_eq!(sent("image/png", Encoding::Base64, json!("aGk")).1, "hi");
    let file = json!({"file_name": "a\"\r\nX: y.txt", "media_type": "text/plain", "base64": "aGk="});
    let (media_type, parts) =
        sent("multipart/form-data", Encoding::Multipart, json!({"note": "n", "file": file}));
    let boundary = media_type.split_once("boundary=").unwrap().1;
    assert_eq!(parts.matches(boundary).count(), 3);
    assert!(parts.contains("name=\"note\"\r\n\r\nn\r\n"), "{parts}");
    assert!(
        parts.contains("filename=\"a%22%0D%0AX: y.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n"),
        "{parts}"
    );
}

#[test]
fn a_body_that_no_message_holds_is_refused() {
    let body = Body {
        media_type: "text/plain".into(),
        encoding: Encoding::Text,
        content: Content::Argument("body".into()),
    };
    let put = endpoint("https://n.example/", vec![], Some(body));
    let failure = ask(&put, json!({"body": "x".repeat(1 << 20)}).as_object().unwrap()).unwrap_err();
    assert!(failure.detail.contains("more than the"), "{failure}");
}

#[test]
fn a_list_in_pages_shows_where_the_next_one_is() {
    assert_eq!(
        paged(json!([1]), Some("https://n.example/?page=2".into())),
        json!({"items": [1], "next": "https://n.example/?page=2"})
    );
    assert_eq!(paged(json!([]), None), json!({"items": [], "next": null}));
}
