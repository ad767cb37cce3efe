//! The servers of the control plane.

use super::*;

fn remote(variables: &[(&str, &str)]) -> (Xds, grpc::Endpoint) {
    let (config, warnings) = read(variables).unwrap();
    assert_eq!(warnings, []);
    let (Source::Xds(xds), Authority::Remote(ca)) =
        (config.control.source, config.identity.authority)
    else {
        panic!("expected servers");
    };
    (*xds, ca)
}

#[test]
fn without_files_the_control_plane_is_istios() {
    let (xds, ca) = remote(&[]);
    assert_eq!(xds.endpoint.address, "https://localhost:15012");
    assert_eq!(ca.address, "https://localhost:15012");
    let (xds, ca) = remote(&[("KUBERNETES_SERVICE_HOST", "10.96.0.1")]);
    assert_eq!(
        xds.endpoint.address,
        "https://istiod.istio-system.svc:15012"
    );
    assert_eq!(ca.address, "https://istiod.istio-system.svc:15012");
    let root = PathBuf::from("./var/run/secrets/istio/root-cert.pem");
    assert!(matches!(xds.endpoint.roots, grpc::Roots::File(path) if path == root));
    assert!(matches!(ca.roots, grpc::Roots::File(path) if path == root));
    let token = PathBuf::from("./var/run/secrets/tokens/istio-token");
    assert_eq!(ca.token.as_ref(), Some(&token));
    assert_eq!(ca.cluster, "Kubernetes");
    assert!(!xds.on_demand);
}

#[test]
fn each_server_has_its_own_variables() {
    let (xds, ca) = remote(&[
        ("XDS_ADDRESS", "xds.example:1"),
        ("CA_ADDRESS", "http://[::1]"),
        ("XDS_ROOT_CA", "SYSTEM"),
        ("CA_ROOT_CA", "/ca.pem"),
        ("ALT_XDS_HOSTNAME", "one"),
        ("ALT_CA_HOSTNAME", "two"),
        ("AUTH_TOKEN", "/token"),
        ("XDS_HEADER_X-Tenant", "blue"),
        ("CA_HEADER_x-other", "red"),
        ("XDS_ON_DEMAND", "true"),
        ("ISTIO_METAJSON_LABELS", r#"{"app": "ztunnel", "n": 1}"#),
        ("POD_NAME", "z-1"),
        ("POD_NAMESPACE", "mesh"),
        ("INSTANCE_IP", "10.0.0.9"),
    ]);
    assert_eq!(xds.endpoint.address, "https://xds.example:1");
    assert_eq!(ca.address, "http://[::1]:15012");
    assert!(matches!(xds.endpoint.roots, grpc::Roots::System));
    assert!(matches!(ca.roots, grpc::Roots::File(path) if path == *"/ca.pem"));
    assert_eq!(xds.endpoint.alternative_name.as_deref(), Some("one"));
    assert_eq!(ca.alternative_name.as_deref(), Some("two"));
    assert_eq!(xds.endpoint.token, Some("/token".into()));
    assert_eq!(xds.endpoint.headers.len(), 1);
    assert_eq!(xds.endpoint.headers[0].0, "x-tenant");
    assert_eq!(ca.headers[0].1, "red");
    assert!(xds.on_demand);
    assert_eq!(xds.metadata["app"], "ztunnel");
    assert_eq!(xds.metadata["n"], "1");
    assert_eq!(
        (&*xds.pod, &*xds.namespace, &*xds.ip),
        ("z-1", "mesh", "10.0.0.9")
    );
}

#[test]
fn a_header_of_a_server_is_never_shown() {
    let (xds, _) = remote(&[("XDS_HEADER_authorization", "secret-1")]);
    assert!(!format!("{xds:?}").contains("secret-1"));
}
