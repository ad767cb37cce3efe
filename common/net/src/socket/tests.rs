//! What every socket of ours is given.

use socket2::SockRef;
use tokio::net::TcpListener;

use super::*;

fn options() -> Options {
    Options {
        mark: NonZeroU32::new(1337).unwrap(),
        keepalive: None,
        user_timeout: false,
        timeout_connect: Duration::from_secs(10),
    }
}

/// Marks need the right to administer a network.
fn possible() -> bool {
    let may = nix::unistd::geteuid().is_root();
    if !may {
        #[expect(clippy::print_stdout, reason = "a test that cannot run says so")]
        {
            println!("skipped: marks need CAP_NET_ADMIN");
        }
    }
    may
}

/// Where one of them waits for more to send, small messages wait for acknowledgements that are late.
#[tokio::test]
async fn no_socket_of_ours_delays_small_messages() {
    if !possible() {
        return;
    }
    let (netns, options) = (Netns::current().unwrap(), options());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    for peers in [Peers::Anywhere, Peers::InPod, Peers::InPodUnchanged] {
        let listener = listen(&netns, any, peers, &options).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let ports = SpoofedPorts::default();
        let client = SocketAddr::from(([127, 0, 0, 2], 40_000));
        for connected in [
            connect(&netns, Some(client.ip()), address, &options)
                .await
                .unwrap(),
            connect_as(&netns, client, address, &ports, &options)
                .await
                .unwrap(),
        ] {
            let (accepted, _) = listener.accept().await.unwrap();
            for socket in [&connected, &accepted] {
                let socket = SockRef::from(socket);
                assert!(socket.tcp_nodelay().unwrap());
                assert_eq!(socket.tcp_notsent_lowat().unwrap(), MAX_UNSENT_BYTES);
            }
        }
    }
}
