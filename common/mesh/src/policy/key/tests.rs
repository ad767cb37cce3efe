//! What a condition as bits means.

use std::net::IpAddr;

use super::{Attribute, Key, Text, head};
use crate::authorization::{ServiceAccountMatch, StringMatch};

fn bits(bytes: &[u8]) -> Text<'_> {
    Text {
        head: head(bytes),
        bytes,
    }
}

fn begins(key: &Key, text: &str) -> bool {
    let bytes: Vec<u8> = text.bytes().chain([super::END]).collect();
    key.begins(bits(&bytes))
}

#[test]
fn an_exact_text_is_neither_shorter_nor_longer() {
    for length in [0, 1, 6, 7, 8, 9, 15, 16, 17, 63, 600] {
        let text = "x".repeat(length);
        let key = Key::principal(&StringMatch::Exact(text.clone()));
        assert!(begins(&key, &text));
        assert!(!begins(&key, &format!("{text}x")));
        assert!(!begins(&key, &format!("{text}\0")));
        assert!(length == 0 || !begins(&key, &text[1..]));
        assert!(length == 0 || !begins(&key, &format!("{}y", &text[1..])));
    }
}

#[test]
fn a_prefix_is_compared_to_its_last_byte() {
    for length in [1, 7, 8, 9, 16, 40] {
        let text = "x".repeat(length);
        let key = Key::principal(&StringMatch::Prefix(text.clone()));
        assert!(begins(&key, &text) && begins(&key, &format!("{text}y")));
        assert!(!begins(&key, &text[1..]) && !begins(&key, &format!("{}y", &text[1..])));
    }
}

#[test]
fn ranges_are_compared_bit_by_bit() {
    let check = |range: &str, address: &str, expected: bool| {
        let (key, address): (Key, IpAddr) = (
            Key::source(&range.parse().unwrap()),
            address.parse().unwrap(),
        );
        let holds = match address {
            IpAddr::V4(ip) => {
                key.attribute == Attribute::SourceV4 && key.begins(bits(&ip.octets()))
            }
            IpAddr::V6(ip) => {
                key.attribute == Attribute::SourceV6 && key.begins(bits(&ip.octets()))
            }
        };
        assert_eq!(holds, expected, "{range} {address}");
    };
    check("0.0.0.0/0", "10.1.2.3", true);
    check("10.1.2.2/31", "10.1.2.3", true);
    check("10.1.2.2/31", "10.1.2.4", false);
    check("10.1.2.3/32", "10.1.2.3", true);
    check("10.9.9.9/8", "10.1.2.3", true);
    check("::/0", "10.1.2.3", false);
    check("fd00::/65", "fd00::1", true);
    check("fd00::/65", "fd00::8000:0:0:1", false);
    check("fd00::1/128", "fd00::1", true);
    check("fd00::1/127", "fd00::2", false);
    check("::ffff:10.0.0.0/104", "10.1.2.3", true);
    check("::ffff:0:0/96", "10.1.2.3", true);
    check("::ffff:10.0.0.0/104", "11.1.2.3", false);
}

#[test]
fn a_service_account_cannot_borrow_from_its_namespace() {
    let key = |namespace: &str, name: &str| {
        Key::service_account(&ServiceAccountMatch {
            namespace: namespace.into(),
            service_account: name.into(),
        })
    };
    assert_ne!(key("a", "bc"), key("ab", "c"));
    assert_ne!(key("", "ab"), key("a", "b"));
}

#[test]
fn a_long_key_is_cut_to_a_weaker_one() {
    let text = "x".repeat(2 * super::MAX_INDEXED_BYTES);
    let key = Key::principal(&StringMatch::Exact(text.clone())).indexed();
    assert_eq!(key.bits, 8 * super::MAX_INDEXED_BYTES);
    assert!(begins(&key, &text) && begins(&key, &text[..super::MAX_INDEXED_BYTES]));
    assert!(!begins(&key, &text[..super::MAX_INDEXED_BYTES - 1]));
}
