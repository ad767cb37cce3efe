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

use super::{Duplex, MAX_PIPE_BYTES, Meter, Queue, Read, RelayError, TcpEnd, pipe, relay};

mod resets;

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

/// Far more than what is read before pipes take over, and both ways at once, with messages between bulk and bulk.
#[tokio::test]
async fn bulk_and_messages_in_turn_arrive_as_they_were_sent() {
    const BULK: usize = 24 * 1024 * 1024;
    let (mut client, downstream) = pair().await;
    let (mut server, upstream) = pair().await;
    let counts = Counts::default();
    let sent: Vec<u8> = (0..251_u8).cycle().take(BULK).collect();
    let talk = async |socket: &mut TcpStream, first: bool| {
        let (mut reader, mut writer) = socket.split();
        for round in 0..3_usize {
            let mut received = vec![0; BULK];
            let (written, read) =
                tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received));
            written.unwrap();
            read.unwrap();
            assert!(received == sent, "bytes differ in round {round}");
            // One asks, the other answers.
            for message in 0..100_u8 {
                let mut answer = [0];
                if first {
                    writer.write_all(&[message]).await.unwrap();
                }
                reader.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, [message]);
                if !first {
                    writer.write_all(&[message]).await.unwrap();
                }
            }
        }
        writer.shutdown().await.unwrap();
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    };
    let (relayed, (), ()) = tokio::join!(
        async {
            let (mut downstream, mut upstream) = (downstream, upstream);
            relay(&mut downstream, &mut upstream, &counts).await
        },
        talk(&mut client, true),
        talk(&mut server, false),
    );
    relayed.unwrap();
    let all = 3 * (BULK as u64 + 100);
    assert_eq!((counts.upward.get(), counts.downward.get()), (all, all));
    assert!(pipe::shelved() > 0, "bulk went through no pipe");
}

/// The end comes while the pipe is full: nothing may be lost to it. Sockets that are joined in the kernel by other means do lose it.
#[tokio::test]
async fn what_is_in_a_pipe_arrives_after_the_end_of_its_source() {
    const BULK: usize = 64 * 1024 * 1024;
    let (mut client, downstream) = pair().await;
    let (mut server, upstream) = pair().await;
    let counts = Counts::default();
    let ((), received, relayed) = tokio::join!(
        async {
            let block: Vec<u8> = (0..1024 * 1024_u32).map(|i| (i % 251) as u8).collect();
            for _ in 0..BULK / block.len() {
                client.write_all(&block).await.unwrap();
            }
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        },
        async {
            // Slow at first, so that everything between the two is full.
            let mut buffer = vec![0; 64 * 1024];
            let mut received = 0;
            while let read @ 1.. = server.read(&mut buffer).await.unwrap() {
                received += read;
                tokio::task::yield_now().await;
            }
            server.shutdown().await.unwrap();
            received
        },
        async {
            let (mut downstream, mut upstream) = (downstream, upstream);
            relay(&mut downstream, &mut upstream, &counts).await
        }
    );
    relayed.unwrap();
    assert_eq!((received, counts.upward.get()), (BULK, BULK as u64));
}

/// A reader that stands still holds its writer back: what lies between them is bounded by the sockets and one pipe.
#[tokio::test]
async fn a_reader_that_stands_still_holds_its_writer_back() {
    let (client, downstream) = pair().await;
    let (server, upstream) = pair().await;
    let counts = Counts::default();
    let (mut downstream, mut upstream) = (downstream, upstream);
    let mut relayed = pin!(relay(&mut downstream, &mut upstream, &counts));
    let block = vec![7; 1024 * 1024];
    let (mut sent, mut idle) = (0, 0);
    // The kernel moves what is in flight while this task is away.
    while idle < 200 {
        match client.try_write(&block) {
            Ok(written) => (sent, idle) = (sent + written, 0),
            Err(_full) => idle += 1,
        }
        assert!(futures_poll(relayed.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    let between = sent as u64 - counts.upward.get();
    let most = (MAX_PIPE_BYTES + 16 * 1024 * 1024) as u64;
    assert!(between <= most, "{between} bytes are on their way");
    drop(server);
    drop(client);
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

    fn has_window(&self) -> bool {
        true
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
