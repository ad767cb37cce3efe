//! What a relay passes on, and how it ends.

use std::{
    cell::Cell,
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Duplex, Meter, Queue, Read, RelayError, TcpEnd, relay};

#[derive(Default)]
struct Counts {
    upward: Cell<u64>,
    downward: Cell<u64>,
}

impl Meter for Counts {
    fn upward(&self, bytes: u64) {
        self.upward.set(self.upward.get() + bytes);
    }
    fn downward(&self, bytes: u64) {
        self.downward.set(self.downward.get() + bytes);
    }
}

async fn pair() -> (TcpStream, TcpEnd) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (outer, inner) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    (outer.unwrap(), TcpEnd::new(inner.unwrap().0))
}

#[tokio::test]
async fn each_direction_ends_by_itself_and_every_byte_is_counted() {
    let (mut client, downstream) = pair().await;
    let (mut server, upstream) = pair().await;
    let counts = Counts::default();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (relayed, (), received) = tokio::join!(
        async {
            // Dropped as soon as it has ended: the last direction is finished so.
            let (mut downstream, mut upstream) = (downstream, upstream);
            relay(&mut downstream, &mut upstream, &counts).await
        },
        async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"after the half-close");
        },
        async {
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            server.write_all(b"after the half-close").await.unwrap();
            server.shutdown().await.unwrap();
            received
        }
    );
    relayed.unwrap();
    assert!(received == sent, "bytes differ");
    assert_eq!(
        (counts.upward.get(), counts.downward.get()),
        (3_000_000, 20)
    );
}

#[tokio::test]
async fn a_reset_of_one_end_resets_the_other() {
    let (client, mut downstream) = pair().await;
    let (mut server, mut upstream) = pair().await;
    let ((), relayed) = tokio::join!(
        async {
            crate::socket::reset_on_close(&client);
            drop(client);
        },
        async {
            let result = relay(&mut downstream, &mut upstream, &Counts::default()).await;
            drop(upstream);
            result
        }
    );
    assert!(
        matches!(relayed, Err(RelayError::Downstream(_))),
        "{relayed:?}"
    );
    let error = server.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// An end with a window: hands out what it was given, and counts what it may forget.
#[derive(Default)]
struct Windowed {
    arrived: VecDeque<io::Result<Bytes>>,
    consumed: usize,
}

impl Duplex for Windowed {
    const DROP_FINISHES: bool = false;

    fn poll_read(&mut self, cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        self.poll_read_ahead(cx, queue)
    }

    fn poll_read_ahead(
        &mut self,
        _: &mut Context<'_>,
        queue: &mut Queue,
    ) -> Poll<io::Result<Read>> {
        match self.arrived.pop_front() {
            Some(Ok(bytes)) => queue.push(bytes),
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => return Poll::Pending,
        }
        Poll::Ready(Ok(Read::Some))
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

#[tokio::test]
async fn an_end_with_a_window_is_read_and_its_reset_is_seen_while_the_other_is_blocked() {
    let counts = Counts::default();
    let crumbs = (0..1000).map(|_| Ok(Bytes::from_static(b"x")));
    let mut source = Windowed {
        arrived: crumbs.collect(),
        consumed: 0,
    };
    let mut blocked = Windowed::default();
    {
        let mut relayed = pin!(relay(&mut source, &mut blocked, &counts));
        assert!(futures_poll(relayed.as_mut()).is_pending());
    }
    assert_eq!(
        (source.arrived.len(), source.consumed),
        (0, 0),
        "all was read, and the window stays shut"
    );

    source.arrived = [
        Ok(Bytes::from_static(b"x")),
        Err(io::ErrorKind::ConnectionReset.into()),
    ]
    .into();
    let result = relay(&mut source, &mut blocked, &counts).await;
    assert!(
        matches!(result, Err(RelayError::Downstream(error)) if error.kind() == io::ErrorKind::ConnectionReset)
    );
}

fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn crumbs_are_gathered_in_order_and_large_chunks_are_not_copied() {
    let mut queue = Queue::default();
    let whole: Vec<u8> = (0..200_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let buffer = Bytes::from(whole.clone());
    let mut rest = buffer.clone();
    for length in [1, 1, 1000, 1, 5000, 3, 3, 100_000]
        .into_iter()
        .chain(std::iter::repeat_n(1, 50_000))
    {
        queue.push(rest.split_to(length));
    }
    assert!(queue.chunks.len() < 15, "{} chunks", queue.chunks.len());
    let large = queue
        .chunks
        .iter()
        .find(|chunk| chunk.len() == 100_000)
        .unwrap();
    assert!(
        buffer.as_ptr_range().contains(&large.as_ptr()),
        "a large chunk is not copied"
    );
    let length = queue.len();
    let mut out = Vec::new();
    while let Some(chunk) = queue.pop(7000) {
        out.extend_from_slice(&chunk);
    }
    assert!(queue.is_empty() && out == whole[..length]);
}
