//! Ports that are free for both protocols and both families.

use std::num::NonZeroU32;

use nix::sched::{CloneFlags, unshare};

use super::*;

fn options() -> Options {
    Options {
        mark: NonZeroU32::new(1337).unwrap(),
        keepalive: None,
        user_timeout: false,
        timeout_connect: std::time::Duration::from_secs(10),
    }
}

/// A fresh namespace with `lo` up; `None` says why it cannot be had.
#[expect(clippy::print_stdout, reason = "a test that cannot run must say so")]
fn namespace() -> Option<Netns> {
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Netns::current()
    });
    match made.join().unwrap() {
        Ok(netns) => {
            let mut up = std::process::Command::new("ip");
            up.args(["link", "set", "lo", "up"]);
            assert!(netns.run(|| up.status()).unwrap().unwrap().success());
            Some(netns)
        }
        Err(error) => {
            println!("skipped: cannot make a network namespace: {error}");
            None
        }
    }
}

#[test]
fn a_free_port_is_one_for_both_protocols_and_families_and_another_each_time() {
    let Some(netns) = namespace() else { return };
    let (first, port) = Sockets::bind_free(&netns, true, &options()).unwrap();
    let (second, other) = Sockets::bind_free(&netns, true, &options()).unwrap();
    assert_ne!(port, other);
    for (sockets, port) in [(&first, port), (&second, other)] {
        assert!(port != 0 && !sockets.udp.is_empty());
        assert_eq!(sockets.udp.len(), sockets.tcp.len());
        let udp = sockets.udp.iter().map(|it| it.local_addr().unwrap());
        let tcp = sockets.tcp.iter().map(|it| it.local_addr().unwrap());
        for address in udp.chain(tcp) {
            assert!(address.ip().is_loopback() && address.port() == port);
        }
    }
}

#[test]
fn a_port_that_is_taken_for_the_other_protocol_is_passed_over() {
    let Some(netns) = namespace() else { return };
    // Two ports are all that it has, and one of them is taken.
    netns
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001"))
        .unwrap()
        .unwrap();
    let taken = netns
        .run(|| TcpListener::bind("127.0.0.1:40000"))
        .unwrap()
        .unwrap();
    let (_sockets, port) = Sockets::bind_free(&netns, false, &options()).unwrap();
    assert_eq!(port, 40_001);
    let error = Sockets::bind_free(&netns, false, &options()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(taken);
}
