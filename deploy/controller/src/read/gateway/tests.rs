//! Manifests in, gateways out.

use super::*;
use crate::{
    objects::{LabelSelector, Object as Any},
    read::authorization::tests::read,
};

fn gateway_of(rest: &str) -> (Result<Gateway, String>, Vec<String>) {
    let head = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                metadata: {name: g, namespace: shop}\n";
    let (read, warnings) = read(&format!("{head}{rest}"));
    let read = read.map(|it| {
        let Any::Gateway(it) = it else {
            panic!("{it:?}")
        };
        (*it).clone()
    });
    (read, warnings)
}

fn good(rest: &str) -> Gateway {
    let (read, warnings) = gateway_of(rest);
    assert_eq!(warnings, [""; 0]);
    read.expect("a gateway")
}

#[track_caller]
fn refused(rest: &str, expected: &str) {
    let error = gateway_of(rest).0.expect_err("it is refused");
    let expected = format!("f.yaml:{expected}");
    let error = error.replace("Gateway shop/g: ", "");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_waypoint_is_read() {
    let gateway = good(
        r#"
spec:
  gatewayClassName: istio-waypoint
  listeners:
  - name: mesh
    port: 15008
    protocol: HBONE
"#,
    );
    assert_eq!(gateway.class, "istio-waypoint");
    assert_eq!(
        gateway.listeners,
        [Listener {
            name: "mesh".to_owned(),
            port: 15008,
            protocol: "HBONE".to_owned(),
            allowed: AllowedNamespaces::Same,
        }]
    );
}

#[test]
fn allowed_namespaces_are_read() {
    let allowed = |namespaces: &str| {
        let gateway = good(&format!(
            "spec: {{gatewayClassName: c, listeners: [{{name: a, port: 1, protocol: HBONE, hostname: h, tls: {{}}, \
             allowedRoutes: {{kinds: [], namespaces: {namespaces}}}}}]}}"
        ));
        gateway.listeners[0].allowed.clone()
    };
    assert_eq!(allowed("{from: All}"), AllowedNamespaces::All);
    assert_eq!(allowed("{from: Same}"), AllowedNamespaces::Same);
    assert_eq!(allowed("{}"), AllowedNamespaces::Same);
    let labels = [("team".to_owned(), "a".to_owned())];
    assert_eq!(
        allowed("{from: Selector, selector: {matchLabels: {team: a}}}"),
        AllowedNamespaces::Selector(LabelSelector {
            labels: labels.into(),
            expressions: vec![],
        })
    );
}

#[test]
fn addresses_are_read_where_they_are_known() {
    let gateway = good(
        r#"
spec:
  gatewayClassName: istio-remote
  addresses:
  - {value: 10.0.0.1}
  - {type: Hostname, value: GW.example.com}
  - {type: IPAddress}
  listeners: [{name: a, port: 15008, protocol: HBONE}]
status:
  addresses: [{type: IPAddress, value: "fd00::1"}]
  conditions: []
"#,
    );
    assert_eq!(
        gateway.addresses,
        [
            GatewayAddressValue::Ip("10.0.0.1".parse().expect("an address")),
            GatewayAddressValue::Hostname("gw.example.com".to_owned()),
        ]
    );
    assert_eq!(
        gateway.status_addresses,
        [GatewayAddressValue::Ip(
            "fd00::1".parse().expect("an address")
        )]
    );
    let (read, warnings) = gateway_of(
        "spec: {gatewayClassName: c, addresses: [{type: example.com/x, value: y}], \
         listeners: [{name: a, port: 1, protocol: HBONE}]}",
    );
    assert_eq!(read.expect("a gateway").addresses, []);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn what_kubernetes_would_refuse_is_refused() {
    refused("", "1:1: spec: missing");
    refused(
        "spec: {gatewayClassName: c}",
        "4:7: spec.listeners: missing",
    );
    refused(
        "spec: {gatewayClassName: c, listeners: []}",
        "4:40: spec.listeners: found a list of 0",
    );
    refused(
        "spec: {listeners: [{name: a, port: 1, protocol: HBONE}]}",
        "4:7: spec.gatewayClassName: missing",
    );
    refused(
        "spec:\n  gatewayClassName: c\n  listeners:\n  - {name: a, port: 1, protocol: HBONE}\n  - {name: a, port: 2, protocol: HBONE}",
        "8:5: spec.listeners[1]: found \"a\", which line 7 has already",
    );
    refused(
        "spec: {gatewayClassName: c, listeners: [{name: a, port: 0, protocol: HBONE}]}",
        "4:57: spec.listeners[0].port: found \"0\"",
    );
    refused(
        "spec: {gatewayClassName: c, listeners: [{name: a, port: 1}]}",
        "4:41: spec.listeners[0].protocol: missing",
    );
    refused(
        "spec: {gatewayClassName: c, listeners: [{name: a, port: 1, protocol: H, allowedRoutes: {namespaces: {from: Selector}}}]}",
        "4:101: spec.listeners[0].allowedRoutes.namespaces.selector: missing",
    );
}

#[test]
fn a_class_is_its_controller() {
    let class = |spec: &str| {
        let head =
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}\n";
        read(&format!("{head}{spec}")).0.map(|it| {
            let Any::GatewayClass(it) = it else {
                panic!("{it:?}")
            };
            it.controller.clone()
        })
    };
    assert_eq!(
        class("spec: {controllerName: istio.io/mesh-controller, description: x}"),
        Ok("istio.io/mesh-controller".to_owned())
    );
    for spec in [
        "",
        "spec: {}",
        "spec: {controllerName: x}",
        "spec: {controllerName: x/}",
    ] {
        assert!(class(spec).is_err(), "{spec}");
    }
}

/// What the annotations of a Gateway, and of a class, switch on, and what is warned of.
fn switches(annotations: &str) -> (ClientSwitches, Vec<String>) {
    let metadata =
        format!("metadata: {{name: g, namespace: shop, annotations: {{{annotations}}}}}");
    let (gateway, warnings) = read(&format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n{metadata}\n\
         spec: {{gatewayClassName: c, listeners: [{{name: a, port: 1, protocol: HBONE}}]}}"
    ));
    let Ok(Any::Gateway(gateway)) = gateway else {
        panic!("{gateway:?}")
    };
    let (class, of_class) = read(&format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n{}\nspec: {{controllerName: a.b/c}}",
        metadata.replace(", namespace: shop", "")
    ));
    let Ok(Any::GatewayClass(class)) = class else {
        panic!("{class:?}")
    };
    assert_eq!(class.clients, gateway.clients);
    assert_eq!(of_class.len(), warnings.len());
    (gateway.clients.clone(), warnings)
}

#[test]
fn what_is_told_of_clients_is_switched_by_annotations() {
    let none = ClientSwitches::default();
    assert_eq!(switches(""), (none.clone(), vec![]));
    let include = "ambient.istio.io/xfcc-include-client-identity";
    let tell = "ambit.dev/tell-client";
    for (word, is_on) in [("true", true), ("True", true), ("false", false)] {
        assert_eq!(
            switches(&format!("{include}: '{word}'")),
            (
                ClientSwitches {
                    include_client_certificate: Some(Ok(is_on)),
                    ..none.clone()
                },
                vec![]
            )
        );
        assert_eq!(
            switches(&format!("{tell}: '{word}'")),
            (
                ClientSwitches {
                    tell_client: Some(Ok(is_on)),
                    ..none.clone()
                },
                vec![]
            )
        );
    }
    // Those of others are none.
    assert_eq!(switches("example.com/tell-client: 'true'").0, none);
}

#[test]
fn another_word_is_warned_of_and_off() {
    for word in ["yes", "1", "", " true"] {
        let (clients, warnings) = switches(&format!("ambit.dev/tell-client: '{word}'"));
        let why = format!(
            "metadata.annotations[\"ambit.dev/tell-client\"]: found {word:?}, expected \"true\" or \"false\""
        );
        assert_eq!(clients.tell_client, Some(Err(why.clone())), "{word}");
        assert_eq!(
            warnings,
            [format!("f.yaml:3:75: Gateway shop/g: {why}; it is off")]
        );
    }
}
