//! `clientAddress`: what is filled in, and what is refused.

use super::{HEAD, good};
use crate::objects::traffic_policy::ClientAddress;

fn body(fields: &str) -> String {
    format!("spec:\n  targetRefs: [{{kind: Service, name: a}}]\n  clientAddress: {{{fields}}}")
}

fn read(fields: &str) -> ClientAddress {
    good(&body(fields)).client_address.expect("it is there")
}

#[test]
fn it_is_read_with_its_defaults() {
    let peers = [
        "cluster.local/ns/a/sa/b",
        "cluster.local/ns/edge/*",
        "*/sa/lb",
    ];
    let list = "trustedPeers: [cluster.local/ns/a/sa/b, cluster.local/ns/edge/*, '*/sa/lb']";
    let expected = ClientAddress {
        trusted_peers: peers.map(str::to_owned).to_vec(),
        trusted_proxies: None,
        proxy_protocol: None,
    };
    assert_eq!(read(list), expected);
    assert_eq!(
        read(&format!(
            "{list}, numTrustedProxies: 2, proxyProtocol: true"
        )),
        ClientAddress {
            trusted_proxies: Some(2),
            proxy_protocol: Some(true),
            ..expected
        }
    );
}

#[test]
fn nobody_is_trusted_by_mistake() {
    let peer = "expected a principal such as cluster.local/ns/ingress/sa/haproxy without spiffe://, or one with a * at its beginning or its end; not * alone";
    let one = |text: &str| format!("trustedPeers: ['{text}']");
    let found = |text: &str| format!("trustedPeers[0]: found {text:?}, {peer}");
    let mut cases = vec![
        (
            "proxyProtocol: true".to_owned(),
            "trustedPeers: missing, expected a list of at least one principal".to_owned(),
        ),
        (
            "trustedPeers: []".to_owned(),
            "trustedPeers: found a list of 0, expected a list of at least one principal".to_owned(),
        ),
        (
            "trustedPeers: [a/ns/b/sa/c], numTrustedProxies: 101".to_owned(),
            "numTrustedProxies: found \"101\", expected a whole number from 0 to 100".to_owned(),
        ),
        (
            "trustedPeers: [a/ns/b/sa/c], trustedCidrs: []".to_owned(),
            "trustedCidrs: unknown field (did you mean trustedPeers?), expected one of numTrustedProxies, proxyProtocol, trustedPeers"
                .to_owned(),
        ),
    ];
    for text in [
        "*",
        "**",
        "",
        "a*b",
        "*a*",
        "spiffe://a/ns/b/sa/c",
        "spiffe://*",
        "haproxy",
        "a/ns/b",
        "a/ns//sa/c",
        "a/ns/b/sa/c ",
        "10.0.0.0/8",
    ] {
        cases.push((one(text), found(text)));
    }
    for (fields, error) in cases {
        let text = HEAD.read(&body(&fields)).0.expect_err(&fields);
        let (_, text) = text
            .split_once("spec.clientAddress.")
            .expect("of the block");
        assert_eq!(text, error, "{fields}");
    }
}
