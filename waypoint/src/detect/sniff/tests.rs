//! Verdicts on first bytes, and that more bytes never change one.

use proptest::prelude::*;

use super::{PREFACE, Sniffed, preface, sniff};

#[test]
fn the_first_bytes_say_what_a_connection_speaks() {
    let cases: &[(&[u8], Sniffed)] = &[
        (b"", Sniffed::More),
        (b"G", Sniffed::More),
        (b"GET", Sniffed::More),
        (b"GET ", Sniffed::More),
        (b"GET /", Sniffed::Http1),
        (b"\r\n\r\nGET /", Sniffed::Http1),
        (b"\n", Sniffed::More),
        (b"GET  \t/", Sniffed::Http1),
        (b"OPTIONS * HTTP/1.1\r\n", Sniffed::Http1),
        (b"GET http://a/ HTTP/1.1\r\n", Sniffed::Http1),
        (b"CONNECT a:443 HTTP/1.1\r\n", Sniffed::Http1),
        (b"get /admin HTTP/1.1\r\n", Sniffed::Http1),
        (b"gEt /admin http/1.0 \n", Sniffed::Http1),
        (b"M-SEARCH * HTTP/1.1\r\n", Sniffed::Http1),
        (PREFACE, Sniffed::Http2),
        (b"PRI * HTTP/2.0\r\n\r\n", Sniffed::More),
        (b"PRI * HTTP/1.1\r\n", Sniffed::Http1),
        (b"PRI /", Sniffed::Http1),
        (b"\x16\x03\x01\x02\x00\x01", Sniffed::Tls),
        (b"\x16", Sniffed::More),
        (b"\x16\x03\x01\x02\x00", Sniffed::More),
        (b"\x16\x02", Sniffed::Other),
        (b"\x16\x03\x01\x02\x00\x02", Sniffed::Other),
        (b"\x15\x03\x01", Sniffed::Other),
        // Redis, memcached, SMTP, MySQL, PostgreSQL, MongoDB, SSH.
        (b"*1\r\n$4\r\nPING\r\n", Sniffed::Other),
        (b"PING\r\n", Sniffed::Other),
        (b"get /key\r\n", Sniffed::Other),
        (b"SET a b\r\n", Sniffed::Other),
        (b"SET a b", Sniffed::More),
        (b"EHLO example.org\r\n", Sniffed::Other),
        (b"J\0\0\0\n8.0", Sniffed::Other),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Sniffed::Other),
        (b"SSH-2.0-OpenSSH\r\n", Sniffed::Other),
        (b"A B\0C", Sniffed::Other),
        (b" GET /", Sniffed::Other),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Sniffed::Other),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            sniff(bytes),
            *expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn the_preface_is_certain_once_it_is_whole_or_broken() {
    for end in 0..PREFACE.len() {
        assert_eq!(preface(&PREFACE[..end]), None);
        let mut other = PREFACE[..end].to_vec();
        other.push(PREFACE[end] ^ 1);
        assert_eq!(preface(&other), Some(false));
    }
    assert_eq!(preface(PREFACE), Some(true));
    assert_eq!(preface(&[PREFACE, b"x"].concat()), Some(true));
}

proptest! {
    #[test]
    fn more_bytes_change_no_verdict(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[A-Za-z]{0,6} ?[/*a-z ]{0,10}( HTTP/1.1)?\r?\n?[a-z]{0,5}".prop_map(String::into_bytes),
            prop::collection::vec(prop::sample::select(b"PRI * HTTP/2.0\r\nSM\x16\x03\x01".to_vec()), 0..30),
        ],
    ) {
        let mut verdict = Sniffed::More;
        for end in 0..=bytes.len() {
            let now = sniff(&bytes[..end]);
            prop_assert!(verdict == Sniffed::More || verdict == now, "{verdict:?} became {now:?}");
            verdict = now;
        }
    }
}
