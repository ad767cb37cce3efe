//! Scalars.

use std::fmt::Debug;

use super::{boolean, choice, host, is_label, number, parse_number, port, range, text, word};
use crate::{Cursor, Document, Error, Node, cursor::Unknown};

fn read<T>(yaml: &str, read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>) -> Result<T, String> {
    let node = Node::parse(yaml).unwrap();
    let document = Document::new("f", Unknown::Refuse);
    read(&document.top(&node)).map_err(|error| error.to_string())
}

fn refused<T: Debug>(
    yaml: &str,
    expected: &str,
    reader: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
) {
    let error = read(yaml, reader).unwrap_err();
    assert!(error.ends_with(expected), "{yaml}: {error}");
}

#[test]
fn values_are_read_as_they_are_written() {
    assert_eq!(read("1.10", text).unwrap(), "1.10");
    assert!(read("true", boolean).unwrap());
    assert_eq!(read("\"80\"", port).unwrap().get(), 80);
    assert_eq!(
        read("4294967295", |at| number::<u32>(at, "n")),
        Ok(u32::MAX)
    );
    assert_eq!(
        read("fd00::1", host).unwrap(),
        "fd00::1".parse::<std::net::IpAddr>().unwrap()
    );
    assert_eq!(read("10.1.2.3/8", range).unwrap().to_string(), "10.0.0.0/8");
    assert_eq!(read("10.1.2.3", range).unwrap().to_string(), "10.1.2.3/32");
    let words = [("DNS", 1), ("DNS_ROUND_ROBIN", 2)];
    assert_eq!(read("dnsRoundRobin", |at| choice(at, &words)), Ok(2));
    assert_eq!(read("DNS", |at| word(at, &words)), Ok(1));
}

#[test]
fn what_does_not_fit_says_what_does() {
    refused("[a]", "found a list of 1, expected a text", text);
    refused("yes", "found \"yes\", expected true or false", boolean);
    for found in ["0", "65536", "-1", "+1", "080", "0x50", "1e3"] {
        let expected = format!("found {found:?}, expected a port from 1 to 65535");
        refused(found, &expected, port);
    }
    let expected = "expected the IP address of one host, such as 10.0.0.1 or fd00::1";
    for found in [
        "0.0.0.0",
        "'::'",
        "224.0.0.1",
        "'::ffff:10.0.0.1'",
        "10.0.0.1/32",
        "x",
    ] {
        refused(found, expected, host);
    }
    refused(
        "10.0.0.0/33",
        "expected an IP address or range, such as 10.0.0.1, 10.0.0.0/8 or fd00::/64",
        range,
    );
    refused("dns", "found \"dns\", expected DNS or NONE", |at| {
        word(at, &[("DNS", 1), ("NONE", 2)])
    });
}

#[test]
fn numbers_have_one_spelling() {
    assert_eq!(parse_number::<u8>("255"), Some(255));
    for text in ["", "256", "01", "+1", " 1", "1_0", "0b1"] {
        assert_eq!(parse_number::<u8>(text), None, "{text:?}");
    }
}

#[test]
fn labels_are_those_of_dns() {
    let longest = "a".repeat(63);
    for good in ["a", "a-1", "1", longest.as_str()] {
        assert!(is_label(good), "{good}");
    }
    let longer = "a".repeat(64);
    for bad in ["", "-a", "a-", "A", "a.b", "a_b", longer.as_str()] {
        assert!(!is_label(bad), "{bad}");
    }
}
