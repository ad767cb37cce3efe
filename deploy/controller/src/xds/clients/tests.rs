//! Who finds a place.

use std::{net::SocketAddr, sync::Arc};

use super::{
    Client, Clients, Full, MAX_STREAMS, MAX_STREAMS_PER_CALLER, MAX_STREAMS_UNTRUSTED,
    MAX_STREAMS_WITHOUT_NODE,
};
use crate::{
    token::Caller,
    xds::testkit::{caller, ztunnel},
};

fn enter(clients: &Arc<Clients>, caller: &Caller, trusted: bool) -> Result<Client, Full> {
    let peer = SocketAddr::from(([10, 0, 0, 1], 4_000));
    clients.enter(peer, caller, trusted, net::clock::wall())
}

/// Enters until there is no place.
fn fill(clients: &Arc<Clients>, caller: &Caller, trusted: bool) -> (Vec<Client>, Full) {
    let mut open = Vec::new();
    loop {
        match enter(clients, caller, trusted) {
            Ok(client) => open.push(client),
            Err(full) => return (open, full),
        }
    }
}

#[test]
fn one_caller_does_not_take_all_places_and_gives_its_own_back() {
    let clients = Arc::new(Clients::default());
    let waypoint = caller("ns", "waypoint", Some("n1"));
    let (mut open, full) = fill(&clients, &waypoint, false);
    assert_eq!(open.len(), MAX_STREAMS_PER_CALLER);
    assert!(matches!(full, Full::Caller { .. }));
    assert!(enter(&clients, &caller("ns", "waypoint", Some("n2")), false).is_ok());
    open.pop();
    let again = enter(&clients, &waypoint, false);
    assert!(again.is_ok());
    assert!(enter(&clients, &waypoint, false).is_err());
    let (shared, _) = fill(&clients, &caller("ns", "waypoint", None), false);
    assert_eq!(shared.len(), MAX_STREAMS_WITHOUT_NODE);
    drop((open, again, shared));
    assert!(clients.is_empty());
    assert!(clients.streams.lock().callers.is_empty());
}

#[test]
fn nodes_find_places_whatever_waypoints_do() {
    let clients = Arc::new(Clients::default());
    let mut open = Vec::new();
    for account in 0.. {
        let (more, full) = fill(
            &clients,
            &caller("ns", &account.to_string(), Some("n1")),
            false,
        );
        open.extend(more);
        if matches!(full, Full::All { .. }) {
            break;
        }
    }
    assert_eq!(open.len(), MAX_STREAMS_UNTRUSTED);
    let (own, _) = fill(&clients, &ztunnel(Some("n1")), true);
    assert_eq!(own.len(), MAX_STREAMS_PER_CALLER);
    // Tokens that name no node are all nodes'.
    let (all, full) = fill(&clients, &ztunnel(None), true);
    assert_eq!(open.len() + own.len() + all.len(), MAX_STREAMS);
    assert!(matches!(full, Full::All { .. }));
    drop(open);
    assert_eq!(clients.streams.lock().untrusted, 0);
}
