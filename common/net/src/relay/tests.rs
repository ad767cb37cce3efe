//! What a relay passes on, and how it ends.

use std::cell::Cell;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Meter, RelayError, TcpEnd, relay};

#[derive(Default)]
struct Counts {
    upward: Cell<u64>,
    downward: Cell<u64>,
}

impl Meter for Counts {
    fn upward(&self, bytes: u64) {
        self.upward.set(self.upward.get() + bytes);
    }
    fn downward(&self, bytes: u64) {
        self.downward.set(self.downward.get() + bytes);
    }
}

async fn pair() -> (TcpStream, TcpEnd) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (outer, inner) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (outer.unwrap(), TcpEnd::new(inner.unwrap().0))
}

#[tokio::test]
async fn each_direction_ends_by_itself_and_every_byte_is_counted() {
    let (mut client, mut downstream) = pair().await;
    let (mut server, mut upstream) = pair().await;
    let counts = Counts::default();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (relayed, (), received) = tokio::join!(
        relay(&mut downstream, &mut upstream, &counts),
        async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"after the half-close");
        },
        async {
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            server.write_all(b"after the half-close").await.unwrap();
            server.shutdown().await.unwrap();
            received
        }
    );
    relayed.unwrap();
    assert!(received == sent, "bytes differ");
    assert_eq!((counts.upward.get(), counts.downward.get()), (3_000_000, 20));
}

#[tokio::test]
async fn a_reset_of_one_end_resets_the_other() {
    let (client, mut downstream) = pair().await;
    let (mut server, mut upstream) = pair().await;
    let ((), relayed) = tokio::join!(
        async {
            crate::socket::reset_on_close(&client);
            drop(client);
        },
        async {
            let result = relay(&mut downstream, &mut upstream, &Counts::default()).await;
            drop(upstream);
            result
        }
    );
    assert!(matches!(relayed, Err(RelayError::Downstream(_))), "{relayed:?}");
    let error = server.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
