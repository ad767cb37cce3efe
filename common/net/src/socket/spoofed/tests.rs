//! Which ports are used, and which are kept free.

use std::net::SocketAddr;

use super::{PORTS, SPOOFED_PORTS, SpoofedPorts, lock};

fn client(port: u16) -> SocketAddr {
    SocketAddr::new([10, 0, 0, 1].into(), port)
}

fn nobody_is_known(ports: &SpoofedPorts) -> bool {
    lock(&ports.state).clients.is_empty()
}

#[test]
fn ports_come_in_turn_and_begin_again() {
    let ports = SpoofedPorts::default();
    for _ in 0..3 {
        let turn: Vec<_> = (0..PORTS)
            .map(|_| ports.next_for(client(40_000)).unwrap())
            .collect();
        assert!(turn.iter().copied().eq(SPOOFED_PORTS));
    }
}

#[test]
fn what_is_met_is_left_behind_and_every_port_still_has_its_turn() {
    let ports = SpoofedPorts::default();
    let first = ports.next_for(client(40_000)).unwrap();
    ports.skip();
    let second = ports.next_for(client(40_000)).unwrap();
    assert!(first.abs_diff(second) > 1000, "{first} {second}");
    let ports = SpoofedPorts::default();
    let mut met: Vec<_> = (0..PORTS)
        .map(|_| {
            let port = ports.next_for(client(40_000)).unwrap();
            ports.skip();
            port
        })
        .collect();
    met.sort_unstable();
    assert!(met.iter().copied().eq(SPOOFED_PORTS));
}

#[test]
fn a_clients_port_is_kept_while_one_of_its_connections_is_open() {
    let ports = SpoofedPorts::default();
    let begin = || lock(&ports.state).at = 0;
    let first = *SPOOFED_PORTS.start();
    let (one, other) = (ports.keep(client(first)), ports.keep(client(first)));
    assert!(one.is_some());
    assert_eq!(ports.next_for(client(40_000)), Some(first + 1));
    begin();
    let another: SocketAddr = ([10, 0, 0, 2], 40_000).into();
    assert_eq!(ports.next_for(another), Some(first));
    begin();
    drop(one);
    assert_eq!(ports.next_for(client(40_000)), Some(first + 1));
    begin();
    drop(other);
    assert_eq!(ports.next_for(client(40_000)), Some(first));
    assert!(nobody_is_known(&ports));
}

#[test]
fn ports_that_a_client_uses_are_passed_over_however_many_they_are() {
    let ports = SpoofedPorts::default();
    let free = 20_000;
    let _kept: Vec<_> = SPOOFED_PORTS
        .filter(|port| ![free, 1024].contains(port))
        .map(|port| ports.keep(client(port)))
        .collect();
    for _ in 0..2 {
        assert_eq!(ports.next_for(client(1024)), Some(free));
    }
    assert_eq!(ports.next_for(client(free)), Some(1024));
    let last = ports.keep(client(free));
    assert_eq!(ports.next_for(client(1024)), None);
    let _last = (last, ports.keep(client(1024)));
    assert_eq!(ports.next_for(client(40_000)), None);
    assert!(ports.next_for("10.0.0.2:1024".parse().unwrap()).is_some());
}

#[test]
fn an_ephemeral_port_is_none_of_ours() {
    let ports = SpoofedPorts::default();
    for port in [1023, 32_768, 60_999] {
        assert!(ports.keep(client(port)).is_none(), "{port}");
    }
    assert!(nobody_is_known(&ports));
}
