//! Arguments in a request's body.
//!
//! Answers: which bytes, and of which type, are made of these arguments?
//! Never: makes more of them than one message to the gateway holds.
//! Carries: I-16.

use bus::id::WorkId;
use bus::message::egress::MAX_REQUEST_BODY;
use bus::message::operation::{Body, Content, Encoding, File, as_file};
use bus::message::task::Failure;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::{Map, Value};

use super::fill::{encoded, text};
use super::wrong;

/// The type and the bytes; nothing, where nothing is given.
pub(super) fn bytes(body: &Body, args: &Map<String, Value>) -> Result<Option<(String, Bytes)>, Failure> {
    let fields = match &body.content {
        Content::Argument(name) => match args.get(name) {
            Some(value) => value.clone(),
            None => return Ok(None),
        },
        Content::Fields(names) => {
            let given = names.iter().filter_map(|name| Some((name.clone(), args.get(name)?.clone())));
            Value::Object(given.collect())
        }
    };
    let (media_type, bytes) = match body.encoding {
        Encoding::Json => (body.media_type.clone(), fields.to_string().into_bytes()),
        Encoding::Form => (body.media_type.clone(), form(&fields).into_bytes()),
        Encoding::Multipart => multipart(&fields)?,
        Encoding::Text => (body.media_type.clone(), text(&fields).into_bytes()),
        Encoding::Base64 => (body.media_type.clone(), from_base64(&text(&fields))?),
    };
    bounded(bytes).map(|bytes| Some((media_type, bytes)))
}

/// Not more than a message holds.
pub(super) fn bounded(bytes: Vec<u8>) -> Result<Bytes, Failure> {
    if MAX_REQUEST_BODY < bytes.len() {
        let words =
            format!("the request has {} bytes, more than the {MAX_REQUEST_BODY} that are sent", bytes.len());
        return Err(wrong(words));
    }
    Ok(bytes.into())
}

/// In any of the ways in which base64 is written.
pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, Failure> {
    let plain: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let ways = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD];
    ways.iter()
        .find_map(|way| way.decode(&plain).ok())
        .ok_or_else(|| wrong("a value that should be base64 is not"))
}

fn form(fields: &Value) -> String {
    let Value::Object(fields) = fields else { return encoded(&text(fields)) };
    let mut pairs = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        pairs.extend(values.iter().map(|value| format!("{}={}", encoded(name), encoded(&text(value)))));
    }
    pairs.join("&")
}

fn multipart(fields: &Value) -> Result<(String, Vec<u8>), Failure> {
    let Value::Object(fields) = fields else { return Err(wrong("a form of several parts is an object")) };
    // Random, so that no value can be made to end its part.
    let boundary = format!("part-{}{}", WorkId::fresh(), WorkId::fresh());
    let mut bytes = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let mut head =
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(name));
            let content = match as_file(value) {
                Some(File { file_name, media_type, base64 }) => {
                    let media_type = media_type.as_deref().unwrap_or("application/octet-stream");
                    head.push_str(&format!(
                        "; filename=\"{}\"\r\nContent-Type: {}",
                        quoted(&file_name),
                        one_line(media_type)
                    ));
                    from_base64(&base64)?
                }
                None => text(value).into_bytes(),
            };
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(b"\r\n\r\n");
            bytes.extend_from_slice(&content);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), bytes))
}

/// As browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
