//! Tunnels over real sockets and real certificates: streams, sharing, stalls, drains.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hbone::{Early, OpenError, Pool, Settings, Stream, TunnelKey, client, server};
use http::{Request, StatusCode};
use identity::{Config, Credential, FileCa};
use mesh::{San, SpiffeId};
use net::{
    drain::{Drain, Phase},
    relay::{Meter, TcpEnd, relay},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[path = "tunnel/hello.rs"]
mod hello;
#[path = "tunnel/keepalive.rs"]
mod keepalive;

/// Room for a busy machine; every wait ends long before.
const PATIENCE: Duration = Duration::from_secs(20);

struct Uncounted;

impl Meter for Uncounted {
    fn upward(&self, _bytes: u64) {}
    fn downward(&self, _bytes: u64) {}
}

fn ca() -> FileCa {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    FileCa::from_pem(&certificate.pem(), &key.serialize_pem(), net::clock::wall()).unwrap()
}

async fn credential(ca: &FileCa, account: &str) -> Arc<Credential> {
    let id = SpiffeId::new("cluster.local".into(), "default".into(), account.into());
    Arc::new(
        Credential::issue(ca, &id, &Config::default())
            .await
            .unwrap(),
    )
}

/// A server that connects every stream to `app`, unless its authority says `refuse`.
struct Server {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
    drain: Drain,
}

async fn serve(credential: Arc<Credential>, app: SocketAddr, settings: Settings) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let (count, drain) = (Arc::clone(&tunnels), Drain::default());
    let draining = drain.listen();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (credential, settings, draining) =
                (Arc::clone(&credential), settings.clone(), draining.clone());
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let config = credential.server_config();
                let Ok(accepted) =
                    server::handshake(tcp, config, credential.not_after(), &settings).await
                else {
                    return;
                };
                assert_eq!(accepted.peer.id.service_account.as_str(), "client");
                count.fetch_add(1, Ordering::SeqCst);
                let served = accepted.serve(&settings, &draining, |incoming| {
                    tokio::spawn(async move {
                        if incoming.head.uri.port_u16() == Some(1) {
                            incoming.refuse(StatusCode::UNAUTHORIZED);
                            return;
                        }
                        let tcp = TcpStream::connect(app).await.unwrap();
                        let mut stream = incoming.accept(None).unwrap();
                        drop(relay(&mut stream, &mut TcpEnd::new(tcp), &Uncounted).await);
                    });
                });
                drop(served.await);
            });
        }
    });
    Server {
        address,
        tunnels,
        drain,
    }
}

/// Answers every connection with what it sends, until it ends.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = tcp.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
                drop(write.shutdown().await);
            });
        }
    });
    address
}

struct Client {
    pool: Arc<Pool>,
    credential: Arc<Credential>,
    settings: Settings,
    peer: SocketAddr,
    _drain: Drain,
}

impl Client {
    fn new(credential: Arc<Credential>, peer: SocketAddr, settings: Settings) -> Self {
        let drain = Drain::default();
        let pool = Pool::new(Arc::new(settings.clone()), drain.listen());
        Self {
            pool,
            credential,
            settings,
            peer,
            _drain: drain,
        }
    }

    async fn open(&self, port: u16) -> Result<Stream, OpenError> {
        self.open_with(port, &mut Early::<TcpEnd>::none()).await
    }

    async fn open_with(
        &self,
        port: u16,
        early: &mut Early<'_, TcpEnd>,
    ) -> Result<Stream, OpenError> {
        let key = TunnelKey {
            source: self.credential.id().clone(),
            generation: self.credential.generation(),
            source_ip: [127, 0, 0, 1].into(),
            peer: self.peer,
            expected: vec![San::from("spiffe://cluster.local/ns/default/sa/server")],
        };
        let dial = || {
            let (credential, settings, key) = (
                Arc::clone(&self.credential),
                self.settings.clone(),
                key.clone(),
            );
            async move {
                let tcp = TcpStream::connect(key.peer).await.unwrap();
                let config = credential.client_config(&key.expected);
                client::handshake(tcp, config, credential.not_after(), &settings).await
            }
        };
        let request = || {
            Request::connect(format!("10.0.0.1:{port}"))
                .body(())
                .unwrap()
        };
        self.pool
            .open(&key, dial, request, early)
            .await
            .map(|(stream, _head)| stream)
    }

    /// A TCP connection that is relayed through a stream.
    async fn connect(&self) -> TcpStream {
        let mut stream = self.open(80).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (outer, inner) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        let mut inner = TcpEnd::new(inner.unwrap().0);
        tokio::spawn(async move { drop(relay(&mut inner, &mut stream, &Uncounted).await) });
        outer.unwrap()
    }
}

async fn setup(settings: Settings) -> (Server, Client) {
    let ca = ca();
    let server = serve(
        credential(&ca, "server").await,
        echo().await,
        settings.clone(),
    )
    .await;
    let client = Client::new(credential(&ca, "client").await, server.address, settings);
    (server, client)
}

async fn ping(tcp: &mut TcpStream, text: &[u8]) {
    tcp.write_all(text).await.unwrap();
    let mut answer = vec![0; text.len()];
    tokio::time::timeout(PATIENCE, tcp.read_exact(&mut answer))
        .await
        .expect("an answer in time")
        .unwrap();
    assert_eq!(answer, text);
}

#[tokio::test]
async fn megabytes_pass_both_ways_and_each_side_ends_by_itself() {
    let (_server, client) = setup(Settings::default()).await;
    let mut tcp = client.connect().await;
    let sent: Vec<u8> = (0..20_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let expected = sent.clone();
    let (mut read, mut write) = tcp.split();
    let ((), received) = tokio::join!(
        async {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        },
        async {
            let mut received = Vec::new();
            tokio::time::timeout(PATIENCE, read.read_to_end(&mut received))
                .await
                .unwrap()
                .unwrap();
            received
        }
    );
    assert!(received == expected, "bytes differ");
}

#[tokio::test]
async fn small_and_large_writes_of_many_streams_keep_their_order() {
    let (server, client) = setup(Settings::default()).await;
    let all = (0..8_u8).map(|stream| {
        let client = &client;
        async move {
            let mut tcp = client.connect().await;
            // Around what gathers, and what a record holds.
            for length in [1, 100, 4_000, 4_087, 4_097, 300, 16_375, 16_400, 2] {
                let text: Vec<u8> = (0..length)
                    .map(|i: u32| stream ^ u8::try_from(i % 251).unwrap())
                    .collect();
                ping(&mut tcp, &text).await;
            }
        }
    });
    futures_util::future::join_all(all).await;
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn streams_share_a_tunnel_up_to_its_limit() {
    let (server, client) = setup(Settings {
        max_streams: 10,
        ..Settings::default()
    })
    .await;
    let opened = futures_util::future::join_all((0..25).map(|_| client.open(80))).await;
    let streams: Vec<Stream> = opened.into_iter().map(Result::unwrap).collect();
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 3);
    drop(streams);
    client.open(80).await.unwrap();
    assert_eq!(
        server.tunnels.load(Ordering::SeqCst),
        3,
        "a tunnel with room is used again"
    );
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status_and_leaves_the_tunnel_whole() {
    let (server, client) = setup(Settings::default()).await;
    let refused = client.open(1).await.unwrap_err();
    assert_eq!(refused.to_string(), "http status: 401 Unauthorized");
    ping(&mut client.connect().await, b"still there").await;
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn readers_that_stall_stall_nobody_else() {
    let (server, client) = setup(Settings {
        connection_window: 65_535,
        stream_window: 65_535,
        ..Settings::default()
    })
    .await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut tcp = client.connect().await;
        // More than all windows and socket buffers hold, and never read back.
        let writer = tokio::spawn(async move {
            drop(tcp.write_all(&vec![7; 8 << 20]).await);
            std::future::pending::<()>().await;
        });
        stalled.push(writer);
    }
    let mut tcp = client.connect().await;
    for round in 0..100_u32 {
        ping(&mut tcp, &round.to_be_bytes()).await;
    }
    assert_eq!(
        server.tunnels.load(Ordering::SeqCst),
        1,
        "all of it in one tunnel"
    );
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_draining_server_lets_streams_finish_and_new_ones_use_a_new_tunnel() {
    let (server, client) = setup(Settings::default()).await;
    let mut before = client.connect().await;
    ping(&mut before, b"before").await;
    server.drain.advance(Phase::Draining);
    ping(&mut before, b"during").await;
    // The server's listener is still there; a fresh tunnel is drained at once, so opening fails for good or works,
    // but the old stream is never touched.
    drop(tokio::time::timeout(Duration::from_secs(2), client.open(80)).await);
    ping(&mut before, b"after").await;
    server.drain.advance(Phase::Cut);
    let end = tokio::time::timeout(PATIENCE, before.read(&mut [0; 1]))
        .await
        .expect("the cut in time");
    assert!(end.is_err() || end.is_ok_and(|count| count == 0));
}

#[tokio::test]
async fn a_tunnel_that_has_long_been_idle_is_closed() {
    let settings = Settings {
        timeout_idle: Duration::from_millis(50),
        ping_interval: Duration::from_millis(100),
        ..Settings::default()
    };
    let (_server, client) = setup(settings).await;
    drop(client.open(80).await.unwrap());
    let deadline = net::clock::now() + PATIENCE;
    while client.pool.tunnels() > 0 {
        assert!(net::clock::now() < deadline, "the tunnel is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_with_another_identity_is_refused_before_anything_is_sent() {
    let ca = ca();
    let server = serve(
        credential(&ca, "impostor").await,
        echo().await,
        Settings::default(),
    )
    .await;
    let client = Client::new(
        credential(&ca, "client").await,
        server.address,
        Settings::default(),
    );
    let refused = client.open(80).await.unwrap_err();
    assert!(refused.to_string().starts_with("tls error"), "{refused}");
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_an_application_says_before_the_answer_arrives_once_and_in_order() {
    let (server, client) = setup(Settings::default()).await;
    // The first stream waits for its tunnel, the second finds it open.
    for round in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (outer, inner) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        let (mut outer, mut inner) = (outer.unwrap(), TcpEnd::new(inner.unwrap().0));
        let sent: Vec<u8> = (0..100_000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let (mut read, mut write) = outer.split();
        let ((), received, early_bytes) = tokio::join!(
            async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            },
            async {
                let mut received = Vec::new();
                tokio::time::timeout(PATIENCE, read.read_to_end(&mut received))
                    .await
                    .unwrap()
                    .unwrap();
                received
            },
            async {
                // The bytes are there before the request is made.
                tokio::time::timeout(PATIENCE, inner.readable())
                    .await
                    .unwrap()
                    .unwrap();
                let mut early = Early::of(&mut inner);
                let mut stream = client.open_with(80, &mut early).await.unwrap();
                let early_bytes = early.bytes();
                relay(&mut inner, &mut stream, &Uncounted).await.unwrap();
                drop((inner, stream));
                early_bytes
            }
        );
        assert!(received == sent, "bytes differ in round {round}");
        assert!(early_bytes > 0, "nothing went ahead in round {round}");
    }
    assert_eq!(server.tunnels.load(Ordering::SeqCst), 1);
}
