//! Messages one after the other: in any pieces the same bytes pass, and nothing behind a message that is wrong.

use proptest::prelude::*;

use super::{Framer, Stop};
use crate::http1::Refusal;

/// What passed of `bytes` that came in pieces, and what stopped it.
fn run(bytes: &[u8], pieces: &mut dyn FnMut() -> usize) -> (usize, u64, Option<Stop>) {
    let mut framer = Framer::new();
    let (mut passed, mut arrived) = (0, 0);
    loop {
        match framer.advance(&bytes[passed..arrived]) {
            Ok(0) if arrived == bytes.len() => return (passed, framer.heads(), None),
            Ok(0) => arrived = (arrived + pieces().max(1)).min(bytes.len()),
            Ok(more) => passed += more,
            Err(stop) => return (passed, framer.heads(), Some(stop)),
        }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n";

#[test]
fn pipelined_messages_pass_whole_at_every_split() {
    let stream = [GET, POST, "\r\n", CHUNKED, GET].concat();
    for first in 1..stream.len() {
        let mut pieces = [first, stream.len()].into_iter();
        let result = run(stream.as_bytes(), &mut || pieces.next().unwrap_or(1));
        assert_eq!(result, (stream.len(), 4, None), "split at {first}");
    }
}

#[test]
fn nothing_passes_behind_a_message_that_is_wrong_and_all_before_it_does() {
    let smuggled = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for before in ["", GET, POST, CHUNKED] {
        let stream = [before, smuggled, GET].concat();
        let heads = u64::from(!before.is_empty());
        let expected = (
            before.len(),
            heads,
            Some(Stop::Head(Refusal::LengthAndCoding)),
        );
        for piece in 1..=stream.len() {
            assert_eq!(
                run(stream.as_bytes(), &mut || piece),
                expected,
                "{before:?} {piece}"
            );
        }
    }
}

#[test]
fn a_body_that_is_wrong_stops_after_its_head() {
    let stream = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n";
    let expected = (stream.len() - 3, 1, Some(Stop::Body(Refusal::Chunk)));
    for piece in 1..=stream.len() {
        assert_eq!(run(stream.as_bytes(), &mut || piece), expected, "{piece}");
    }
}

#[test]
fn what_follows_a_request_for_another_protocol_waits_for_its_answer() {
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let stream = [upgrade, GET].concat();
    for piece in 1..=stream.len() {
        assert_eq!(
            run(stream.as_bytes(), &mut || piece),
            (upgrade.len(), 1, None)
        );
    }
    for (switched, rest) in [(false, GET), (true, "\0\n no HTTP")] {
        let mut framer = Framer::new();
        assert_eq!(framer.advance(stream.as_bytes()), Ok(upgrade.len()));
        assert!(framer.is_awaiting());
        framer.answered(switched);
        assert_eq!(framer.advance(rest.as_bytes()), Ok(rest.len()));
        assert_eq!(
            (framer.is_raw(), framer.heads()),
            (switched, 1 + u64::from(!switched))
        );
    }
}

#[test]
fn a_body_of_the_longest_length_does_not_overflow() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n";
    let stream = [head, GET, GET].concat();
    assert_eq!(run(stream.as_bytes(), &mut || 7), (stream.len(), 1, None));
}

/// One message, as bytes.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let head = (
        prop::sample::select(vec!["GET", "POST", "PUT", "M-SEARCH"]),
        "/[a-z0-9%./?&=_-]{0,20}",
        prop::collection::vec(("[a-zA-Z0-9_-]{1,12}", "[ -~]{0,20}"), 0..5),
    );
    let chunk = (
        prop::collection::vec(any::<u8>(), 1..40),
        "(;[a-z]{1,5}(=[a-z]{1,5})?)?",
    );
    let body = prop_oneof![
        Just(None),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Some(Ok(bytes))),
        (prop::collection::vec(chunk, 0..4), any::<bool>()).prop_map(|chunks| Some(Err(chunks))),
    ];
    (head, body).prop_map(|((method, target, fields), body)| {
        let mut out = format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n").into_bytes();
        for (name, value) in fields {
            // A name of its own, so that none is one that decides.
            out.extend_from_slice(format!("x-{name}:{value}\r\n").as_bytes());
        }
        match body {
            None => out.extend_from_slice(b"\r\n"),
            Some(Ok(bytes)) => {
                out.extend_from_slice(
                    format!("Content-Length: {}\r\n\r\n", bytes.len()).as_bytes(),
                );
                out.extend_from_slice(&bytes);
            }
            Some(Err((chunks, trailer))) => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for (bytes, extension) in chunks {
                    out.extend_from_slice(format!("{:x}{extension}\r\n", bytes.len()).as_bytes());
                    out.extend_from_slice(&bytes);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(if trailer {
                    b"0\r\nx-t: y\r\n\r\n"
                } else {
                    b"0\r\n\r\n"
                });
            }
        }
        out
    })
}

proptest! {
    #[test]
    fn every_byte_of_valid_messages_passes_in_any_pieces(
        messages in prop::collection::vec(message(), 1..5),
        sizes in prop::collection::vec(1_usize..50, 1..20),
    ) {
        let stream = messages.concat();
        let mut sizes = sizes.iter().cycle();
        let result = run(&stream, &mut || *sizes.next().unwrap());
        prop_assert_eq!(result, (stream.len(), messages.len() as u64, None));
    }

    #[test]
    fn pieces_make_no_difference_whatever_comes(
        messages in prop::collection::vec(message(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"\r\n\t \0:;,0aZ\xff".to_vec()),
        sizes in prop::collection::vec(1_usize..30, 1..20),
    ) {
        let mut stream = messages.concat();
        let at = at.index(stream.len());
        stream[at] = byte;
        let whole = run(&stream, &mut || usize::MAX / 2);
        let mut sizes = sizes.iter().cycle();
        prop_assert_eq!(run(&stream, &mut || *sizes.next().unwrap()), whole);
        prop_assert_eq!(run(&stream, &mut || 1), whole);
    }
}
