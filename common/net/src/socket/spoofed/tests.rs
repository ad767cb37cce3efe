//! Which ports are used, and which are kept free.

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
fn an_ephemeral_port_is_none_of_ours() {
    let ports = SpoofedPorts::default();
    for port in [1023, 32_768, 60_999] {
        assert!(ports.keep(([10, 0, 0, 1], port).into()).is_none(), "{port}");
    }
    assert!(ports.live.lock().unwrap().is_empty());
}
