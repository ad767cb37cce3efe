//! Buffers on loan, and their return.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::{MAX_COPIED_BYTES, MIN_SHELVED, SHELF, poll_read, poll_receive};

fn read(mut input: &[u8], limit: usize) -> bytes::Bytes {
    match poll_read(&mut input, &mut Context::from_waker(Waker::noop()), limit) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("a slice is always ready"),
    }
}

#[test]
fn a_read_never_exceeds_its_limit_and_an_empty_one_is_the_end() {
    let input = vec![7; 100_000];
    assert_eq!(read(&input, 50_000).len(), 50_000);
    assert_eq!(read(&input[..10], 50_000), input[..10]);
    assert!(read(&[], 50_000).is_empty());
}

#[test]
fn a_buffer_returns_to_the_shelf_when_its_last_reader_is_gone() {
    let shelved = || SHELF.with_borrow(Vec::len);
    assert_eq!(shelved(), 0);
    let large = read(&vec![1; MAX_COPIED_BYTES + 1], usize::MAX);
    let part = large.slice(10..20);
    drop(large);
    assert_eq!(shelved(), 0, "a part of it is still read");
    drop(part);
    assert_eq!(shelved(), 1);
    let small = read(&[2; MAX_COPIED_BYTES], usize::MAX);
    assert_eq!(shelved(), 1, "a small read is copied out");
    drop(small);
}

#[test]
fn a_shelf_is_as_long_as_buffers_are_lent_and_short_when_they_are_back() {
    const MANY: usize = 40;
    let shelved = || SHELF.with_borrow(Vec::len);
    let large = || read(&vec![1; MAX_COPIED_BYTES + 1], usize::MAX);
    let mut lent: Vec<_> = (0..MANY).map(|_| large()).collect();
    lent.truncate(MANY / 2);
    assert_eq!(shelved(), MANY / 2);
    drop(lent);
    // Other tests of the process may have lent some meanwhile.
    drop(read(&[1], usize::MAX));
    assert!(
        (MIN_SHELVED..MANY / 2).contains(&shelved()),
        "{}",
        shelved()
    );
}

#[tokio::test]
async fn a_socket_is_received_from_in_order_within_the_limit_and_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut client, socket) = (client.unwrap(), accepted.unwrap().0);
    let pending =
        |limit| poll_receive(&socket, &mut Context::from_waker(Waker::noop()), limit).is_pending();
    assert!(pending(1000), "nothing has come");
    let sent: Vec<u8> = (0..251_u8).cycle().take(100_000).collect();
    let mut received = Vec::new();
    for (length, limit) in [
        (1, 1000),
        (1000, 1000),
        (30_000, 20_000),
        (100_000, usize::MAX),
    ] {
        client.write_all(&sent[..length]).await.unwrap();
        received.clear();
        while received.len() < length {
            let bytes = poll_fn(|cx| poll_receive(&socket, cx, limit))
                .await
                .unwrap();
            assert!((1..=limit).contains(&bytes.len()));
            received.extend_from_slice(&bytes);
        }
        assert!(received == sent[..length], "bytes differ");
        assert!(pending(limit));
    }
    client.shutdown().await.unwrap();
    let end = poll_fn(|cx| poll_receive(&socket, cx, 1000)).await.unwrap();
    assert!(end.is_empty());
}
