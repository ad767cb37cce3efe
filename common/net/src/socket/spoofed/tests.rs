//! Which ports are used, and which are kept free.

use std::net::SocketAddr;

use super::{SPOOFED_PORTS, SpoofedPorts};

#[test]
fn ports_come_in_turn_and_begin_again() {
    let ports = SpoofedPorts::default();
    let all = usize::from(SPOOFED_PORTS.end() - SPOOFED_PORTS.start()) + 1;
    let turn: Vec<_> = (0..all).map(|_| ports.next()).collect();
    assert!(turn.iter().copied().eq(SPOOFED_PORTS));
    assert_eq!(ports.next(), *SPOOFED_PORTS.start());
}

#[test]
fn a_clients_port_is_kept_while_one_of_its_connections_is_open() {
    let ports = SpoofedPorts::default();
    let peer = "10.0.0.1:2000".parse().unwrap();
    let (one, other) = (ports.keep(peer), ports.keep(peer));
    assert!(one.is_some() && ports.is_live(peer));
    assert!(!ports.is_live("10.0.0.2:2000".parse().unwrap()));
    drop(one);
    assert!(ports.is_live(peer));
    drop(other);
    assert!(!ports.is_live(peer));
    assert!(ports.live.lock().unwrap().is_empty());
}

#[test]
fn ports_that_a_client_uses_are_passed_over_however_many_they_are() {
    let ports = SpoofedPorts::default();
    let client = |port| SocketAddr::new([10, 0, 0, 1].into(), port);
    let free = 20_000;
    let _kept: Vec<_> = SPOOFED_PORTS
        .filter(|port| ![free, 1024].contains(port))
        .map(|port| ports.keep(client(port)))
        .collect();
    for _ in 0..2 {
        assert_eq!(ports.next_for(client(1024)), Some(free));
    }
    assert_eq!(ports.next_for(client(free)), Some(1024));
    let _last = (ports.keep(client(free)), ports.keep(client(1024)));
    assert_eq!(ports.next_for(client(40_000)), None);
    assert!(ports.next_for("10.0.0.2:1024".parse().unwrap()).is_some());
}

#[test]
fn an_ephemeral_port_is_none_of_ours() {
    let ports = SpoofedPorts::default();
    for port in [1023, 32_768, 60_999] {
        assert!(ports.keep(([10, 0, 0, 1], port).into()).is_none(), "{port}");
    }
    assert!(ports.live.lock().unwrap().is_empty());
}
