//! How a workload is reached, and which pods a ztunnel captures.

use wire::proto::workload::TunnelProtocol;

use crate::{
    objects::{Labels, Namespace, Pod},
    render::waypoint::Instance,
};

const MODE: &str = "istio.io/dataplane-mode";
const REDIRECTION: &str = "ambient.istio.io/redirection";
const SIDECAR: &str = "sidecar.istio.io/status";
const TUNNEL: &str = "networking.istio.io/tunnel";
const TLS_MODE: &str = "security.istio.io/tlsMode";

/// Never captured by labels, as istio-cni excludes it.
const EXCLUDED_NAMESPACE: &str = "kube-system";

/// What labels declare: HBONE that the workload ends itself, or the mutual TLS of a sidecar.
pub(crate) fn declared(labels: &Labels) -> Option<(TunnelProtocol, bool)> {
    let speaks_hbone = labels
        .get(TUNNEL)
        .is_some_and(|protocols| protocols.split(',').any(|it| it.trim() == "http"));
    if speaks_hbone {
        return Some((TunnelProtocol::Hbone, true));
    }
    let sidecar = labels.get(TLS_MODE).is_some_and(|mode| mode == "istio");
    sidecar.then_some((TunnelProtocol::LegacyIstioMtls, false))
}

/// A pod's tunnel, and whether it ends the tunnel itself.
///
/// The order: what the pod declares to speak itself, what it is (a waypoint or gateway of the mesh), what a ztunnel
/// does for it. A waypoint with an inbound binding leaves HBONE to its ztunnel.
pub(super) fn of_pod(
    pod: &Pod,
    namespace: Option<&Namespace>,
    instance: Option<&Instance>,
) -> (TunnelProtocol, bool) {
    let declared = declared(&pod.meta.labels);
    if let Some((TunnelProtocol::Hbone, native)) = declared {
        return (TunnelProtocol::Hbone, native);
    }
    if instance.is_some_and(|it| it.managed && it.binding.is_none()) {
        return (TunnelProtocol::Hbone, true);
    }
    if is_redirected(pod) || is_enrolled(pod, namespace) {
        return (TunnelProtocol::Hbone, false);
    }
    declared.unwrap_or((TunnelProtocol::None, false))
}

/// A CNI agent has said so.
fn is_redirected(pod: &Pod) -> bool {
    pod.meta.annotation(REDIRECTION) == Some("enabled")
}

/// The labels select it (CAP-01): where no agent tells, they must do.
fn is_enrolled(pod: &Pod, namespace: Option<&Namespace>) -> bool {
    if pod.host_network
        || pod.meta.annotation(SIDECAR).is_some()
        || &*pod.meta.namespace == EXCLUDED_NAMESPACE
    {
        return false;
    }
    match pod.meta.label(MODE) {
        Some("ambient") => true,
        Some("none") => false,
        Some(_) | None => namespace.is_some_and(|it| it.meta.label(MODE) == Some("ambient")),
    }
}
