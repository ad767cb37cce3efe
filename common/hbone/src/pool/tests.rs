//! Which failures another tunnel may make good.

use tokio::io::AsyncWriteExt as _;

use super::*;

/// An empty SETTINGS frame, which every server begins with.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// How a request fails whose peer says `frame` and nothing else.
async fn failed_by(frame: &[u8]) -> Failed {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let (sender, connection) = h2::client::handshake(ours).await.unwrap();
    tokio::spawn(connection);
    let (answer, _send) = sender
        .ready()
        .await
        .unwrap()
        .send_request(Request::connect("10.0.0.1:80").body(()).unwrap(), false)
        .unwrap();
    // The request is on its way before the peer says anything.
    tokio::task::yield_now().await;
    theirs
        .write_all(&[&SETTINGS, frame].concat())
        .await
        .unwrap();
    Failed::of(answer.await.unwrap_err())
}

#[tokio::test]
async fn what_the_peer_says_it_has_not_processed_may_go_through_another_tunnel() {
    // GOAWAY whose last stream is 0, NO_ERROR; RST_STREAM of stream 1, REFUSED_STREAM.
    let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let refused = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
    for frame in [&goaway[..], &refused[..]] {
        let failed = failed_by(frame).await;
        assert!(matches!(failed, Failed::Tunnel { asked: true, .. }));
    }
}

#[tokio::test]
async fn what_the_peer_may_have_processed_is_never_said_twice() {
    // DATA on stream 0, for which our engine ends the tunnel by a GOAWAY of its own; RST_STREAM, CANCEL.
    let broken = [0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cancelled = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    for frame in [&broken[..], &cancelled[..]] {
        assert!(matches!(failed_by(frame).await, Failed::Final(_)));
    }
}
