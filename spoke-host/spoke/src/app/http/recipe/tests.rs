//! Templates make requests and results, and nothing that is put into one gets out of its place.

#![allow(clippy::unwrap_used)]

use super::*;

fn seen(values: Value) -> Seen {
    let values = values.as_object().unwrap().clone().into_iter().collect();
    Seen { environment: environment(), values }
}

#[test]
fn a_value_stays_in_its_place() {
    let seen = seen(json!({"args": {"id": "a/b?c=\"d\" & e", "list": [1, "x"], "dots": ".."}}));
    let url = |template: &str| seen.text(Form::Url, template, None);
    assert_eq!(
        url("https://m.example/{{ args.id }}?n={{ args.none }}").unwrap(),
        "https://m.example/a%2Fb%3Fc%3D%22d%22%20%26%20e?n="
    );
    assert!(url("https://m.example/{{ args.dots }}").unwrap_err().detail.contains("part of the address"));
    let json = seen.text(
        Form::Json,
        r#"{"id": {{ args.id }}, "list": {{ args.list }}, "none": {{ args.none }}}"#,
        None,
    );
    let json: Value = serde_json::from_str(&json.unwrap()).unwrap();
    assert_eq!(json, json!({"id": "a/b?c=\"d\" & e", "list": [1, "x"], "none": null}));
}

#[test]
fn a_template_without_end_ends() {
    let seen = seen(json!({"args": {}}));
    let template = "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
    let failure = seen.text(Form::Plain, template, None).unwrap_err();
    assert!(failure.detail.contains("fuel"), "{failure}");
}

#[test]
fn a_mail_is_written_so_that_no_header_can_be_added() {
    let mail = |to: &str, subject: &str| {
        let seen = seen(json!({"args": {"to": to, "subject": subject}}));
        seen.text(Form::Plain, "To: {{ args.to|one_line }}\r\nSubject: {{ args.subject|mime_word }}", None)
    };
    assert_eq!(mail("a@b.example", "Rent").unwrap(), "To: a@b.example\r\nSubject: Rent");
    assert!(mail("a@b.example\r\nBcc: x@evil.example", "Rent").unwrap_err().detail.contains("line break"));
    assert_eq!(mail("a@b.example", "Rent\r\nBcc: x@evil.example").unwrap().lines().count(), 2);
    let long = mail("a@b.example", &"Grüße ".repeat(30)).unwrap();
    let subject = long.split_once("Subject: ").unwrap().1;
    assert!(subject.lines().all(|line| line.len() <= 76 && line.trim().starts_with("=?UTF-8?B?")), "{long}");
}

#[test]
fn parts_of_a_mail_are_found_wherever_they_are() {
    let message = json!({"payload": {
        "headers": [{"name": "subject", "value": "Rent"}],
        "parts": [{"mimeType": "image/png"}, {"mimeType": "multipart/alternative", "parts": [
            {"mimeType": "text/plain", "body": {"data": "UGF5IGJ5IE1heS4_"}}, {"mimeType": "text/html", "body": {"data": "x"}}]}]}});
    let seen = seen(json!({"message": message}));
    let text = seen.text(
        Form::Json,
        "{{ (message.payload|walk('parts')|selectattr('mimeType', 'equalto', 'text/plain')|first).body.data|unbase64 }}",
        None,
    );
    assert_eq!(text.unwrap(), "\"Pay by May.?\"");
    assert_eq!(
        seen.text(Form::Json, "{{ message.payload.headers|field('Subject') }}", None).unwrap(),
        "\"Rent\""
    );
    assert_eq!(seen.text(Form::Json, "{{ nothing|field('Subject') }}", None).unwrap(), "\"\"");
}

#[test]
fn html_is_read_without_its_tags() {
    let seen = seen(
        json!({"html": "<html><style>p {}</style><p>Pay &amp; smile<br>by <b>May</b>.</p><script>x<y</script></html>"}),
    );
    assert_eq!(seen.text(Form::Plain, "{{ html|untag }}", None).unwrap(), "Pay & smile\nby May.");
}

#[test]
fn a_fault_of_a_template_is_told_with_its_line() {
    let failure = seen(json!({})).text(Form::Json, "{\n {{ a +\n}", None).unwrap_err();
    assert!(failure.detail.contains("recipe") && failure.detail.contains("line"), "{failure}");
}
