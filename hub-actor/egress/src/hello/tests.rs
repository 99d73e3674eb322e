//! What `hello.rs` promises, each promise a test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// What rustls sends first.
fn real(host: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client =
        ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// A hello with these extensions, in records of at most `record` bytes.
fn made(extensions: &[(u16, Vec<u8>)], record: usize) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let mut all = Vec::new();
    for (kind, content) in extensions {
        all.extend(kind.to_be_bytes());
        all.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        all.extend(content);
    }
    body.extend(u16::try_from(all.len()).unwrap().to_be_bytes());
    body.extend(all);
    let mut message = vec![1];
    message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend(body);
    let mut bytes = Vec::new();
    for part in message.chunks(record) {
        bytes.extend([22, 3, 1]);
        bytes.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

fn server_name(name: &str) -> (u16, Vec<u8>) {
    let length = u16::try_from(name.len()).unwrap();
    let mut content = (length + 3).to_be_bytes().to_vec();
    content.push(0);
    content.extend(length.to_be_bytes());
    content.extend(name.as_bytes());
    (0, content)
}

#[test]
fn a_real_hello_is_read_whole_and_in_every_part() {
    let bytes = real("www.example.com");
    assert_eq!(read(&bytes), Reading::For("www.example.com".into()));
    for end in 0..bytes.len() {
        assert_eq!(read(&bytes[..end]), Reading::More, "{end} of {}", bytes.len());
    }
}

#[test]
fn a_hello_in_many_records_is_read() {
    let bytes = made(&[server_name("Example.COM"), (10, vec![0, 0])], 5);
    assert_eq!(read(&bytes), Reading::For("example.com".into()));
    for end in 0..bytes.len() {
        assert_eq!(read(&bytes[..end]), Reading::More, "{end}");
    }
}

#[test]
fn what_a_server_could_read_otherwise_is_refused() {
    let two = made(&[server_name("example.com"), server_name("evil.org")], 4096);
    assert_eq!(read(&two), Reading::Refused("the TLS hello names two servers"));
    let (_, mut list) = server_name("example.com");
    let (_, other) = server_name("evil.org");
    list.extend(&other[2..]);
    let length = u16::try_from(list.len() - 2).unwrap();
    list[..2].copy_from_slice(&length.to_be_bytes());
    assert!(matches!(read(&made(&[(0, list)], 4096)), Reading::Refused(_)));
    for hidden in [0xfe0d, 0xffce] {
        let bytes = made(&[server_name("example.com"), (hidden, vec![0; 8])], 4096);
        assert!(matches!(read(&bytes), Reading::Refused(why) if why.contains("ECH")));
    }
    assert_eq!(read(&made(&[], 4096)), Reading::Refused("the TLS hello names no server"));
    for name in ["", "exa mple.com", "example.com\0", "ex\u{e9}mple.com"] {
        assert!(matches!(read(&made(&[server_name(name)], 4096)), Reading::Refused(_)), "{name:?}");
    }
}

#[test]
fn what_is_not_tls_is_refused_at_its_first_bytes() {
    let others: [&[u8]; 5] =
        [b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x03\x01", b"\x16\x02\x00", b"\x15\x03\x01"];
    for bytes in others {
        assert!(matches!(read(bytes), Reading::Refused(_)), "{bytes:?}");
    }
}

#[test]
fn bytes_before_the_servers_answer_are_refused() {
    let mut bytes = made(&[server_name("example.com")], 4096);
    let more = [1, 0, 0, 0];
    let length = u16::from_be_bytes([bytes[3], bytes[4]]) + u16::try_from(more.len()).unwrap();
    bytes[3..5].copy_from_slice(&length.to_be_bytes());
    bytes.extend(more);
    assert!(matches!(read(&bytes), Reading::Refused(why) if why.contains("more than")));
}

#[test]
fn a_hello_without_end_is_refused() {
    let mut bytes = vec![22, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xff];
    bytes.resize(LONGEST, 0);
    assert!(matches!(read(&bytes), Reading::Refused(_)));
    assert!(matches!(read(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]), Reading::Refused(_)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_damaged_hello_never_panics_and_never_grows_a_name(at in 0usize..400, byte in any::<u8>(), end in 0usize..600) {
        let mut bytes = real("www.example.com");
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        bytes.truncate(end.max(1));
        if let Reading::For(name) = read(&bytes) {
            prop_assert_eq!(name.len(), "www.example.com".len());
        }
    }

    #[test]
    fn a_name_is_read_as_it_was_written(name in "[a-zA-Z0-9._-]{1,60}", record in 1usize..300) {
        let bytes = made(&[(43, vec![2, 3, 4]), server_name(&name)], record);
        prop_assert_eq!(read(&bytes), Reading::For(name.to_ascii_lowercase()));
    }
}
