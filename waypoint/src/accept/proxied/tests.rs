//! Tests of what is said of connections whose first bytes are not as they should be.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;
use net::relay::{Queue, Read as Come};

use super::*;

const PEER: &str = "10.0.0.9:40000";

/// A client that says this, and then ends or is silent.
struct Script {
    pieces: VecDeque<Bytes>,
    ends: bool,
    consumed: usize,
}

impl Script {
    fn new(bytes: &[u8], piece: usize, ends: bool) -> Self {
        Self {
            pieces: bytes.chunks(piece).map(Bytes::copy_from_slice).collect(),
            ends,
            consumed: 0,
        }
    }
}

impl Duplex for &mut Script {
    const DROP_FINISHES: bool = true;

    fn poll_read(&mut self, _: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Come>> {
        match self.pieces.pop_front() {
            Some(piece) => {
                queue.push(piece);
                Poll::Ready(Ok(Come::Some))
            }
            None if self.ends => Poll::Ready(Ok(Come::End)),
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

async fn said(bytes: &[u8], ends: bool) -> Result<Proxied, Error> {
    let mut script = Script::new(bytes, 3, ends);
    read(&mut Peeked::new(&mut script), PEER.parse().unwrap()).await
}

#[tokio::test]
async fn a_header_lets_its_peer_send_as_many_bytes_more_as_it_had_and_leaves_the_rest() {
    let header = b"PROXY TCP4 192.0.2.77 10.0.0.1 50000 80\r\n";
    let all = [&header[..], b"GET /"].concat();
    for piece in 1..=all.len() {
        let mut script = Script::new(&all, piece, true);
        let mut connection = Peeked::new(&mut script);
        let proxied = read(&mut connection, PEER.parse().unwrap()).await.unwrap();
        assert_eq!(proxied.source, "192.0.2.77:50000".parse().unwrap());
        assert_eq!(proxied.destination, Some("10.0.0.1:80".parse().unwrap()));
        let mut rest = Vec::new();
        let mut queue = Queue::default();
        loop {
            let come = std::future::poll_fn(|cx| connection.poll_read(cx, &mut queue));
            let come = come.await.unwrap();
            while let Some(bytes) = queue.pop(usize::MAX) {
                rest.extend_from_slice(&bytes);
            }
            if come == Come::End {
                break;
            }
        }
        assert_eq!(rest, b"GET /", "pieces of {piece}");
        assert_eq!(script.consumed, header.len());
    }
}

#[tokio::test]
async fn who_speaks_for_itself_is_the_peer() {
    for bytes in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let proxied = said(bytes, false).await.unwrap();
        assert_eq!(proxied.source, PEER.parse().unwrap());
        assert_eq!(proxied.destination, None);
    }
}

#[tokio::test(start_paused = true)]
async fn each_refusal_says_what_was_found() {
    for (bytes, ends, text) in [
        (
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            false,
            "no PROXY header: expected one of version 1 or 2 before anything else",
        ),
        (
            b"PROXY TCP4 192.0.2.77 10.0.0.1 050000 80\r\n",
            false,
            "PROXY header: a port that is no plain number up to 65535",
        ),
        (
            b"PROXY TCP4 192.0.2",
            true,
            "PROXY header: the connection ended after 18 bytes of it",
        ),
        (
            b"",
            true,
            "PROXY header: the connection ended after 0 bytes of it",
        ),
        (
            b"PROXY TCP4 192.0.2",
            false,
            "PROXY header: not whole after 10 s",
        ),
        (b"", false, "PROXY header: not whole after 10 s"),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF",
            false,
            "PROXY header: it has 65551 bytes, at most 4096 are read",
        ),
    ] {
        let error = said(bytes, ends).await.unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn a_header_that_may_not_be_is_told_from_other_failures() {
    let mut script = Script::new(b"PROXY TCP4", 4, false);
    let mut connection = Peeked::refusing_proxy_header(&mut script);
    let error = loop {
        if let Err(error) = connection.peek_more().await {
            break error;
        }
    };
    assert_eq!(
        refusal(&error).unwrap().to_string(),
        "a PROXY header of a peer that is not trusted with one"
    );
    assert!(refusal(&io::ErrorKind::ConnectionReset.into()).is_none());
    assert!(refusal(&io::Error::new(io::ErrorKind::InvalidData, "other")).is_none());
}
