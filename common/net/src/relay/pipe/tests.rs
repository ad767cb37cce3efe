//! Pipes: what goes in comes out, and how many there are.

use std::{future::poll_fn, thread};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (outer, inner) = tokio::join!(TcpStream::connect(address), listener.accept());
    (outer.unwrap(), inner.unwrap().0)
}

#[tokio::test]
async fn what_goes_in_comes_out_and_the_pipe_goes_back_to_the_shelf() {
    let (mut client, from) = pair().await;
    let (to, mut server) = pair().await;
    client.write_all(b"as it is").await.unwrap();
    let mut pipe = Pipe::take().unwrap();
    let filled = poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap();
    assert_eq!((filled, pipe.is_empty()), (8, false));
    let drained = poll_fn(|cx| pipe.poll_drain(cx, &to)).await.unwrap();
    assert_eq!((drained, pipe.is_empty()), (8, true));
    let mut bytes = [0; 8];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"as it is");

    let before = SHELF.with_borrow(Vec::len);
    drop(pipe);
    assert_eq!(SHELF.with_borrow(Vec::len), before + 1);
    drop(client);
    let mut pipe = Pipe::take().unwrap();
    let filled = poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap();
    assert_eq!(filled, 0, "the end");
}

/// The next connection would get the bytes of this one.
#[tokio::test]
async fn a_pipe_with_something_in_it_is_never_used_again() {
    let (mut client, from) = pair().await;
    client.write_all(b"somebody's").await.unwrap();
    let mut pipe = Pipe::take().unwrap();
    poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap();
    let before = SHELF.with_borrow(Vec::len);
    drop(pipe);
    assert_eq!(SHELF.with_borrow(Vec::len), before);
}

#[test]
fn a_shelf_is_small_and_a_thread_that_ends_keeps_none() {
    thread::spawn(|| {
        let pipes: Vec<_> = std::iter::from_fn(Pipe::take).take(20).collect();
        assert_eq!(pipes.len(), 20);
        drop(pipes);
        assert_eq!(SHELF.with_borrow(Vec::len), MAX_SHELVED);
    })
    .join()
    .unwrap();
}
