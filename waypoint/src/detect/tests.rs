//! Detection on connections: by declaration, by bytes, by time, and with nothing taken away.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use net::relay::{Duplex, Queue, Read};

use super::{Declared, Found, MAX_LOOKS, MAX_PEEKED_BYTES, Peeked, Protocol, Undecided, detect};

/// A client that says this, and then ends or is silent.
struct Script {
    pieces: VecDeque<&'static [u8]>,
    ends: bool,
    consumed: usize,
    /// Until then it is silent.
    silence: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// A client that begins to speak after a while.
fn late(pieces: &[&'static [u8]], silence: Duration) -> Peeked<Script> {
    Peeked::new(Script {
        pieces: pieces.iter().copied().collect(),
        ends: false,
        consumed: 0,
        silence: Some(Box::pin(tokio::time::sleep(silence))),
    })
}

fn script(pieces: &[&'static [u8]], ends: bool) -> Peeked<Script> {
    Peeked::new(Script {
        pieces: pieces.iter().copied().collect(),
        ends,
        consumed: 0,
        silence: None,
    })
}

impl Duplex for Script {
    const DROP_FINISHES: bool = true;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        if let Some(silence) = &mut self.silence {
            std::task::ready!(silence.as_mut().poll(cx));
            self.silence = None;
        }
        match self.pieces.pop_front() {
            Some(piece) => {
                queue.push(Bytes::from_static(piece));
                Poll::Ready(Ok(Read::Some))
            }
            None if self.ends => Poll::Ready(Ok(Read::End)),
            None => Poll::Pending,
        }
    }

    fn consumed(&mut self, bytes: usize) {
        self.consumed += bytes;
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &mut Queue) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self) {}
}

async fn found(declared: Declared, pieces: &[&'static [u8]], ends: bool) -> Found {
    let mut connection = script(pieces, ends);
    let timeout = Some(Duration::from_secs(5));
    let found = detect(&mut connection, declared, timeout, Undecided::Tcp)
        .await
        .unwrap();
    // Whatever was looked at is read afterwards, once, in order.
    let mut queue = Queue::default();
    let mut all = Vec::new();
    loop {
        let read =
            std::future::poll_fn(|cx| Poll::Ready(connection.poll_read(cx, &mut queue))).await;
        while let Some(bytes) = queue.pop(usize::MAX) {
            all.extend_from_slice(&bytes);
        }
        if !matches!(read, Poll::Ready(Ok(Read::Some))) {
            break;
        }
    }
    assert_eq!(all, pieces.concat());
    found
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_connection_is_what_its_first_bytes_are() {
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let cases: &[(&[&[u8]], Protocol)] = &[
        (&[b"GET / HTTP/1.1\r\n"], Protocol::Http1),
        (&[b"G", b"E", b"T", b" ", b"/", b" "], Protocol::Http1),
        (&[preface, b"\0\0"], Protocol::Http2),
        (
            &[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r", b"\n"],
            Protocol::Http2,
        ),
        (&[b"*1\r\n"], Protocol::Tcp),
        (&[b"PING\r\n"], Protocol::Tcp),
    ];
    for (pieces, protocol) in cases {
        assert_eq!(
            found(Declared::Unknown, pieces, false).await.protocol,
            *protocol
        );
        assert_eq!(
            found(Declared::Unknown, pieces, true).await.protocol,
            *protocol
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_declared_port_of_http_is_http_whatever_comes() {
    for (pieces, protocol) in [
        (&[&b"GET /"[..]][..], Protocol::Http1),
        (&[b"\x16\x03\x01"], Protocol::Http1),
        (&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\n"], Protocol::Http2),
        (&[b"PRI * HTTP/1.1\r\n"], Protocol::Http1),
    ] {
        assert_eq!(
            found(Declared::Http, pieces, false).await.protocol,
            protocol
        );
    }
    assert_eq!(
        found(Declared::Http, &[b"PRI"], true).await.protocol,
        Protocol::Http1
    );
}

#[tokio::test(start_paused = true)]
async fn a_declared_port_of_tcp_is_not_looked_at() {
    let mut connection = script(&[b"GET / HTTP/1.1\r\n"], false);
    let found = detect(&mut connection, Declared::Tcp, None, Undecided::Http)
        .await
        .unwrap();
    assert_eq!(found.protocol, Protocol::Tcp);
    assert!(connection.peeked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_first_has_its_silent_client_after_the_timeout() {
    let mut connection = script(&[], false);
    let began = tokio::time::Instant::now();
    let timeout = Duration::from_secs(5);
    let found = detect(
        &mut connection,
        Declared::Unknown,
        Some(timeout),
        Undecided::Tcp,
    )
    .await
    .unwrap();
    assert_eq!((found.protocol, began.elapsed()), (Protocol::Tcp, timeout));
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_way_around_rules_of_http() {
    let timeout = Some(Duration::from_secs(5));
    let mut connection = script(&[], false);
    let silent = detect(&mut connection, Declared::Unknown, timeout, Undecided::Http);
    let waited = tokio::time::timeout(Duration::from_secs(3600), silent).await;
    assert!(waited.is_err(), "{waited:?}");
    // When it speaks at last, it is what it says.
    for (pieces, protocol) in [
        (&[&b"GET / HTTP/1.1\r\n"[..]][..], Protocol::Http1),
        (&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\n"], Protocol::Http2),
    ] {
        let mut connection = late(pieces, Duration::from_secs(60));
        let found = detect(&mut connection, Declared::Unknown, timeout, Undecided::Http);
        assert_eq!(found.await.unwrap().protocol, protocol);
    }
    // Nor is an end: a server that speaks first would be heard.
    for pieces in [&[][..], &[&b"get /"[..]]] {
        let mut connection = script(pieces, true);
        let found = detect(&mut connection, Declared::Unknown, timeout, Undecided::Http);
        assert_eq!(found.await.unwrap().protocol, Protocol::Http1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_byte_by_byte_is_looked_at_so_often_and_no_more() {
    let mut pieces: Vec<&'static [u8]> = vec![b"get "];
    pieces.extend(std::iter::repeat_n(&b"x"[..], 2 * MAX_LOOKS));
    let mut connection = script(&pieces, false);
    let found = detect(&mut connection, Declared::Unknown, None, Undecided::Tcp);
    assert_eq!(found.await.unwrap().protocol, Protocol::Http1);
    assert!(connection.peeked().len() < 2 * MAX_LOOKS);
}

#[tokio::test(start_paused = true)]
async fn a_server_name_is_found_however_it_is_cut() {
    let mut hello = vec![22, 3, 1, 0x10, 0, 1, 0, 0x0f, 0xfc, 3, 3];
    hello.extend([0; 32]);
    // No session, one suite, no compression.
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let name = b"a.example";
    let padding = 0x1000 - 4 - 2 - 32 - 1 - 4 - 2 - 2 - 4 - 5 - name.len() - 4;
    let extensions = u16::try_from(4 + 5 + name.len() + 4 + padding).unwrap();
    hello.extend(extensions.to_be_bytes());
    hello.extend([0, 21]);
    hello.extend(u16::try_from(padding).unwrap().to_be_bytes());
    hello.resize(hello.len() + padding, 0);
    hello.extend([0, 0, 0, 14, 0, 12, 0, 0, 9]);
    hello.extend(name);
    // More pieces than there are looks.
    let bytes: &'static [u8] = hello.leak();
    assert!(bytes.len() > MAX_LOOKS);
    for size in [1, 7, 1000, bytes.len()] {
        let pieces: Vec<&'static [u8]> = bytes.chunks(size).collect();
        for declared in [Declared::Unknown, Declared::Tls] {
            let found = found(declared, &pieces, false).await;
            assert_eq!(found.sni.as_deref(), Some("a.example"), "{size}");
        }
    }
}

#[tokio::test]
async fn what_comes_in_pieces_is_not_copied_again_for_each() {
    let pieces: Vec<&'static [u8]> = b"abcdefghijklmnop".chunks(1).collect();
    let mut connection = script(&pieces, false);
    for _ in 0..2 {
        connection.peek_more().await.unwrap();
    }
    let place = connection.peeked().as_ptr();
    for _ in 2..pieces.len() {
        connection.peek_more().await.unwrap();
        assert_eq!(connection.peeked().as_ptr(), place);
    }
    assert_eq!(connection.peeked(), b"abcdefghijklmnop");
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_no_way_around_rules_of_http() {
    for (undecided, protocol) in [
        (Undecided::Http, Protocol::Http1),
        (Undecided::Tcp, Protocol::Tcp),
    ] {
        let mut connection = script(&[b"GE"], false);
        let timeout = Some(Duration::from_secs(5));
        let found = detect(&mut connection, Declared::Unknown, timeout, undecided)
            .await
            .unwrap();
        assert_eq!(found.protocol, protocol);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_line_without_end_is_http() {
    let long: &'static [u8] = vec![b'x'; MAX_PEEKED_BYTES].leak();
    let found = found(Declared::Unknown, &[b"get ", long], false).await;
    assert_eq!(found.protocol, Protocol::Http1);
}

#[tokio::test(start_paused = true)]
async fn tls_is_tls_with_or_without_a_name() {
    for pieces in [
        &[&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"[..]][..],
        &[b"\x16\x03\x01\x00\x05\x01"],
    ] {
        let found = found(Declared::Tls, pieces, true).await;
        assert_eq!(
            found,
            Found {
                protocol: Protocol::Tls,
                sni: None
            }
        );
    }
    // A silent client of a port of TLS, and one that speaks something else.
    assert_eq!(
        found(Declared::Tls, &[], false).await.protocol,
        Protocol::Tls
    );
    assert_eq!(
        found(Declared::Tls, &[b"GET /"], false).await.protocol,
        Protocol::Tls
    );
}
