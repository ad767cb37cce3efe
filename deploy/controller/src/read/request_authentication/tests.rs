//! What a policy of tokens is attached to.

use crate::{
    objects::{Object, Selector, TargetRef},
    read::testkit::Head,
};

const HEAD: Head = Head("security.istio.io/v1", "RequestAuthentication");
const WARNING: &str =
    "1:1: : not enforced by this controller yet: a waypoint refuses requests to its targets";

#[test]
fn its_targets_are_read_and_its_rules_are_not() {
    let body =
        "spec: {jwtRules: [{issuer: x, anything: [y]}], targetRefs: [{kind: Service, name: web}]}";
    HEAD.warned(&[
        (body, WARNING),
        ("spec: {selector: {matchLabels: {app: web}}}", WARNING),
        ("", WARNING),
    ]);
    let (Ok(Object::RequestAuthentication(policy)), _) = HEAD.read(body) else {
        panic!("refused")
    };
    let web = TargetRef {
        group: String::new(),
        kind: "Service".to_owned(),
        name: "web".to_owned(),
    };
    assert_eq!((&policy.targets, &policy.selector), (&vec![web], &None));
    let (Ok(Object::RequestAuthentication(policy)), _) =
        HEAD.read("spec: {selector: {matchLabels: {app: web}}}")
    else {
        panic!("refused")
    };
    let labels = [("app".to_owned(), "web".to_owned())];
    assert_eq!(policy.selector, Some(Selector(labels.into())));
}

#[test]
fn what_it_is_attached_to_has_to_be_clear() {
    HEAD.refused(&[
        ("spec: {targetRefs: [{kind: Pod, name: a}]}", "4:28: spec.targetRefs[0].kind: found \"Pod\", expected Service, ServiceEntry of networking.istio.io, or Gateway or GatewayClass of gateway.networking.k8s.io"),
        (
            "spec: {selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
            "4:18: spec.selector: found a mapping of 1, expected either this or targetRefs",
        ),
        ("spec: []", "4:7: spec: found a list of 0, expected a mapping with jwtRules"),
    ]);
}
