//! An end that resets while what it has sent waits for the other one.

use std::time::Duration;

use socket2::SockRef;
use tokio::time::timeout;

use super::*;
use crate::socket::reset_on_close;

/// Room for a busy machine; every wait ends long before.
const PATIENCE: Duration = Duration::from_secs(20);
/// Reads of this size never show bulk.
const LITTLE: usize = 8 * 1024;
/// Turns in which nothing is taken any more.
const STILL: usize = 200;

/// Writes blocks of `size` until the relay is blocked. Answers how much was written.
async fn fill<F: Future>(stream: &TcpStream, size: usize, mut relayed: Pin<&mut F>) -> usize {
    let block: Vec<u8> = (0..251_u8).cycle().take(size).collect();
    let (mut sent, mut still) = (0, 0);
    while still < STILL {
        // Each block is the same sequence, from where the last one was taken.
        match stream.try_write(&block[sent % 251..]) {
            Ok(written) => (sent, still) = (sent + written, 0),
            Err(_full) => still += 1,
        }
        assert!(futures_poll(relayed.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    sent
}

fn reset(stream: TcpStream) {
    reset_on_close(&stream);
    drop(stream);
}

async fn is_reset_while_blocked(size: usize) {
    let (client, mut downstream) = pair().await;
    let (mut server, mut upstream) = pair().await;
    let counts = Counts::default();
    let relayed = {
        let mut relayed = pin!(relay(&mut downstream, &mut upstream, &counts));
        fill(&client, size, relayed.as_mut()).await;
        reset(client);
        timeout(PATIENCE, relayed).await.expect("the reset is seen")
    };
    assert!(
        matches!(&relayed, Err(RelayError::Downstream(error)) if error.kind() == io::ErrorKind::ConnectionReset),
        "{relayed:?}"
    );
    drop(upstream);
    // The server learns of it behind what it has already.
    let mut buffer = vec![0; 1024 * 1024];
    let error = loop {
        match server.read(&mut buffer).await {
            Ok(0) => panic!("a reset became an end"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_resets_is_noticed_while_little_of_it_waits_for_a_server_that_does_not_read()
{
    is_reset_while_blocked(LITTLE).await;
}

#[tokio::test]
async fn a_client_that_resets_is_noticed_while_bulk_of_it_waits_for_a_server_that_does_not_read() {
    is_reset_while_blocked(1024 * 1024).await;
}

/// The other end is a tunnel whose window is shut.
#[tokio::test]
async fn a_client_that_resets_is_noticed_while_a_window_is_shut() {
    let (client, mut downstream) = pair().await;
    let mut blocked = Windowed::default();
    let counts = Counts::default();
    let mut relayed = pin!(relay(&mut downstream, &mut blocked, &counts));
    assert!(fill(&client, LITTLE, relayed.as_mut()).await > 0);
    reset(client);
    let relayed = timeout(PATIENCE, relayed).await.expect("the reset is seen");
    assert!(
        matches!(&relayed, Err(RelayError::Downstream(error)) if error.kind() == io::ErrorKind::ConnectionReset),
        "{relayed:?}"
    );
}

/// More than two small sockets take, and than one read; less than a socket's first window.
const SAID: usize = 48 * 1024;

/// A pair that takes next to nothing towards its outer end.
async fn narrow() -> (TcpStream, TcpEnd) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let (inner, outer) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let inner = inner.unwrap();
    SockRef::from(&inner).set_send_buffer_size(4096).unwrap();
    (outer.unwrap().0, TcpEnd::new(inner))
}

/// One end says something and finishes, and the other one does not read yet. `goes`: and then it resets.
async fn finished(client_says: bool, goes: bool) {
    let (speaking, listening) = (pair().await, narrow().await);
    let ((mut speaker, from), (mut reader, to)) = (speaking, listening);
    let (mut downstream, mut upstream) = if client_says { (from, to) } else { (to, from) };
    let counts = Counts::default();
    let mut relayed = pin!(relay(&mut downstream, &mut upstream, &counts));
    let said: Vec<u8> = (0..251_u8).cycle().take(SAID).collect();
    assert_eq!(speaker.try_write(&said).unwrap(), SAID);
    speaker.shutdown().await.unwrap();
    let mut speaker = Some(speaker);
    for turn in 0..2 * STILL {
        assert!(
            futures_poll(relayed.as_mut()).is_pending(),
            "what was said is lost"
        );
        tokio::task::yield_now().await;
        if turn == STILL
            && goes
            && let Some(speaker) = speaker.take()
        {
            reset(speaker);
        }
    }
    let passed = counts.upward.get() + counts.downward.get();
    assert!(passed < SAID as u64, "nothing waits: {passed}");
    let mut heard = Vec::new();
    let all = async {
        let read = timeout(PATIENCE, reader.read_to_end(&mut heard)).await;
        read.expect("an end in time").unwrap();
    };
    tokio::select! {
        biased;
        () = all => {}
        relayed = relayed.as_mut() => panic!("{relayed:?} before it was heard"),
    }
    assert!(heard == said, "{} of {SAID} bytes", heard.len());
}

#[tokio::test]
async fn a_half_close_is_no_reset() {
    finished(true, false).await;
    finished(false, false).await;
}

#[tokio::test]
async fn what_an_end_said_before_it_finished_is_delivered_though_it_resets_then() {
    finished(true, true).await;
    finished(false, true).await;
}
