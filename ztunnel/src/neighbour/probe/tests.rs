//! Walks over loopback of a fresh namespace. Without root these say `skipped` and why.

use std::{
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use nix::sched::{CloneFlags, unshare};

use super::*;

const MARK: NonZeroU32 = NonZeroU32::new(1337).unwrap();

/// A fresh namespace with `lo` up; `None` says why it cannot be had.
#[expect(clippy::print_stdout, reason = "a test that cannot run must say so")]
fn namespace() -> Option<Netns> {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Netns::current()
    });
    match made.join().unwrap() {
        Ok(netns) => {
            run(&netns, "ip link set lo up");
            Some(netns)
        }
        Err(error) => {
            println!("skipped: cannot make a network namespace: {error}");
            None
        }
    }
}

fn run(netns: &Netns, command: &str) {
    let mut words = command.split(' ');
    let status = netns
        .run(|| {
            std::process::Command::new(words.next().unwrap())
                .args(words)
                .status()
        })
        .unwrap()
        .unwrap();
    assert!(status.success(), "{command}");
}

async fn walked(
    netns: &Netns,
    client: &str,
    expected: &Expected,
    peer: SocketAddr,
) -> Result<(), Failure> {
    walk(Ends {
        netns,
        client: client.parse().unwrap(),
        expected,
        peer,
        mark: MARK,
    })
    .await
}

/// Accepts on `listener` and asks `expected` of each, to the first that is none.
fn serve(listener: TcpListener, expected: Arc<Expected>) -> thread::JoinHandle<Vec<bool>> {
    thread::spawn(move || {
        let mut answers = Vec::new();
        while answers.last() != Some(&false) {
            let (stream, peer) = listener.accept().unwrap();
            answers.push(expected.confirm(socket::canonical(peer), || {
                socket::original_destination(&stream).ok()
            }));
        }
        answers
    })
}

#[tokio::test]
async fn a_walk_ends_at_the_neighbours_own_listener_in_either_family() {
    let Some(netns) = namespace() else { return };
    // As ours do, it serves both families with one socket, and sees IPv4 in IPv6.
    let listener = netns
        .run(|| TcpListener::bind("[::]:15008"))
        .unwrap()
        .unwrap();
    let expected = Arc::new(Expected::default());
    let served = serve(listener, Arc::clone(&expected));
    for (client, peer) in [
        ("127.0.0.1", "127.0.0.1:15008"),
        ("127.0.0.2", "127.0.0.3:15008"),
        ("::1", "[::1]:15008"),
        ("127.0.0.1", "[::ffff:127.0.0.1]:15008"),
    ] {
        let answer = walked(&netns, client, &expected, peer.parse().unwrap()).await;
        assert!(answer.is_ok(), "{client} to {peer}: {answer:?}");
    }
    drop(netns.run(|| TcpStream::connect("127.0.0.1:15008")).unwrap());
    assert_eq!(served.join().unwrap(), [true, true, true, true, false]);
}

#[tokio::test]
async fn what_answers_in_the_neighbours_place_is_not_believed() {
    let Some(netns) = namespace() else { return };
    let listener = netns
        .run(|| TcpListener::bind("127.0.0.1:15008"))
        .unwrap()
        .unwrap();
    // Another pod's listener: it knows of no probe to it.
    let served = serve(listener, Arc::default());
    let answer = walked(
        &netns,
        "127.0.0.1",
        &Expected::default(),
        "127.0.0.1:15008".parse().unwrap(),
    )
    .await;
    assert!(matches!(answer, Err(Failure::Unconfirmed)), "{answer:?}");
    assert_eq!(served.join().unwrap(), [false]);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_the_networks_answer() {
    let Some(netns) = namespace() else { return };
    let expected = Expected::default();
    let answer = walked(
        &netns,
        "127.0.0.1",
        &expected,
        "127.0.0.1:15008".parse().unwrap(),
    )
    .await;
    assert!(matches!(answer, Err(Failure::Apart(_))), "{answer:?}");
    let answer = walked(
        &netns,
        "127.0.0.1",
        &expected,
        "192.0.2.1:15008".parse().unwrap(),
    )
    .await;
    assert!(matches!(answer, Err(Failure::Apart(_))), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_is_none_of_the_pods_own_is_no_answer_of_the_network() {
    let Some(netns) = namespace() else { return };
    let answer = walked(
        &netns,
        "192.0.2.7",
        &Expected::default(),
        "127.0.0.1:15008".parse().unwrap(),
    )
    .await;
    assert!(matches!(answer, Err(Failure::Unmade(_))), "{answer:?}");
}

#[test]
fn what_the_node_lacks_is_not_taken_for_a_policy() {
    let of = |errno| Failure::of(io::Error::from_raw_os_error(errno));
    for errno in [
        libc::ETIMEDOUT,
        libc::ECONNREFUSED,
        libc::ECONNRESET,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EPERM,
        libc::EACCES,
    ] {
        assert!(matches!(of(errno), Failure::Apart(_)), "{errno}");
    }
    for errno in [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOMEM,
        libc::ENOBUFS,
        libc::EADDRNOTAVAIL,
        libc::EADDRINUSE,
        libc::EINVAL,
    ] {
        assert!(matches!(of(errno), Failure::Unmade(_)), "{errno}");
    }
}
