//! `gatewayTopology` and `clientAddress`: the one gives numbers, the other names those whose word counts.

use wire::proto::waypoint::ClientAddress;

use super::*;

/// The Gateway of the world, with a ProxyConfig.
fn gateway(config: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{name: waypoint, namespace: shop, labels: {{istio.io/waypoint-for: service}}, annotations: {{proxy.istio.io/config: '{config}'}}}}\n\
         spec: {{gatewayClassName: ambit-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}\n"
    )
}

fn peers(more: &str) -> String {
    format!("clientAddress: {{trustedPeers: [cluster.local/ns/edge/sa/lb]{more}}}")
}

/// How many proxies are trusted, and whether PROXY headers are expected.
fn numbers(address: Option<&ClientAddress>) -> Option<(u32, bool)> {
    address.map(|it| (it.trusted_proxies, it.proxy_protocol))
}

const TOPOLOGY: &str = "gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}}";

#[test]
fn a_topology_gives_the_numbers_that_a_policy_for_the_gateway_leaves_out() {
    let of = |config: &str, more: &str| {
        let compiled = Compiled::of(&[gateway(config), policy("p", 1, GATEWAY, &peers(more))]);
        assert_eq!(compiled.conditions("waypoint"), [""; 0]);
        numbers(compiled.settings().client_address.as_ref())
    };
    assert_eq!(of("", ""), Some((0, false)));
    assert_eq!(of(TOPOLOGY, ""), Some((2, true)));
    assert_eq!(of(TOPOLOGY, ", numTrustedProxies: 1"), Some((1, true)));
    assert_eq!(of(TOPOLOGY, ", numTrustedProxies: 0"), Some((0, true)));
    assert_eq!(of(TOPOLOGY, ", proxyProtocol: false"), Some((2, false)));
    let sanitize = "gatewayTopology: {numTrustedProxies: 1, forwardClientCertDetails: SANITIZE}";
    assert_eq!(of(sanitize, ", proxyProtocol: true"), Some((1, true)));
}

#[test]
fn the_meshs_topology_is_for_gateways_that_say_nothing() {
    let mesh = format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n    \
         defaultConfig: {{{}}}\n",
        TOPOLOGY.replace("{numTrusted", " {numTrusted")
    );
    let of = |config: &str| {
        let compiled = Compiled::of(&[
            gateway(config),
            policy("p", 1, GATEWAY, &peers("")),
            mesh.clone(),
        ]);
        numbers(compiled.settings().client_address.as_ref())
    };
    assert_eq!(of(""), Some((2, true)));
    // All of the block, not each of its fields.
    assert_eq!(of("gatewayTopology: {}"), Some((0, false)));
    assert_eq!(
        of("gatewayTopology: {numTrustedProxies: 1}"),
        Some((1, false))
    );
}

#[test]
fn a_topology_alone_trusts_nobody_and_says_where_to_name_them() {
    let nobody = "Accepted true UnsupportedValue: gatewayTopology: nobody is trusted: x-forwarded-for and PROXY headers count only from \
                  those whom spec.clientAddress.trustedPeers of a TrafficPolicy for Gateway shop/waypoint lists";
    let compiled = Compiled::of(&[gateway(TOPOLOGY)]);
    assert_eq!(compiled.settings().client_address, None);
    assert_eq!(compiled.conditions("waypoint"), [nobody]);
    // A policy for a service says all of it itself.
    let compiled = Compiled::of(&[
        gateway(TOPOLOGY),
        policy("p", 1, SERVICE, &peers(", numTrustedProxies: 1")),
    ]);
    assert_eq!(compiled.settings().client_address, None);
    let of_tables: Vec<_> = compiled
        .tables()
        .map(|it| numbers(it.client_address.as_ref()))
        .collect();
    assert_eq!(of_tables, [Some((1, false)); 2]);
    assert_eq!(compiled.conditions("waypoint"), [nobody]);
}

#[test]
fn a_waypoint_is_closed_where_nobody_can_know_what_counts() {
    let bad = gateway("gatewayTopology: {numTrustedProxies: two}");
    let closed = |more: &str| {
        let compiled = Compiled::of(&[bad.clone(), policy("p", 1, GATEWAY, &peers(more))]);
        let conditions = compiled.conditions("waypoint");
        let [condition] = &*conditions else {
            panic!("{conditions:?}")
        };
        assert!(
            condition.contains(
                "gatewayTopology.numTrustedProxies: found \"two\", expected a whole number from 0 to 100"
            ),
            "{condition}"
        );
        let settings = compiled.any_settings();
        let is_closed = settings.unenforced == ["Gateway shop/waypoint"];
        assert_eq!(is_closed, settings.client_address.is_none());
        assert_eq!(is_closed, condition.starts_with("Accepted false Invalid"));
        is_closed
    };
    assert!(closed(""));
    assert!(closed(", numTrustedProxies: 1"));
    assert!(closed(", proxyProtocol: true"));
    // Where the policy says both, the topology is not asked.
    assert!(!closed(", proxyProtocol: true, numTrustedProxies: 1"));
    // Nor where nobody is listed.
    let compiled = Compiled::of(&[bad]);
    assert_eq!(compiled.settings().client_address, None);
    assert_eq!(compiled.conditions("waypoint").len(), 1);
}

#[test]
fn annotations_reach_the_waypoint() {
    let annotated = |annotations: &str| {
        let of = gateway("");
        let from = "proxy.istio.io/config: ''";
        assert!(of.contains(from));
        let compiled = Compiled::of(&[of.replace(from, annotations)]);
        let settings = compiled.settings();
        (settings.include_client_certificate, settings.tell_client)
    };
    assert_eq!(annotated(""), (false, false));
    assert_eq!(
        annotated("ambient.istio.io/xfcc-include-client-identity: 'true'"),
        (true, false)
    );
    assert_eq!(annotated("ambit.dev/tell-client: 'true'"), (false, true));
    assert_eq!(annotated("ambit.dev/tell-client: 'on'"), (false, false));
    let set = "proxy.istio.io/config: 'gatewayTopology: {forwardClientCertDetails: SANITIZE_SET}'";
    assert_eq!(annotated(set), (true, false));
    let forward = set.replace("SANITIZE_SET", "ALWAYS_FORWARD_ONLY");
    assert_eq!(annotated(&forward), (false, false));
}
