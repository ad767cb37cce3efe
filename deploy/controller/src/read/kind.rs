//! Which kinds there are, and what is done about each.

use yaml::nearest::nearest;

use crate::objects::Kind;

/// What is done about an object of some `apiVersion` and `kind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is read.
    Read(Kind),
    /// It would be, had it one of these versions.
    WrongVersion(Kind, String),
    /// It is known to have an effect in a mesh, but has none here yet.
    Later,
    /// `v1/Endpoints`, which Kubernetes would mirror to an EndpointSlice.
    Endpoints,
    /// It is most likely one that is read, with a slip in this field, of which that is expected.
    Misspelt(&'static str, String),
    /// It has no effect on a mesh.
    Skip,
    /// It is not known.
    Unknown,
}

/// The API group and versions of every kind that is read.
fn versions(kind: Kind) -> (&'static str, &'static [&'static str]) {
    const CORE: (&str, &[&str]) = ("", &["v1"]);
    const NETWORKING: (&str, &[&str]) = ("networking.istio.io", &["v1", "v1beta1", "v1alpha3"]);
    const SECURITY: (&str, &[&str]) = ("security.istio.io", &["v1", "v1beta1"]);
    const GATEWAY: (&str, &[&str]) = ("gateway.networking.k8s.io", &["v1", "v1beta1"]);
    const LAYER_4: (&str, &[&str]) = (GATEWAY.0, &["v1", "v1alpha3", "v1alpha2"]);
    match kind {
        Kind::Namespace
        | Kind::Node
        | Kind::Pod
        | Kind::Service
        | Kind::ServiceAccount
        | Kind::ConfigMap => CORE,
        Kind::EndpointSlice => ("discovery.k8s.io", &["v1"]),
        Kind::WorkloadEntry | Kind::ServiceEntry | Kind::VirtualService | Kind::DestinationRule => {
            NETWORKING
        }
        Kind::EnvoyFilter => (NETWORKING.0, &["v1alpha3"]),
        Kind::Gateway
        | Kind::GatewayClass
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::ReferenceGrant => GATEWAY,
        Kind::TlsRoute | Kind::TcpRoute => LAYER_4,
        Kind::AuthorizationPolicy | Kind::PeerAuthentication | Kind::RequestAuthentication => {
            SECURITY
        }
        Kind::TrafficPolicy => ("ambit.dev", &["v1alpha1"]),
    }
}

/// Groups of which nothing has an effect on a mesh.
const SKIPPED_GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "install.istio.io",
    "kustomize.config.k8s.io",
    "metrics.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Kinds of the core group without effect on a mesh.
const SKIPPED_CORE: &[&str] = &[
    "Binding",
    "ComponentStatus",
    "Event",
    "LimitRange",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodTemplate",
    "ReplicationController",
    "ResourceQuota",
    "Secret",
];

/// Groups and their kinds that later parts of the mesh enforce.
const LATER: &[(&str, &[&str])] = &[
    ("extensions.istio.io", &["WasmPlugin"]),
    (
        "gateway.networking.k8s.io",
        &["BackendTLSPolicy", "ListenerSet", "UDPRoute"],
    ),
    (
        "gateway.networking.x-k8s.io",
        &["XBackendTrafficPolicy", "XListenerSet", "XMesh"],
    ),
    ("inference.networking.k8s.io", &["InferencePool"]),
    (
        "networking.istio.io",
        &["Gateway", "ProxyConfig", "Sidecar", "WorkloadGroup"],
    ),
    ("networking.k8s.io", &["Ingress"]),
    ("telemetry.istio.io", &["Telemetry"]),
];

/// What is done about an object of `api_version` and `kind`, as a manifest has them.
pub(super) fn treatment(api_version: &str, kind: &str) -> Treatment {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let read = Kind::ALL
        .into_iter()
        .find(|known| known.name() == kind && versions(*known).0 == group);
    if let Some(known) = read {
        let (_, versions) = versions(known);
        if versions.contains(&version) {
            return Treatment::Read(known);
        }
        return Treatment::WrongVersion(known, api_versions(group, versions));
    }
    let later = LATER
        .iter()
        .any(|(later, kinds)| *later == group && kinds.contains(&kind));
    if later {
        Treatment::Later
    } else if group.is_empty() && kind == "Endpoints" {
        Treatment::Endpoints
    } else if SKIPPED_GROUPS.contains(&group)
        || (group.is_empty() && SKIPPED_CORE.contains(&kind))
        || (group == "networking.k8s.io" && !kind.is_empty())
    {
        Treatment::Skip
    } else {
        misspelt(group, kind).unwrap_or(Treatment::Unknown)
    }
}

/// What is one slip away from a kind that is read: to ignore it would take away the object that it was.
fn misspelt(group: &str, kind: &str) -> Option<Treatment> {
    Kind::ALL.into_iter().find_map(|known| {
        let (its_group, versions) = versions(known);
        let name = known.name();
        if group == its_group {
            nearest(kind, &[name])?;
            return Some(Treatment::Misspelt("kind", name.to_owned()));
        }
        // A group without its version, `security.istio.io`, reads as a version without a group.
        let is_near = match (group, its_group) {
            ("", _) => true,
            (_, "") => false,
            (_, its_group) => nearest(group, &[its_group]).is_some(),
        };
        (is_near && kind == name)
            .then(|| Treatment::Misspelt("apiVersion", api_versions(its_group, versions)))
    })
}

/// All values of `apiVersion` that are read, for people.
fn api_versions(group: &str, versions: &[&str]) -> String {
    let accepted: Vec<String> = versions
        .iter()
        .map(|version| match group {
            "" => (*version).to_owned(),
            group => format!("{group}/{version}"),
        })
        .collect();
    accepted.join(" or ")
}

#[cfg(test)]
mod tests;
