//! What strangers may say before anyone knows them.

use std::{sync::mpsc, thread};

use hbone::{Settings, server};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::{PATIENCE, ca, credential};

/// A ClientHello of the largest length that rustls puts up with, which is more than it makes room for.
fn endless_hello() -> Vec<u8> {
    let message = [&[1, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
    message
        .chunks(16_000)
        .flat_map(|fragment| {
            let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
            [&[22, 3, 1][..], &length, fragment].concat()
        })
        .collect()
}

#[test]
fn a_hello_without_end_is_refused_and_does_not_keep_the_worker_busy() {
    let (tell, told) = mpsc::channel();
    // On a thread of its own: a server that turns in circles would not let this one look at the clock.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let handshake = async {
            let credential = credential(&ca(), "server").await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stranger = tokio::spawn(async move {
                let mut tcp = TcpStream::connect(address).await.unwrap();
                drop(tcp.write_all(&endless_hello()).await);
                // Stays, so that it is not the end of the connection that ends the handshake.
                std::future::pending::<()>().await;
            });
            let (tcp, _) = listener.accept().await.unwrap();
            let config = credential.server_config();
            let result =
                server::handshake(tcp, config, credential.not_after(), &Settings::default()).await;
            stranger.abort();
            result.map(drop).map_err(|error| error.to_string())
        };
        tell.send(runtime.block_on(handshake)).unwrap();
    });
    let refused = told
        .recv_timeout(PATIENCE)
        .expect("an end in time")
        .unwrap_err();
    assert!(refused.starts_with("tls error"), "{refused}");
}
