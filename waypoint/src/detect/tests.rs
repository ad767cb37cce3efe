//! Detection on connections: by declaration, by bytes, by time, and with nothing taken away.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use net::relay::{Duplex, Queue, Read};

use super::{Declared, Found, MAX_PEEKED_BYTES, Peeked, Protocol, Undecided, detect};

/// A client that says this, and then ends or is silent.
struct Script {
    pieces: VecDeque<&'static [u8]>,
    ends: bool,
    consumed: usize,
}

fn script(pieces: &[&'static [u8]], ends: bool) -> Peeked<Script> {
    Peeked::new(Script {
        pieces: pieces.iter().copied().collect(),
        ends,
        consumed: 0,
    })
}

impl Duplex for Script {
    const DROP_FINISHES: bool = true;

    fn poll_read(&mut self, _: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
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
        Undecided::Http,
    )
    .await
    .unwrap();
    assert_eq!((found.protocol, began.elapsed()), (Protocol::Tcp, timeout));
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
