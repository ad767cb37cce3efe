//! Manifests in, policies out.

use super::*;
use crate::{objects::Object as Any, read::authorization::tests::read};

fn policy(spec: &str) -> (Result<PeerAuthentication, String>, Vec<String>) {
    let head = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
                metadata: {name: p, namespace: shop}\n";
    let (read, warnings) = read(&format!("{head}{spec}"));
    let read = read.map(|it| {
        let Any::PeerAuthentication(it) = it else {
            panic!("{it:?}")
        };
        (*it).clone()
    });
    (read, warnings)
}

fn good(spec: &str) -> PeerAuthentication {
    let (read, warnings) = policy(spec);
    assert_eq!(warnings, [""; 0]);
    read.expect("a policy")
}

#[track_caller]
fn refused(spec: &str, expected: &str) {
    let error = policy(spec).0.expect_err("it is refused");
    let expected = format!("f.yaml:{expected}");
    let error = error.replace("PeerAuthentication shop/p: ", "");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn every_field_is_read() {
    let policy = good(
        r#"
spec:
  selector: {matchLabels: {app: web}}
  mtls: {mode: STRICT}
  portLevelMtls:
    8080: {mode: PERMISSIVE}
    "8081": {mode: DISABLE}
    8082: {mode: UNSET}
    8083: {}
"#,
    );
    assert_eq!(policy.mode, Some(MutualTls::Strict));
    assert_eq!(
        Vec::from_iter(policy.ports),
        [
            (8080, MutualTls::Permissive),
            (8081, MutualTls::Disable),
            (8082, MutualTls::Unset),
            (8083, MutualTls::Unset),
        ]
    );
    assert_eq!(
        policy.selector.map(|it| Vec::from_iter(it.0)),
        Some(vec![("app".to_owned(), "web".to_owned())])
    );
}

#[test]
fn what_is_missing_is_unset() {
    for spec in ["", "spec:", "spec: {}", "spec: {mtls: null}"] {
        assert_eq!(good(spec).mode, None, "{spec}");
    }
    for spec in ["spec: {mtls: {}}", "spec: {mtls: {mode: UNSET}}"] {
        assert_eq!(good(spec).mode, Some(MutualTls::Unset), "{spec}");
    }
}

#[test]
fn ports_need_a_selector() {
    refused(
        "spec: {portLevelMtls: {80: {mode: STRICT}}}",
        "4:23: spec.portLevelMtls: found a mapping of 1, expected none without a selector",
    );
    refused(
        "spec: {selector: {matchLabels: {}}, portLevelMtls: {80: {mode: STRICT}}}",
        "4:52: spec.portLevelMtls: found a mapping of 1, expected none without a selector",
    );
    refused(
        "spec: {selector: {matchLabels: {a: b}}, portLevelMtls: {}}",
        "4:56: spec.portLevelMtls: found a mapping of 0",
    );
}

#[test]
fn modes_and_ports_are_checked() {
    refused(
        "spec: {mtls: {mode: strict}}",
        "4:21: spec.mtls.mode: found \"strict\"",
    );
    for port in ["0", "65536", "http", "-1"] {
        refused(
            &format!(
                "spec: {{selector: {{matchLabels: {{a: b}}}}, portLevelMtls: {{{port}: {{mode: STRICT}}}}}}"
            ),
            "4:57: spec.portLevelMtls",
        );
    }
    let (read, warnings) = policy("spec: {mtls: {mod: STRICT}}");
    assert_eq!(read.expect("a policy").mode, Some(MutualTls::Unset));
    assert_eq!(
        warnings,
        [
            "f.yaml:4:15: PeerAuthentication shop/p: spec.mtls.mod: unknown field, ignored (did you mean mode?)"
        ]
    );
}
