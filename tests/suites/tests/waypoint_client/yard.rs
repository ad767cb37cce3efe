//! What these tests share: a host outside with several addresses, a pod `edge` for a load balancer, a neighbour of it that nobody lists.
//!
//! ```text
//! outside (listed, other) ---> edge (haproxy; edge/balancer) ---> waypoint ---> web      neighbour (edge/neighbour), client, guest
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use lab::PodSpec;
use suites::waypoint::{Builder, Ground, manifest};

/// An address outside that allow-lists have.
pub(crate) const LISTED: Ipv4Addr = Ipv4Addr::new(172, 19, 0, 10);
/// One that they do not.
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(172, 19, 0, 11);
/// As [`LISTED`].
pub(crate) const LISTED_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x19, 0, 0, 0, 0, 0, 0x10);
/// As [`OTHER`].
pub(crate) const OTHER_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x19, 0, 0, 0, 0, 0, 0x11);

/// The balancer's identity.
pub(crate) const BALANCER: &str = "cluster.local/ns/edge/sa/balancer";

/// `web`, as a target.
pub(crate) const WEB: &str = "{kind: Service, group: '', name: web}";

/// The yard's pods beside those of a ground.
pub(crate) fn yard(builder: Builder) -> Builder {
    builder
        .pod(
            PodSpec::new("edge")
                .namespace("edge")
                .service_account("balancer"),
        )
        .pod(PodSpec::new("neighbour").namespace("edge"))
}

/// Gives the host outside its addresses.
pub(crate) fn addresses(ground: &Ground) -> Result<()> {
    let v4 = [LISTED, OTHER].map(|ip| format!("addr add {ip}/24 dev eth0"));
    let v6 = [LISTED_6, OTHER_6].map(|ip| format!("addr add {ip}/64 dev eth0 nodad"));
    ground.lab.outside().ip(&[v4, v6].concat())
}

/// A port of a service, by its IPv4 address.
pub(crate) fn at(ground: &Ground, service: &str, port: u16) -> Result<SocketAddr> {
    Ok((ground.vip(service)?, port).into())
}

/// The same by its IPv6 address.
pub(crate) fn at_6(ground: &Ground, service: &str, port: u16) -> Result<SocketAddr> {
    let vips = ground.lab.mesh().vip("shop", service);
    let vips = vips.ok_or_else(|| anyhow::anyhow!("no service {service}"))?;
    Ok((vips.ip6, port).into())
}

/// Where the balancer listens.
pub(crate) fn edge(ground: &Ground, port: u16) -> SocketAddr {
    (ground.pod("edge").ip4(), port).into()
}

/// The same in IPv6.
pub(crate) fn edge_6(ground: &Ground, port: u16) -> SocketAddr {
    (ground.pod("edge").ip6(), port).into()
}

/// The address without the port, as an access log has it: `10.0.0.1:80`, `[fd00::1]:80`.
pub(crate) fn host(remote: &str) -> Option<IpAddr> {
    let (host, _) = remote.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = host.parse().ok()?;
    Some(ip.to_canonical())
}

/// A TrafficPolicy about where clients are; `rest` are fields beside the trusted peer.
pub(crate) fn trust(target: &str, rest: &str) -> String {
    let spec =
        format!("targetRefs: [{target}]\nclientAddress: {{trustedPeers: [{BALANCER}]{rest}}}\n");
    manifest("ambit.dev/v1alpha1", "TrafficPolicy", "clients", &spec)
}

/// The ground's Gateway with an annotation.
pub(crate) fn annotated(annotation: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: waypoint\n  namespace: shop\n  \
         labels: {{istio.io/waypoint-for: service}}\n  annotations: {{{annotation}}}\nspec:\n  gatewayClassName: ambit-waypoint\n  \
         listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]\n"
    )
}
