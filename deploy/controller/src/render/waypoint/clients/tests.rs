//! What is on, and what is told of what is not.

use super::*;
use crate::{
    objects::{Gateway, GatewayClass},
    render::tests::sample::{meta, waypoint},
};

/// A Gateway, its class, and the mesh.
#[derive(Default)]
struct World {
    gateway: Gateway,
    class: Option<GatewayClass>,
    mesh: MeshConfig,
}

impl World {
    fn new() -> Self {
        Self {
            gateway: waypoint("shop", "w"),
            ..Self::default()
        }
    }

    fn found(&self) -> Found<'_> {
        Found {
            gateway: &self.gateway,
            class: self.class.as_ref(),
        }
    }

    /// Whether applications are told, and whether destinations are.
    fn on(&self) -> (bool, bool) {
        let clients = clients(self.found(), &self.mesh);
        (clients.include_client_certificate, clients.tell_client)
    }

    fn condition(&self, addresses: Addresses) -> Option<(bool, &'static str, String)> {
        let condition = clients(self.found(), &self.mesh).condition(self.found(), addresses)?;
        assert_eq!(condition.kind, "Accepted");
        Some((condition.status, condition.reason, condition.message))
    }
}

fn topology(forward: ForwardClientCert) -> Option<Result<GatewayTopology, String>> {
    Some(Ok(GatewayTopology {
        forward,
        ..GatewayTopology::default()
    }))
}

fn class(include: Result<bool, String>, tell: Result<bool, String>) -> Option<GatewayClass> {
    Some(GatewayClass {
        meta: meta("", "c"),
        clients: ClientSwitches {
            include_client_certificate: Some(include),
            tell_client: Some(tell),
        },
        ..GatewayClass::default()
    })
}

#[test]
fn nothing_is_on_and_nothing_is_told_where_nothing_is_said() {
    let world = World::new();
    assert_eq!(world.on(), (false, false));
    assert_eq!(world.condition(Addresses::OfPeers), None);
    assert_eq!(world.condition(Addresses::OfListed), None);
}

#[test]
fn a_gateways_word_counts_before_its_classs() {
    let mut world = World::new();
    world.class = class(Ok(true), Ok(true));
    assert_eq!(world.on(), (true, true));
    world.gateway.clients.include_client_certificate = Some(Ok(false));
    assert_eq!(world.on(), (false, true));
    world.gateway.clients.tell_client = Some(Ok(false));
    assert_eq!(world.on(), (false, false));
    world.class = class(Ok(false), Ok(false));
    world.gateway.clients = ClientSwitches {
        include_client_certificate: Some(Ok(true)),
        tell_client: Some(Ok(true)),
    };
    assert_eq!(world.on(), (true, true));
    assert_eq!(world.condition(Addresses::OfPeers), None);
}

#[test]
fn another_word_is_off_and_told_and_the_class_does_not_stand_in_for_it() {
    let mut world = World::new();
    world.class = class(Ok(true), Ok(true));
    let why = |name: &str| {
        format!("metadata.annotations.{name}: found \"yes\", expected \"true\" or \"false\"")
    };
    world.gateway.clients = ClientSwitches {
        include_client_certificate: Some(Err(why("a"))),
        tell_client: Some(Err(why("b"))),
    };
    assert_eq!(world.on(), (false, false));
    let both = format!("{}; it is off; {}; it is off", why("a"), why("b"));
    assert_eq!(
        world.condition(Addresses::OfPeers),
        Some((true, "UnsupportedValue", both))
    );
    // That of a class is told of each of its Gateways.
    world.gateway.clients = ClientSwitches::default();
    world.class = class(Ok(true), Err(why("b")));
    assert_eq!(world.on(), (true, false));
    let of_class = format!("GatewayClass c: {}; it is off", why("b"));
    assert_eq!(
        world.condition(Addresses::OfListed),
        Some((true, "UnsupportedValue", of_class))
    );
}

#[test]
fn sanitize_set_is_the_certificate_where_no_annotation_says_otherwise() {
    let mut world = World::new();
    world.mesh.gateway_topology = topology(ForwardClientCert::SanitizeSet);
    assert_eq!(world.on(), (true, false));
    world.gateway.topology = topology(ForwardClientCert::Sanitize);
    assert_eq!(world.on(), (false, false));
    // The block of the Gateway stands in the place of the mesh's, all of it.
    world.gateway.topology = topology(ForwardClientCert::Unsaid);
    assert_eq!(world.on(), (false, false));
    world.gateway.topology = topology(ForwardClientCert::SanitizeSet);
    world.gateway.clients.include_client_certificate = Some(Ok(false));
    assert_eq!(world.on(), (false, false));
    world.gateway.clients.include_client_certificate = None;
    world.gateway.topology = topology(ForwardClientCert::Refused("field: found X".to_owned()));
    assert_eq!(world.on(), (false, false));
    assert_eq!(
        world.condition(Addresses::OfPeers),
        Some((
            true,
            "UnsupportedValue",
            "field: found X; it is taken as SANITIZE".to_owned()
        ))
    );
}

#[test]
fn a_topology_that_trusts_nobody_says_so_and_where_to_name_them() {
    let nobody = "gatewayTopology: nobody is trusted: x-forwarded-for and PROXY headers count only from those whom \
                  spec.clientAddress.trustedPeers of a TrafficPolicy for Gateway shop/w lists";
    for (trusted_proxies, proxy_protocol) in [(Some(1), false), (None, true)] {
        let mut world = World::new();
        let topology = Some(Ok(GatewayTopology {
            trusted_proxies,
            proxy_protocol,
            forward: ForwardClientCert::Unsaid,
        }));
        world.gateway.topology.clone_from(&topology);
        assert_eq!(
            world.condition(Addresses::OfPeers),
            Some((true, "UnsupportedValue", nobody.to_owned()))
        );
        assert_eq!(world.condition(Addresses::OfListed), None);
        // That of the mesh is told, but no fault of the Gateway.
        world.gateway.topology = None;
        world.mesh.gateway_topology = topology;
        let of_mesh = nobody.replace("gatewayTopology:", "gatewayTopology of the MeshConfig:");
        assert_eq!(
            world.condition(Addresses::OfPeers),
            Some((true, "Accepted", of_mesh))
        );
    }
    let mut world = World::new();
    world.gateway.topology = topology(ForwardClientCert::Sanitize);
    assert_eq!(world.condition(Addresses::OfPeers), None);
}

#[test]
fn a_topology_that_cannot_be_read_is_told_and_closes_where_it_is_relied_on() {
    let mut world = World::new();
    world.gateway.topology = Some(Err("field: found X".to_owned()));
    let text = "field: found X: nothing of gatewayTopology is in force";
    for addresses in [Addresses::OfPeers, Addresses::OfListed] {
        assert_eq!(
            world.condition(addresses),
            Some((true, "UnsupportedValue", text.to_owned()))
        );
    }
    let (status, reason, message) = world.condition(Addresses::Unknown).expect("a condition");
    assert_eq!((status, reason), (false, "Invalid"));
    assert!(
        message.starts_with(text)
            && message.ends_with(
                "every request to Gateway shop/w is answered with 403 and every connection ended"
            ),
        "{message}"
    );
}
