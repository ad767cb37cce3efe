//! Conditions of VirtualServices and DestinationRules.

use super::{Condition, NO_WAYPOINT, UNSUPPORTED_VALUE, accepted, resolved};
use crate::{
    objects::{DestinationRule, VirtualService, destination_rule::PortPolicy},
    render::{
        mesh::Mesh,
        routing::{
            WAYPOINT_ACCEPTED,
            destination::BACKEND_NOT_FOUND,
            facts::{At, Lookup, ServiceFacts, Usability},
            notes::{Notes, message},
            scope::{self, Claim, Overlap},
            stream, virtual_service as rules,
        },
    },
};

/// It is not in a namespace that has a say.
const NOT_IN_SCOPE: &str = "NotInScope";

/// The conditions of a VirtualService: none where it is not for the mesh, or only for hosts that are no services.
///
/// `is_routed` tells of a service whether routes of the Gateway API are attached to it, from its own namespace.
#[must_use]
pub fn virtual_service(
    object: &VirtualService,
    is_routed: &dyn Fn(&ServiceFacts<'_>) -> bool,
    lookup: &dyn Lookup,
    mesh: &Mesh<'_>,
) -> Vec<Condition> {
    if !object.is_for_mesh() {
        return Vec::new();
    }
    let namespace = &object.meta.namespace;
    let mut notes = Notes::default();
    let mut in_force = 0_usize;
    let mut has_waypoint = false;
    let mut out_of_scope = None;
    for host in &object.hosts {
        let pattern = scope::resolve(host, namespace, mesh);
        let Some(service) = lookup.host(&pattern, namespace) else {
            continue;
        };
        let Some(overlap) = scope::overlap(&pattern, &service.hostname) else {
            continue;
        };
        let viewer = service.viewer();
        if !scope::has_say(namespace, &service)
            || !scope::is_exported(&object.export_to, namespace, viewer)
        {
            out_of_scope = Some(service.hostname.to_string());
            continue;
        }
        in_force += 1;
        has_waypoint |= service.waypoint.is_some();
        if is_routed(&service) {
            let host = &service.hostname;
            notes.ignored(format!(
                "routes of the Gateway API take its place for {host}"
            ));
        }
        let claim = Claim {
            object,
            authority: match overlap {
                Overlap::Whole => None,
                Overlap::Part => Some(host),
            },
        };
        collect(claim, &service, lookup, mesh, &mut notes);
    }
    match (in_force, out_of_scope) {
        (0, None) => Vec::new(),
        (0, Some(host)) => vec![Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: NOT_IN_SCOPE,
            message: format!(
                "the waypoint of {host} takes VirtualServices of its own namespace and of the service's that are exported to it"
            ),
        }],
        (_, _) => {
            let remark = (!has_waypoint).then_some(NO_WAYPOINT);
            vec![
                accepted(WAYPOINT_ACCEPTED, &notes, remark),
                resolved(&notes),
            ]
        }
    }
}

fn collect(
    claim: Claim<'_>,
    service: &ServiceFacts<'_>,
    lookup: &dyn Lookup,
    mesh: &Mesh<'_>,
    notes: &mut Notes,
) {
    let claims = [claim];
    for port in &service.ports {
        let at = At {
            service,
            port: *port,
            lookup,
            mesh,
        };
        if port.may_be_http() {
            let _rules = rules::http(&claims, None, &at, notes);
        }
        if port.may_be_tls() {
            let _routes = stream::tls_of_claims(&claims, &at, notes);
        }
        if port.may_be_tcp() {
            let _routes = stream::tcp_of_claims(&claims, &at, notes);
        }
    }
}

/// The conditions of a DestinationRule: none where its host is no service. Of a wildcard only what it says is looked at.
#[must_use]
pub fn destination_rule(
    object: &DestinationRule,
    lookup: &dyn Lookup,
    mesh: &Mesh<'_>,
) -> Vec<Condition> {
    let namespace = &object.meta.namespace;
    let host = scope::resolve(&object.host, namespace, mesh);
    let mut notes = Notes::default();
    let mut remark = None;
    if !host.starts_with('*') {
        let Some(service) = lookup.host(&host, namespace) else {
            return vec![Condition {
                kind: WAYPOINT_ACCEPTED,
                status: false,
                reason: BACKEND_NOT_FOUND,
                message: format!("no service {host}"),
            }];
        };
        let root = mesh.config.root_namespace.as_str();
        if !scope::has_say(namespace, &service) && **namespace != *root {
            return vec![Condition {
                kind: WAYPOINT_ACCEPTED,
                status: false,
                reason: NOT_IN_SCOPE,
                message: format!(
                    "waypoints take DestinationRules for {host} from its own namespace, that of its waypoint and {root}"
                ),
            }];
        }
        if let Usability::Unenforced(policy) = service
            .ports
            .iter()
            .map(|port| lookup.backend(&service, port.number, ""))
            .find(|it| matches!(it, Usability::Unenforced(_)))
            .unwrap_or(Usability::Usable)
        {
            notes.refused(format!("requests to {host} are refused for {policy}"));
        }
        remark = service.waypoint.is_none().then_some(NO_WAYPOINT);
    }
    if object.selector.as_ref().is_some_and(|it| !it.0.is_empty()) {
        return vec![Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: UNSUPPORTED_VALUE,
            message: "workloadSelector selects clients, which a waypoint is not".to_owned(),
        }];
    }
    if let Some(what) = unenforced(object) {
        notes.refused(format!(
            "{what} is not supported: nothing is sent where it is asked for"
        ));
    }
    if has_other_priority(object) {
        notes.ignored("failoverPriority: only labels of topology are known of endpoints");
    }
    if !notes.refused.is_empty() {
        return vec![Condition {
            kind: WAYPOINT_ACCEPTED,
            status: false,
            reason: UNSUPPORTED_VALUE,
            message: message(&notes.refused),
        }];
    }
    vec![accepted(WAYPOINT_ACCEPTED, &notes, remark)]
}

/// What of a rule cannot be done, and must not be left out.
fn unenforced(object: &DestinationRule) -> Option<&'static str> {
    use crate::objects::destination_rule::ClientTlsMode;
    let policies = || {
        let subsets = object.subsets.iter().map(|it| &it.policy);
        std::iter::once(&object.policy).chain(subsets)
    };
    if policies().any(|it| it.tunnel.is_some()) {
        return Some("tunnel");
    }
    let originates = |it: &PortPolicy| {
        it.tls.as_ref().is_some_and(|tls| match tls.mode {
            ClientTlsMode::Simple | ClientTlsMode::Mutual => true,
            ClientTlsMode::Disable | ClientTlsMode::IstioMutual => false,
        })
    };
    policies()
        .flat_map(|it| std::iter::once(&it.any_port).chain(it.ports.values()))
        .any(originates)
        .then_some("tls with mode SIMPLE or MUTUAL")
}

fn has_other_priority(object: &DestinationRule) -> bool {
    const KNOWN: [&str; 6] = [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.istio.io/subzone",
        "kubernetes.io/hostname",
        "topology.istio.io/cluster",
        "topology.istio.io/network",
    ];
    let policies =
        std::iter::once(&object.policy).chain(object.subsets.iter().map(|it| &it.policy));
    policies
        .flat_map(|it| std::iter::once(&it.any_port).chain(it.ports.values()))
        .filter_map(|it| it.load_balancer.as_ref()?.locality.as_ref())
        .flat_map(|it| &it.failover_priority)
        .any(|it| {
            let label = it.split('=').next().unwrap_or(it);
            !KNOWN.contains(&label)
        })
}
