//! Connections of which no request is read.

use std::cell::Cell;

use mesh::backend::TrafficPolicy;
use net::relay::{Meter, TcpEnd, relay};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::kit::{Mesh, Server, get, service, soon};
use crate::io::UpgradedEnd;

#[derive(Default)]
struct Counted {
    up: Cell<u64>,
    down: Cell<u64>,
}

impl Meter for Counted {
    fn upward(&self, bytes: u64) {
        self.up.set(self.up.get() + bytes);
    }

    fn downward(&self, bytes: u64) {
        self.down.set(self.down.get() + bytes);
    }
}

#[tokio::test]
async fn bytes_are_relayed_to_an_endpoint() {
    let server = Server::raw(|_, mut socket| async move {
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let mesh = Mesh::new(service(), &[server.address], TrafficPolicy::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let counted = Counted::default();
    let relayed = async {
        let mut upstream = mesh
            .cluster()
            .connect(mesh.worker.itself(), mesh.pick())
            .await
            .unwrap();
        assert_eq!(upstream.host().address(), server.address);
        assert!(upstream.local().is_some() && upstream.peer().is_none());
        relay(&mut TcpEnd::new(accepted), &mut upstream, &counted)
            .await
            .unwrap();
    };
    let talk = async {
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        let mut echoed = String::new();
        client.read_to_string(&mut echoed).await.unwrap();
        echoed
    };
    let ((), echoed) = soon("the echo", async { tokio::join!(relayed, talk) }).await;
    assert_eq!(echoed, "hello");
    assert_eq!((counted.up.get(), counted.down.get()), (5, 5));
    assert_eq!(mesh.hosts()[0].active(), 0);
    assert_eq!(mesh.cluster().stats().upstream_cx_active.get(), 0);
}

#[tokio::test]
async fn an_upgraded_connection_is_an_end_of_a_relay() {
    let server = Server::raw(|_, mut socket| async move {
        let mut head = [0; 1024];
        assert!(socket.read(&mut head).await.unwrap() > 0);
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi ";
        socket.write_all(switch).await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let mesh = Mesh::new(service(), &[server.address], TrafficPolicy::default());
    let mut request = get("/");
    let headers = request.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "echo".parse().unwrap());
    let mut sent = mesh.send(request).await.unwrap();
    let upgraded = soon("the upgrade", hyper::upgrade::on(&mut sent.response))
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let counted = Counted::default();
    let relayed = async {
        let mut upstream = UpgradedEnd::new(upgraded);
        relay(&mut TcpEnd::new(accepted), &mut upstream, &counted)
            .await
            .unwrap();
    };
    let large = vec![b'x'; 5_000_000];
    let talk = async {
        let (mut read, mut write) = client.split();
        let says = async {
            write.write_all(&large).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut echoed = Vec::new();
        let ((), heard) = tokio::join!(says, read.read_to_end(&mut echoed));
        heard.unwrap();
        echoed
    };
    let ((), echoed) = soon("the echo", async { tokio::join!(relayed, talk) }).await;
    assert_eq!(echoed.len(), large.len() + 3);
    assert_eq!(&echoed[..4], b"hi x");
    drop(sent);
}
