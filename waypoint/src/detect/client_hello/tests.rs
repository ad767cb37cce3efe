//! Server names: of a real client, in any pieces and records, and of anything that only looks like one.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};

use super::{Hello, server_name};

/// What rustls says to a server of this name.
fn hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn named(name: &str) -> Hello {
    Hello::Named(name.to_owned())
}

/// The same handshake message in records of `size` bytes.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for fragment in hello[5..].chunks(size) {
        out.extend_from_slice(&[22, 3, 1]);
        out.extend_from_slice(&u16::try_from(fragment.len()).unwrap().to_be_bytes());
        out.extend_from_slice(fragment);
    }
    out
}

/// A ClientHello by hand, with these extensions.
fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, data) in extensions {
        list.extend_from_slice(&kind.to_be_bytes());
        list.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        list.extend_from_slice(data);
    }
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 2, 0x13, 1, 1, 0]);
    body.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&list);
    let mut message = vec![1];
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend_from_slice(&body);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&message);
    record
}

fn name_list(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut out = (length + 3).to_be_bytes().to_vec();
    out.push(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(name);
    out
}

#[test]
fn the_name_of_a_real_client_is_found_once_all_of_it_is_there() {
    let bytes = hello("Reviews.Example.ORG");
    for end in 0..bytes.len() {
        // One record: what is missing is known as soon as its length is.
        let missing = match end {
            0..9 => 9 - end,
            _ => bytes.len() - end,
        };
        let hello = server_name(&bytes[..end]);
        assert_eq!(hello, Hello::More(missing), "{end}");
    }
    assert_eq!(server_name(&bytes), named("reviews.example.org"));
    let followed = [&bytes[..], b"more"].concat();
    assert_eq!(server_name(&followed), named("reviews.example.org"));
}

#[test]
fn a_client_that_calls_an_address_names_nobody() {
    assert_eq!(server_name(&hello("10.0.0.1")), Hello::Unnamed);
    assert_eq!(server_name(&with_extensions(&[])), Hello::Unnamed);
}

#[test]
fn the_message_may_be_spread_over_records() {
    let bytes = hello("a.example");
    for size in [1, 2, 3, 4, 5, 50, 200] {
        let spread = in_records(&bytes, size);
        assert_eq!(server_name(&spread), named("a.example"), "{size}");
        for end in 0..spread.len() {
            let Hello::More(missing) = server_name(&spread[..end]) else {
                panic!("{size}, {end}");
            };
            // Who waits for that many does not wait for what never comes.
            assert!((1..=spread.len() - end).contains(&missing), "{size}, {end}");
        }
    }
}

#[test]
fn names_are_judged() {
    let with = |name: &[u8]| server_name(&with_extensions(&[(10, &[0, 0]), (0, &name_list(name))]));
    assert_eq!(with(b"a.example"), named("a.example"));
    assert_eq!(with(b"A_b.example."), named("a_b.example"));
    for bad in [
        &b""[..],
        b"a b",
        b"a\0",
        b"a/b",
        b"*.a",
        b"\xc3\xa9",
        b"a:80",
        &[b'a'; 254],
    ] {
        assert_eq!(
            with(bad),
            Hello::Invalid,
            "{:?}",
            String::from_utf8_lossy(bad)
        );
    }
    let twice = with_extensions(&[(0, &name_list(b"a")), (0, &name_list(b"b"))]);
    assert_eq!(server_name(&twice), Hello::Invalid);
    let other_type = [0, 4, 1, 0, 1, b'a'];
    assert_eq!(
        server_name(&with_extensions(&[(0, &other_type)])),
        Hello::Invalid
    );
    let too_long = [0, 9, 0, 0, 6, b'a'];
    assert_eq!(
        server_name(&with_extensions(&[(0, &too_long)])),
        Hello::Invalid
    );
}

#[test]
fn what_is_no_client_hello_is_invalid() {
    for bytes in [
        &[21, 3, 1, 0, 2, 1, 0][..],
        &[22, 2, 0, 0, 1, 1],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0x40, 1, 1],
        &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
        &[22, 3, 1, 0, 4, 1, 0, 0, 0],
        &[22, 3, 1, 0, 1, 1, 23, 3, 1, 0, 1, 1],
    ] {
        assert_eq!(server_name(bytes), Hello::Invalid, "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_whatever_comes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(server_name(&bytes));
    }

    #[test]
    fn a_damaged_hello_never_panics_and_never_grows_a_strange_name(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = with_extensions(&[(43, &[2, 3, 4]), (0, &name_list(b"a.example"))]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Hello::Named(name) = server_name(&bytes) {
            prop_assert!(!name.is_empty() && name.len() <= 253);
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b)));
        }
        drop(server_name(&bytes[..cut.index(bytes.len())]));
    }
}
