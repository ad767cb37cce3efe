//! PINGs: they keep a quiet tunnel, and tell one whose peer is gone without a word.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hbone::Settings;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::{Client, PATIENCE, ca, credential, echo, ping, serve};

/// Stands between client and server, and can go silent: sockets stay open, bytes vanish.
struct Gate {
    address: SocketAddr,
    /// Bytes of clients that have passed.
    passed: Arc<AtomicU64>,
    /// Connections with a lower number are silent.
    first_open: watch::Sender<usize>,
}

impl Gate {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (passed, first_open) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(0));
        let (count, silent) = (Arc::clone(&passed), first_open.subscribe());
        tokio::spawn(async move {
            for number in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(server).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let none = Arc::new(AtomicU64::new(0));
                tokio::spawn(pump(
                    from_client,
                    to_server,
                    Arc::clone(&count),
                    silent.clone(),
                    number,
                ));
                tokio::spawn(pump(from_server, to_client, none, silent.clone(), number));
            }
        });
        Self {
            address,
            passed,
            first_open,
        }
    }

    /// Silences the connections that are there; later ones pass.
    fn silence(&self, connections: usize) {
        self.first_open.send_replace(connections);
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passed: Arc<AtomicU64>,
    first_open: watch::Receiver<usize>,
    number: usize,
) {
    let mut buffer = vec![0; 65_536];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if number < *first_open.borrow() {
            // Neither bytes nor ends pass any more.
            std::future::pending::<()>().await;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        passed.fetch_add(count as u64, Ordering::SeqCst);
    }
}

fn impatient() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(20),
        ping_timeout: Duration::from_secs(2),
        ..Settings::default()
    }
}

#[tokio::test]
async fn pings_pass_while_nothing_else_does_and_the_tunnel_stays() {
    let ca = ca();
    let server = serve(credential(&ca, "server").await, echo().await, impatient()).await;
    let gate = Gate::before(server.address).await;
    let client = Client::new(credential(&ca, "client").await, gate.address, impatient());
    let mut tcp = client.connect().await;
    ping(&mut tcp, b"before").await;
    let (before, deadline) = (
        gate.passed.load(Ordering::SeqCst),
        net::clock::now() + PATIENCE,
    );
    // A PING and the answer to the other side's are two records of about 40 bytes.
    while gate.passed.load(Ordering::SeqCst) < before + 400 {
        assert!(net::clock::now() < deadline, "no PING passes");
        tokio::task::yield_now().await;
    }
    ping(&mut tcp, b"after").await;
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 1, "the same tunnel");
}

#[tokio::test]
async fn a_peer_that_stops_to_answer_loses_its_tunnel_and_the_next_stream_gets_a_new_one() {
    let ca = ca();
    let server = serve(credential(&ca, "server").await, echo().await, impatient()).await;
    let gate = Gate::before(server.address).await;
    let client = Client::new(credential(&ca, "client").await, gate.address, impatient());
    let mut tcp = client.connect().await;
    ping(&mut tcp, b"before").await;
    gate.silence(1);
    let end = tokio::time::timeout(PATIENCE, tcp.read(&mut [0; 1]))
        .await
        .expect("the end in time");
    assert!(
        end.is_err(),
        "an orderly end would hide that bytes may be missing: {end:?}"
    );
    ping(&mut client.connect().await, b"anew").await;
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 2);
}
