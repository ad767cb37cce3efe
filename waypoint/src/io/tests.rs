//! An end as a socket, over an end that takes as much as the test lets it.

use std::{collections::VecDeque, pin::pin, task::Waker};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Yields what it was given; takes `room` bytes.
#[derive(Debug, Default)]
struct Scripted {
    incoming: VecDeque<Bytes>,
    consumed: usize,
    room: usize,
    frames: Vec<Bytes>,
    is_finished: bool,
    is_reset: bool,
}

impl Duplex for Scripted {
    const DROP_FINISHES: bool = false;

    fn poll_read(&mut self, _cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<Read>> {
        match self.incoming.pop_front() {
            Some(bytes) => {
                queue.push(bytes);
                Poll::Ready(Ok(Read::Some))
            }
            None => Poll::Ready(Ok(Read::End)),
        }
    }

    fn consumed(&mut self, bytes: usize) {
        self.consumed += bytes;
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, queue: &mut Queue) -> Poll<io::Result<()>> {
        while self.room > 0
            && let Some(bytes) = queue.pop(self.room)
        {
            self.room -= bytes.len();
            self.frames.push(bytes);
        }
        if queue.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.is_finished, "the end is said once");
        self.is_finished = true;
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self) {
        self.is_reset = true;
    }
}

fn wide() -> Scripted {
    Scripted {
        room: usize::MAX,
        ..Scripted::default()
    }
}

#[tokio::test]
async fn what_arrives_is_read_in_any_portion_and_the_end_is_an_end() {
    let mut io = DuplexIo::new(Scripted {
        incoming: [&b"hello "[..], b"world"].map(Bytes::from_static).into(),
        ..Scripted::default()
    });
    let mut first = [0; 4];
    io.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"hell");
    assert_eq!(io.end().consumed, 4);
    let mut rest = String::new();
    io.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "o world");
    assert_eq!(io.end().consumed, 11);
}

#[tokio::test]
async fn slices_leave_as_one_frame() {
    let mut io = DuplexIo::new(wide());
    let slices = [
        IoSlice::new(b"head"),
        IoSlice::new(b""),
        IoSlice::new(b"body"),
    ];
    assert_eq!(io.write_vectored(&slices).await.unwrap(), 8);
    io.flush().await.unwrap();
    assert_eq!(io.end().frames, [Bytes::from_static(b"headbody")]);
}

#[tokio::test]
async fn nothing_to_write_makes_no_frame() {
    let mut io = DuplexIo::new(wide());
    assert_eq!(io.write(b"").await.unwrap(), 0);
    io.flush().await.unwrap();
    io.shutdown().await.unwrap();
    io.shutdown().await.unwrap();
    assert!(io.end().frames.is_empty());
    assert!(io.end().is_finished);
}

#[test]
fn a_blocked_end_holds_back_its_writer() {
    let mut io = DuplexIo::new(Scripted::default());
    let large = vec![b'x'; 1024 * 1024];
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while let Poll::Ready(written) = io.poll_put(&mut cx, &[IoSlice::new(&large)]) {
        taken += written.unwrap();
        assert!(taken <= 2 * MAX_WRITE_BYTES);
    }
    assert_eq!(taken, MAX_WRITE_BYTES);
    assert!(pin!(io.flush()).poll(&mut cx).is_pending());
    io.end.room = usize::MAX;
    assert!(pin!(io.flush()).poll(&mut cx).is_ready());
    let sent: usize = io.end().frames.iter().map(Bytes::len).sum();
    assert_eq!(sent, taken);
}

#[tokio::test]
async fn small_writes_keep_their_order_and_their_bytes() {
    let mut io = DuplexIo::new(wide());
    let mut expected = Vec::new();
    for n in 0..2_000_u32 {
        let line = format!("line {n}\n");
        io.write_all(line.as_bytes()).await.unwrap();
        expected.extend_from_slice(line.as_bytes());
    }
    assert_eq!(io.end().frames.concat(), expected);
}

#[test]
fn a_reset_reaches_the_end() {
    let mut io = DuplexIo::new(Scripted::default());
    io.reset();
    assert!(io.end().is_reset);
}
