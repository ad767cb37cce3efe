//! Chunked bodies: where they end, in any pieces, and what is none.

use super::Chunked;
use crate::http1::Refusal;

/// How many bytes passed before the end or the refusal, and what it was. What does not pass comes again.
fn run(body: &[u8], piece: usize) -> (usize, Result<bool, Refusal>) {
    let mut chunked = Chunked::default();
    let (mut passed, mut arrived) = (0, 0);
    loop {
        match chunked.advance(&body[passed..arrived]) {
            Ok(0) if chunked.is_done() => return (passed, Ok(true)),
            Ok(0) if arrived == body.len() => return (passed, Ok(false)),
            Ok(0) => arrived = (arrived + piece).min(body.len()),
            Ok(more) => passed += more,
            Err(refusal) => return (passed, Err(refusal)),
        }
    }
}

fn check(body: &[u8], expected: (usize, Result<bool, Refusal>)) {
    for piece in 1..=body.len() {
        let text = String::from_utf8_lossy(body);
        assert_eq!(run(body, piece), expected, "{text:?} in pieces of {piece}");
    }
}

#[test]
fn a_body_ends_with_its_trailers_and_not_before() {
    for body in [
        "0\r\n\r\n",
        "000\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "00000000000000A\r\n0123456789\r\n0\r\n\r\n",
        "a\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n",
        "5;x\r\nhello\r\n0;y=\"z ;\\\" \"\r\n\r\n",
        "4\r\n\r\n\r\n\r\n0\r\n\r\n",
        "1\r\na\r\n0\r\ngrpc-status: 0\r\nx: y\r\n\r\n",
    ] {
        check(body.as_bytes(), (body.len(), Ok(true)));
        let followed = format!("{body}GET / HTTP/1.1\r\n");
        check(followed.as_bytes(), (body.len(), Ok(true)));
        for end in 0..body.len() {
            assert_eq!(
                run(&body.as_bytes()[..end], 3).1,
                Ok(false),
                "{body:?} cut at {end}"
            );
        }
    }
}

#[test]
fn what_is_no_body_stops_at_its_first_wrong_byte() {
    for (body, passed, refusal) in [
        ("x", 0, Refusal::Chunk),
        ("\r\n", 0, Refusal::Chunk),
        (";x\r\n", 0, Refusal::Chunk),
        ("-1\r\n", 0, Refusal::Chunk),
        ("0x5\r\n", 1, Refusal::Chunk),
        ("5 \r\nhello\r\n", 1, Refusal::Chunk),
        (" 5\r\nhello\r\n", 0, Refusal::Chunk),
        ("5\nhello\r\n", 1, Refusal::BareLf),
        ("5\rhello", 2, Refusal::BareCr),
        ("5;x\nhello", 3, Refusal::BareLf),
        ("5;x\rhello", 4, Refusal::BareCr),
        ("5;\0\r\nhello", 2, Refusal::Chunk),
        ("5\r\nhelloX\r\n", 8, Refusal::Chunk),
        ("5\r\nhello\n0\r\n\r\n", 8, Refusal::Chunk),
        ("5\r\nhello\r0\r\n\r\n", 9, Refusal::Chunk),
        ("5\r\nhello0\r\n\r\n", 8, Refusal::Chunk),
        ("1000000000000000\r\n", 15, Refusal::Chunk),
        ("0\r\nx: y\n\r\n", 3, Refusal::BareLf),
        ("0\r\n\n", 3, Refusal::BareLf),
        ("0\r\nContent-Length: 5\r\n\r\n", 3, Refusal::Trailer),
        ("0\r\n x: y\r\n\r\n", 3, Refusal::Fold),
    ] {
        check(body.as_bytes(), (passed, Err(refusal)));
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let long = format!("5;{}", "x".repeat(9000));
    assert_eq!(run(long.as_bytes(), 1000).1, Err(Refusal::Chunk));
    let many = "1;xxxxxxxx\r\na\r\n".repeat(2000);
    assert_eq!(run(many.as_bytes(), 1000).1, Err(Refusal::Chunk));
    let trailer = format!("0\r\nx: {}", "y".repeat(16 * 1024));
    assert_eq!(run(trailer.as_bytes(), 1000).1, Err(Refusal::TooLarge));
    let trailers = format!("0\r\n{}", "x: y\r\n".repeat(101));
    assert_eq!(run(trailers.as_bytes(), 100).1, Err(Refusal::TooMany));
}
