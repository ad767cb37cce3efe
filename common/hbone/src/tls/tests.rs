//! What a TLS connection keeps when nothing moves.

use std::future::poll_fn;

use identity::{Config, Credential, FileCa};
use mesh::{San, SpiffeId};
use tokio::net::TcpListener;

use super::*;

/// Many reads of the socket, and records that no read ends with.
const BYTES: usize = 3_000_000;

async fn credential(ca: &FileCa, account: &str) -> Credential {
    let id = SpiffeId::new("cluster.local".into(), "default".into(), account.into());
    Credential::issue(ca, &id, &Config::default())
        .await
        .unwrap()
}

async fn pair() -> (TlsIo, TlsIo) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let ca =
        FileCa::from_pem(&certificate.pem(), &key.serialize_pem(), net::clock::wall()).unwrap();
    let (client, server) = (
        credential(&ca, "client").await,
        credential(&ca, "server").await,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (outer, inner) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let expected = vec![San::from("spiffe://cluster.local/ns/default/sa/server")];
    let (one, other) = tokio::join!(
        connect(outer.unwrap(), client.client_config(&expected)),
        accept(inner.unwrap().0, server.server_config())
    );
    (one.unwrap(), other.unwrap())
}

async fn send(io: &TlsIo, bytes: &[u8]) {
    let mut left = bytes;
    while !left.is_empty() {
        let slice = [IoSlice::new(left)];
        let written = poll_fn(|cx| io.0.lock().poll_write(cx, &slice))
            .await
            .unwrap();
        left = &left[written..];
    }
    poll_fn(|cx| io.poll_drain(cx)).await.unwrap();
}

async fn receive(io: &TlsIo, length: usize) -> Vec<u8> {
    let mut received = vec![0; length];
    let mut buf = ReadBuf::new(&mut received);
    while buf.remaining() > 0 {
        io.0.lock().turn = 0;
        poll_fn(|cx| io.0.lock().poll_read(cx, &mut buf))
            .await
            .unwrap();
    }
    received
}

#[tokio::test]
async fn a_connection_that_rests_after_bulk_keeps_no_buffer() {
    let (one, other) = pair().await;
    let sent: Vec<u8> = (0..251_u8).cycle().take(BYTES).collect();
    for (from, to) in [(&one, &other), (&other, &one)] {
        let ((), received) = tokio::join!(send(from, &sent), receive(to, BYTES));
        assert!(received == sent, "bytes differ");
    }
    assert_eq!(chunk::lent(), 0);
    for io in [&one, &other] {
        let inner = io.0.lock();
        assert_eq!((inner.small.capacity(), inner.unsent), (0, 0));
    }
}
