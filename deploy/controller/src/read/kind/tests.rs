//! What is done about which kind.

use super::{Treatment, treatment};
use crate::objects::Kind;

#[test]
fn kinds_are_read_in_every_version_that_is_accepted() {
    for (versions, kinds) in [
        (
            &["v1"][..],
            &[
                Kind::Namespace,
                Kind::Node,
                Kind::Pod,
                Kind::Service,
                Kind::ServiceAccount,
                Kind::ConfigMap,
            ][..],
        ),
        (&["discovery.k8s.io/v1"], &[Kind::EndpointSlice]),
        (
            &[
                "networking.istio.io/v1",
                "networking.istio.io/v1beta1",
                "networking.istio.io/v1alpha3",
            ],
            &[
                Kind::WorkloadEntry,
                Kind::ServiceEntry,
                Kind::VirtualService,
                Kind::DestinationRule,
            ],
        ),
        (
            &["security.istio.io/v1", "security.istio.io/v1beta1"],
            &[
                Kind::AuthorizationPolicy,
                Kind::PeerAuthentication,
                Kind::RequestAuthentication,
            ],
        ),
        (
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1beta1",
            ],
            &[
                Kind::Gateway,
                Kind::GatewayClass,
                Kind::HttpRoute,
                Kind::GrpcRoute,
                Kind::ReferenceGrant,
            ],
        ),
        (
            &[
                "gateway.networking.k8s.io/v1",
                "gateway.networking.k8s.io/v1alpha3",
                "gateway.networking.k8s.io/v1alpha2",
            ],
            &[Kind::TcpRoute, Kind::TlsRoute],
        ),
        (&["ambit.dev/v1alpha1"], &[Kind::TrafficPolicy]),
        (&["networking.istio.io/v1alpha3"], &[Kind::EnvoyFilter]),
    ] {
        for version in versions {
            for kind in kinds {
                assert_eq!(treatment(version, kind.name()), Treatment::Read(*kind));
            }
        }
    }
}

#[test]
fn other_kinds_are_told_apart() {
    let misspelt = |field, expected: &str| Treatment::Misspelt(field, expected.to_owned());
    let wrong = |kind, versions: &str| Treatment::WrongVersion(kind, versions.to_owned());
    for (version, kind, expected) in [
        ("v2", "Pod", wrong(Kind::Pod, "v1")),
        (
            "discovery.k8s.io/v1beta1",
            "EndpointSlice",
            wrong(Kind::EndpointSlice, "discovery.k8s.io/v1"),
        ),
        (
            "security.istio.io/v1alpha1",
            "PeerAuthentication",
            wrong(
                Kind::PeerAuthentication,
                "security.istio.io/v1 or security.istio.io/v1beta1",
            ),
        ),
        ("networking.istio.io/v1", "Sidecar", Treatment::Later),
        ("networking.istio.io/v1", "Gateway", Treatment::Later),
        ("gateway.networking.k8s.io/v1", "UDPRoute", Treatment::Later),
        (
            "gateway.networking.k8s.io/v1alpha1",
            "HTTPRoute",
            wrong(
                Kind::HttpRoute,
                "gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1beta1",
            ),
        ),
        (
            "ambit.dev/v1",
            "TrafficPolicy",
            wrong(Kind::TrafficPolicy, "ambit.dev/v1alpha1"),
        ),
        (
            "networking.istio.io/v1",
            "VirtualServices",
            misspelt("kind", "VirtualService"),
        ),
        ("example.com/v1", "TrafficPolicy", Treatment::Unknown),
        ("v1", "Endpoints", Treatment::Endpoints),
        ("v1", "Secret", Treatment::Skip),
        ("apps/v1", "Deployment", Treatment::Skip),
        ("batch/v1", "CronJob", Treatment::Skip),
        ("rbac.authorization.k8s.io/v1", "Role", Treatment::Skip),
        ("networking.k8s.io/v1", "NetworkPolicy", Treatment::Skip),
        ("networking.k8s.io/v1", "Ingress", Treatment::Later),
        ("serving.knative.dev/v1", "Service", Treatment::Unknown),
        ("example.com/v1", "AuthorizationPolicy", Treatment::Unknown),
        ("networking.istio.io/v1", "Telemetry", Treatment::Unknown),
        ("v1", "Pood", misspelt("kind", "Pod")),
        (
            "security.istio.io/v1",
            "authorizationpolicyy",
            misspelt("kind", "AuthorizationPolicy"),
        ),
        (
            "security.istio.i/v1",
            "AuthorizationPolicy",
            misspelt(
                "apiVersion",
                "security.istio.io/v1 or security.istio.io/v1beta1",
            ),
        ),
        ("", "Pod", wrong(Kind::Pod, "v1")),
    ] {
        assert_eq!(treatment(version, kind), expected, "{version} {kind}");
    }
}
