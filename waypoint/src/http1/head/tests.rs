//! Heads: what has one meaning, and every shape that has more than one or none.

use http::Uri;

use super::{Block, Framing, Head, Scan, check, check_trailers, is_authority, is_target};
use crate::http1::{MAX_FIELDS, MAX_HEAD_BYTES, Refusal};

fn judge(head: &[u8]) -> Result<Head, Refusal> {
    let mut scan = Scan::default();
    match scan.advance(head, Block::Request)? {
        Some(end) => check(&head[..end]),
        None => panic!("the head does not end: {:?}", String::from_utf8_lossy(head)),
    }
}

fn plain(framing: Framing) -> Result<Head, Refusal> {
    Ok(Head {
        framing,
        may_switch: false,
    })
}

#[test]
fn a_head_with_one_meaning_passes() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(50_000));
    let cases: &[(&str, Framing)] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        ("GET / HTTP/1.1\r\nHost:a\r\n\r\n", Framing::None),
        (
            "GET / HTTP/1.1\r\nhost: \t a.example:80 \t\r\n\r\n",
            Framing::None,
        ),
        (
            "GET /\"?a=b&c=[d]|e{f}^`\\?? HTTP/1.1\r\nHost: a\r\n\r\n",
            Framing::None,
        ),
        (
            "GET /a%2fb/..//./\\x HTTP/1.1\r\nHost: a\r\n\r\n",
            Framing::None,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Framing::None),
        (
            "GET http://b.example:8080/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            Framing::None,
        ),
        (
            "GET https://b.example HTTP/1.1\r\nHost: a\r\n\r\n",
            Framing::None,
        ),
        (
            "M-SEARCH / HTTP/1.1\r\nHost: [fd00::7]:80\r\n\r\n",
            Framing::None,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a_b.example\r\nX:\r\nY: \r\n\r\n",
            Framing::None,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx: \u{e9}\u{fc}\r\n\r\n",
            Framing::None,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            Framing::None,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0012 \r\n\r\n",
            Framing::Length(12),
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n",
            Framing::Length(9_999_999_999_999_999_999),
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: a\r\n\r\n",
            Framing::Chunked,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\ntransfer-encoding:chunked\r\n\r\n",
            Framing::Chunked,
        ),
        (&long, Framing::None),
    ];
    for (head, framing) in cases {
        assert_eq!(judge(head.as_bytes()), plain(*framing), "{head:?}");
    }
}

#[test]
fn a_request_for_another_protocol_says_so() {
    for (head, may_switch) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            true,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nUPGRADE: h2c\r\n\r\n", true),
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
            false,
        ),
    ] {
        assert_eq!(
            judge(head.as_bytes()).unwrap().may_switch,
            may_switch,
            "{head:?}"
        );
    }
}

#[test]
fn a_head_without_one_meaning_is_refused() {
    let cases: &[(&str, Refusal)] = &[
        // Lines.
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Refusal::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal::BareLf),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Refusal::BareCr),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
            Refusal::BareCr,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n",
            Refusal::BareCr,
        ),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refusal::BareCr),
        ("GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::BareCr),
        // Request lines.
        ("GET /\r\nHost: a\r\n\r\n", Refusal::RequestLine),
        ("GET\r\nHost: a\r\n\r\n", Refusal::RequestLine),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
        ("G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::RequestLine),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::RequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refusal::RequestLine),
        ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", Refusal::RequestLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::RequestLine),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", Refusal::LowVersion),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", Refusal::Version),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refusal::Version),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refusal::Version),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", Refusal::Version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", Refusal::Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Version),
        // Targets.
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        (
            "GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Refusal::Target,
        ),
        (
            "GET b.example:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            Refusal::Target,
        ),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        // Fields.
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Refusal::Fold),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n\r\n", Refusal::Fold),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refusal::Fold),
        (
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            Refusal::SpaceBeforeColon,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
            Refusal::SpaceBeforeColon,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n",
            Refusal::SpaceBeforeColon,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx y: b\r\n\r\n",
            Refusal::FieldName,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
            Refusal::FieldName,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
            Refusal::FieldName,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx\0y: b\r\n\r\n",
            Refusal::FieldName,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx\u{b}: b\r\n\r\n",
            Refusal::FieldName,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx: a\0b\r\n\r\n",
            Refusal::FieldValue,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx: \u{1}\r\n\r\n",
            Refusal::FieldValue,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx: \u{7f}\r\n\r\n",
            Refusal::FieldValue,
        ),
        // Hosts.
        ("GET / HTTP/1.1\r\n\r\n", Refusal::MissingHost),
        ("GET / HTTP/1.1\r\nX: a\r\n\r\n", Refusal::MissingHost),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal::MissingHost),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Refusal::MissingHost),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Refusal::SeveralHosts,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n",
            Refusal::SeveralHosts,
        ),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Refusal::Host),
        // Lengths and codings.
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            Refusal::SeveralLengths,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            Refusal::SeveralLengths,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            Refusal::SeveralLengths,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\ncontent-length: 5\r\n\r\n",
            Refusal::SeveralLengths,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5;\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            Refusal::Length,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::LengthAndCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\nCONTENT-LENGTH: 0\r\n\r\n",
            Refusal::LengthAndCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
            Refusal::Coding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n",
            Refusal::FieldValue,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Refusal::UnknownCoding,
        ),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 5\r\n\r\n",
            Refusal::ConnectBody,
        ),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::ConnectBody,
        ),
    ];
    for (head, refusal) in cases {
        // Text of these cases is one byte per char.
        let bytes: Vec<u8> = head
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        assert_eq!(judge(&bytes), Err(*refusal), "{head:?}");
        let status = refusal.status().as_u16();
        assert!(matches!(status, 400 | 426 | 431 | 501), "{head:?}");
    }
}

#[test]
fn a_head_of_too_many_bytes_or_fields_is_refused_whether_or_not_it_ends() {
    let mut scan = Scan::default();
    let open = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nx: {}",
        "y".repeat(MAX_HEAD_BYTES)
    );
    assert_eq!(
        scan.advance(open.as_bytes(), Block::Request),
        Err(Refusal::TooLarge)
    );
    let whole = format!("{open}\r\n\r\n");
    assert_eq!(judge(whole.as_bytes()), Err(Refusal::TooLarge));
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "x: y\r\n".repeat(count - 1)
        )
    };
    assert_eq!(judge(fields(MAX_FIELDS).as_bytes()), plain(Framing::None));
    assert_eq!(
        judge(fields(MAX_FIELDS + 1).as_bytes()),
        Err(Refusal::TooMany)
    );
    assert_eq!(Refusal::TooLarge.status().as_u16(), 431);
    assert_eq!(Refusal::TooMany.status().as_u16(), 431);
}

#[test]
fn the_end_of_a_head_is_found_in_any_pieces() {
    let head = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
    for first in 0..=head.len() {
        for second in first..=head.len() {
            let mut scan = Scan::default();
            let mut found = None;
            for end in [first, second, head.len()] {
                found = scan.advance(&head[..end], Block::Request).unwrap();
                if found.is_some() {
                    break;
                }
            }
            assert_eq!(found, Some(head.len() - 3));
        }
    }
}

#[test]
fn whatever_target_passes_is_one_for_the_engine() {
    for byte in 0..=255_u8 {
        for target in [vec![b'/', byte], vec![b'/', b'?', byte]] {
            let passes = is_target(b"GET", &target);
            assert!(!passes || Uri::try_from(&target[..]).is_ok(), "{target:?}");
        }
    }
}

#[test]
fn authorities_are_hosts_with_optional_ports() {
    for good in [
        "a",
        "a.b",
        "a:80",
        "a:",
        "10.0.0.1:8080",
        "[::1]",
        "[fd00::7]:15008",
        "xn--a_b~",
        "a%20b",
    ] {
        assert!(is_authority(good.as_bytes()), "{good}");
    }
    for bad in [
        "", ":80", "a:80:80", "a:x", "a:123456", "[::1", "::1", "[]", "[::1]x", "[a]", "u@a",
        "a,b", "a b", "a/b", "a?b", "a#b", "a\\b", "\u{e9}",
    ] {
        assert!(!is_authority(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn trailers_may_not_say_how_a_message_is_framed() {
    assert_eq!(check_trailers(b"\r\n"), Ok(()));
    assert_eq!(check_trailers(b"grpc-status: 0\r\nx: \r\n\r\n"), Ok(()));
    for (trailers, refusal) in [
        ("Transfer-Encoding: chunked\r\n\r\n", Refusal::Trailer),
        ("content-length: 5\r\n\r\n", Refusal::Trailer),
        ("x: y\r\nHOST: b\r\n\r\n", Refusal::Trailer),
        ("connection: close\r\n\r\n", Refusal::Trailer),
        (" x: y\r\n\r\n", Refusal::Fold),
        ("x : y\r\n\r\n", Refusal::SpaceBeforeColon),
        ("x\r\n\r\n", Refusal::FieldName),
        ("x: \0\r\n\r\n", Refusal::FieldValue),
    ] {
        assert_eq!(
            check_trailers(trailers.as_bytes()),
            Err(refusal),
            "{trailers:?}"
        );
    }
}
