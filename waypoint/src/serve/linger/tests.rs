//! What happens between our last byte and the end of a connection.

use std::{sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

use super::{Linger, TIMEOUT_LINGER};

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_sending_reads_the_answer_to_its_end() {
    let (mut client, server) = tokio::io::duplex(64);
    let closing = tokio::spawn(async move {
        let mut io = TokioIo::new(Linger::new(TokioIo::new(server), ()));
        io.write_all(b"answer").await.unwrap();
        io.shutdown().await
    });
    let mut answer = String::new();
    client.write_all(&[b'x'; 1000]).await.unwrap();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    let began = Instant::now();
    client.shutdown().await.unwrap();
    closing.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_end_is_waited_for_a_short_while() {
    let (_client, server) = tokio::io::duplex(64);
    let mut io = TokioIo::new(Linger::new(TokioIo::new(server), ()));
    let began = Instant::now();
    io.shutdown().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), TIMEOUT_LINGER.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_is_not_listened_to_for_ever() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let flood = tokio::spawn(async move {
        let mut sent = 0_usize;
        while client.write_all(&[0; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    });
    let mut io = TokioIo::new(Linger::new(TokioIo::new(server), ()));
    io.shutdown().await.unwrap();
    drop(io);
    assert!(flood.await.unwrap() < 2 * super::MAX_LINGER_BYTES);
}

#[tokio::test(start_paused = true)]
async fn the_place_is_kept_until_the_connection_is_dropped() {
    let (_client, server) = tokio::io::duplex(64);
    let place = Arc::new(());
    let io = Linger::new(TokioIo::new(server), Arc::clone(&place));
    assert_eq!(Arc::strong_count(&place), 2);
    drop(io);
    assert_eq!(Arc::strong_count(&place), 1);
}
