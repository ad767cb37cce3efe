//! ProxyConfigs in, topologies out.

use std::sync::Arc;

use super::*;
use crate::{
    objects::{Gateway, Object},
    read::authorization::tests::read,
};

/// A Gateway with these annotations, and with these of its infrastructure.
fn gateway(own: &str, copied: &str) -> (Arc<Gateway>, Vec<String>) {
    let (gateway, warnings) = read(&format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{name: w, namespace: shop, annotations: {{{own}}}}}\n\
         spec: {{gatewayClassName: c, infrastructure: {{labels: {{}}, annotations: {{{copied}}}}}, listeners: [{{name: a, port: 1, protocol: HBONE}}]}}\n"
    ));
    let Ok(Object::Gateway(gateway)) = gateway else {
        panic!("whatever an annotation says, the Gateway stays: {gateway:?}")
    };
    (gateway, warnings)
}

fn annotation(config: &str) -> String {
    format!("proxy.istio.io/config: '{config}'")
}

#[track_caller]
fn good(config: &str) -> Option<GatewayTopology> {
    let (gateway, warnings) = gateway(&annotation(config), "");
    assert_eq!(warnings, [""; 0], "{config}");
    let topology = gateway.topology.clone();
    topology.map(|it| it.expect("it is read"))
}

/// Why it cannot be read, of which is warned.
#[track_caller]
fn bad(config: &str) -> String {
    let (gateway, warnings) = gateway(&annotation(config), "");
    let topology = gateway.topology.clone().expect("it is there");
    let reason = topology.expect_err(config);
    let [warning] = &*warnings else {
        panic!("{warnings:?}")
    };
    assert!(
        warning.starts_with("f.yaml:3:")
            && warning.contains("Gateway shop/w")
            && warning.contains(&reason),
        "{warning}"
    );
    let place = "metadata.annotations[\"proxy.istio.io/config\"]: ";
    reason.strip_prefix(place).expect(place).to_owned()
}

#[test]
fn all_three_of_its_fields_are_read_and_others_of_proxies_are_not_looked_at() {
    let config = "{concurrency: x, holdApplicationUntilProxyStarts: true, gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}, \
                  forwardClientCertDetails: SANITIZE_SET}}";
    let expected = GatewayTopology {
        trusted_proxies: Some(2),
        proxy_protocol: true,
        forward: ForwardClientCert::SanitizeSet,
    };
    assert_eq!(good(config), Some(expected.clone()));
    let json = "{\"gatewayTopology\":{\"numTrustedProxies\":2,\"proxyProtocol\":{},\"forwardClientCertDetails\":\"SANITIZE_SET\"}}";
    assert_eq!(good(json), Some(expected));
    for nothing in ["", "{}", "{gatewayTopology: null}", "tracing: {}"] {
        assert_eq!(good(nothing), None, "{nothing}");
    }
    assert_eq!(
        good("gatewayTopology: {}"),
        Some(GatewayTopology::default())
    );
    for (word, expected) in [
        ("UNDEFINED", ForwardClientCert::Unsaid),
        ("SANITIZE", ForwardClientCert::Sanitize),
    ] {
        let read = good(&format!(
            "gatewayTopology: {{forwardClientCertDetails: {word}}}"
        ));
        assert_eq!(read.map(|it| it.forward), Some(expected));
    }
}

#[test]
fn what_istio_copies_to_pods_counts_before_the_gateways_own() {
    let config = |proxies: u32| {
        annotation(&format!(
            "gatewayTopology: {{numTrustedProxies: {proxies}}}"
        ))
    };
    let proxies = |own: &str, copied: &str| {
        let topology = gateway(own, copied).0.topology.clone();
        topology.and_then(|it| it.expect("it is read").trusted_proxies)
    };
    assert_eq!(proxies(&config(1), &config(2)), Some(2));
    assert_eq!(proxies("", &config(2)), Some(2));
    assert_eq!(proxies(&config(1), "other.example.com/a: b"), Some(1));
    assert_eq!(proxies("", ""), None);
    // What says nothing of it takes nothing away.
    for nothing in ["tracing: {}", "", "gatewayTopology: null", "{}"] {
        assert_eq!(
            proxies(&config(1), &annotation(nothing)),
            Some(1),
            "{nothing}"
        );
    }
    // The whole block, not field by field.
    let empty = annotation("gatewayTopology: {}");
    assert_eq!(proxies(&config(1), &empty), None);
}

#[test]
fn what_is_replaced_closes_nothing_and_nothing_is_warned_of_it() {
    let good = annotation("gatewayTopology: {numTrustedProxies: 2}");
    let broken = annotation("gatewayTopology: {numTrustedProxies: two}");
    let (read, warnings) = gateway(&broken, &good);
    assert!(matches!(&read.topology, Some(Ok(_))), "{:?}", read.topology);
    assert_eq!(warnings, [""; 0]);
    // What replaces is warned of, and closes, whatever it replaces; so does the own where nothing replaces it.
    let other = annotation("tracing: {}");
    for (own, copied) in [(&good, &broken), (&broken, &other)] {
        let (read, warnings) = gateway(own, copied);
        assert!(
            matches!(&read.topology, Some(Err(_))),
            "{:?}",
            read.topology
        );
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("is closed"), "{warnings:?}");
    }
}

#[test]
fn forms_by_which_a_client_would_vouch_for_itself_are_refused_and_the_rest_is_read() {
    for word in [
        "FORWARD_ONLY",
        "APPEND_FORWARD",
        "ALWAYS_FORWARD_ONLY",
        "sanitize",
        "4",
    ] {
        let config =
            format!("gatewayTopology: {{numTrustedProxies: 1, forwardClientCertDetails: {word}}}");
        let (gateway, warnings) = gateway(&annotation(&config), "");
        let topology = gateway.topology.clone().expect("it is there");
        let topology = topology.expect("it is read");
        assert_eq!(topology.trusted_proxies, Some(1));
        let ForwardClientCert::Refused(why) = topology.forward else {
            panic!("{word}: {topology:?}")
        };
        let found =
            format!("forwardClientCertDetails: found {word:?}, expected SANITIZE or SANITIZE_SET");
        assert!(why.contains(&found), "{why}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains(&found) && warnings[0].ends_with("; it is taken as SANITIZE"),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_of_it_is_half_in_force() {
    for (config, reason) in [
        (
            "gatewayTopology: {numTrustedProxies: two}",
            "gatewayTopology.numTrustedProxies: found \"two\", expected a whole number from 0 to 100",
        ),
        (
            "gatewayTopology: {numTrustedProxies: 101}",
            "gatewayTopology.numTrustedProxies: found \"101\", expected a whole number from 0 to 100",
        ),
        (
            "gatewayTopology: {numTrustedHops: 1}",
            "gatewayTopology.numTrustedHops: unknown field",
        ),
        (
            "gatewayTopology: {proxyProtocol: true}",
            "gatewayTopology.proxyProtocol: found \"true\", expected an empty mapping",
        ),
        ("gatewayTopology: [1]", "gatewayTopology: found a list of 1"),
        (
            "gatewayTopology: {numTrustedProxies: 1, numTrustedProxies: 2}",
            "gatewayTopology.numTrustedProxies: found",
        ),
        (
            "[]",
            "top level: found a list of 0, expected a ProxyConfig: a mapping",
        ),
        ("{", "found"),
    ] {
        let found = bad(config);
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn a_misspelt_name_is_warned_of() {
    let (gateway, warnings) = gateway(&annotation("gatewayTopolgy: {numTrustedProxies: 1}"), "");
    assert_eq!(gateway.topology, None);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("did you mean gatewayTopology?"));
}
