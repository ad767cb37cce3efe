//! What `/config_dump` shows: the mesh as this ztunnel sees it, its certificates and its pods.
//!
//! In: the current snapshot, the certificate store, the pods. Out: JSON, shaped as Istio's ztunnel shapes it.
//! Never: private keys.

use std::sync::Arc;

use mesh::{
    Authorization, Service, Workload,
    authorization::{Action, Match, Scope, StringMatch},
    service::{GatewayAddress, GatewayDestination, NetworkAddress, PortMap},
    workload::{Health, Tunnel},
};
use serde_json::{Map, Value, json};

use crate::{capture::pods::Pods, connections::Open, pod::Pod, proxy::Proxy, source::ConfigSource};

/// Where the dump takes its parts from.
#[derive(Debug)]
pub struct Dump {
    /// The mesh and the certificates.
    pub proxy: Arc<Proxy>,
    /// The pods.
    pub pods: Arc<Pods>,
    /// Where the configuration comes from, and what became of it.
    pub source: ConfigSource,
    /// The process's own configuration, as text.
    pub config: String,
}

impl Dump {
    /// The whole dump.
    #[must_use]
    pub fn json(&self) -> Value {
        let snapshot = self.proxy.view.load();
        let mut workloads: Vec<_> = snapshot.iter_workloads().collect();
        workloads.sort_by(|a, b| a.uid.cmp(&b.uid));
        let mut services: Vec<_> = snapshot.iter_services().collect();
        services.sort_by_key(|service| service.key());
        let mut policies: Vec<_> = snapshot.iter_policies().collect();
        policies.sort_by(|a, b| a.key.cmp(&b.key));
        let mut pods = Map::new();
        for pod in self.pods.list() {
            pods.insert(pod.uid.clone(), up(&pod));
        }
        for (uid, info) in self.pods.failed() {
            let info = json!({"name": info.name, "namespace": info.namespace, "serviceAccount": info.service_account});
            pods.insert(uid, json!({"state": "Pending", "info": info}));
        }
        json!({
            "workloads": workloads.into_iter().map(|workload| self::workload(workload)).collect::<Vec<_>>(),
            "services": services.into_iter().map(|service| self::service(service)).collect::<Vec<_>>(),
            "policies": policies.into_iter().map(|policy| authorization(policy)).collect::<Vec<_>>(),
            "stagedServices": {},
            "certificates": self.proxy.store.dump(),
            "workloadState": pods,
            "staticConfig": self.source.file_state().map_or_else(|| json!({}), |state| json!(state)),
            "xds": self.source.xds_state(net::clock::now()),
            "snapshotVersion": snapshot.version,
            "version": {"version": env!("CARGO_PKG_VERSION")},
            "config": self.config,
        })
    }
}

fn up(pod: &Pod) -> Value {
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    for open in pod.connections.list() {
        match open {
            Open::Outbound(open) => outbound.push(json!({
                "src": open.source,
                "originalDst": open.original_destination,
                "actualDst": open.destination,
                "via": open.way.as_str(),
            })),
            Open::Inbound(open) => inbound.push(json!({
                "src": open.admitted.client(),
                "dst": open.admitted.destination(),
                "via": open.way.as_str(),
                "srcIdentity": open.admitted.identity().map(ToString::to_string),
            })),
        }
    }
    let info = &pod.info;
    json!({
        "state": "Up",
        "connections": {"inbound": inbound, "outbound": outbound},
        "info": {"name": info.name, "namespace": info.namespace, "serviceAccount": info.service_account},
    })
}

fn ports(ports: &PortMap) -> Value {
    ports
        .0
        .keys()
        .map(|port| (port.to_string(), json!(ports.target(*port))))
        .collect::<Map<_, _>>()
        .into()
}

fn address(address: &NetworkAddress) -> String {
    match address.prefix_length {
        Some(length) => format!("{}/{}/{length}", address.network, address.ip),
        None => format!("{}/{}", address.network, address.ip),
    }
}

fn gateway(gateway: &GatewayAddress) -> Value {
    let destination = match &gateway.destination {
        GatewayDestination::Address(address) => self::address(address),
        GatewayDestination::Service(key) => key.to_string(),
    };
    json!({"destination": destination, "hboneMtlsPort": gateway.hbone_port})
}

fn workload(workload: &Workload) -> Value {
    let mut services: Vec<_> = workload.services.iter().collect();
    services.sort_by(|a, b| a.0.cmp(b.0));
    json!({
        "uid": workload.uid.as_str(),
        "name": workload.name.as_str(),
        "namespace": workload.namespace.as_str(),
        "serviceAccount": workload.service_account.as_str(),
        "trustDomain": workload.trust_domain.as_str(),
        "workloadIps": workload.ips,
        "protocol": match workload.tunnel { Tunnel::Hbone => "HBONE", Tunnel::None => "TCP" },
        "nativeTunnel": workload.native_tunnel,
        "network": workload.network.as_str(),
        "node": workload.node.as_str(),
        "canonicalName": workload.canonical_name.as_str(),
        "canonicalRevision": workload.canonical_revision.as_str(),
        "workloadName": workload.workload_name.as_str(),
        "workloadType": format!("{:?}", workload.workload_type).to_lowercase(),
        "clusterId": workload.cluster.as_str(),
        "locality": {
            "region": workload.locality.region.as_str(),
            "zone": workload.locality.zone.as_str(),
            "subzone": workload.locality.subzone.as_str(),
        },
        "status": match workload.health { Health::Healthy => "Healthy", Health::Unhealthy => "Unhealthy" },
        "capacity": workload.capacity,
        "waypoint": workload.waypoint.as_ref().map(gateway),
        "authorizationPolicies": workload.authorization_policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "services": services.into_iter().map(|(key, map)| (key.to_string(), ports(map))).collect::<Map<_, _>>(),
    })
}

fn service(service: &Service) -> Value {
    json!({
        "name": service.name.as_str(),
        "namespace": service.namespace.as_str(),
        "hostname": service.hostname.as_str(),
        "vips": service.vips.iter().map(address).collect::<Vec<_>>(),
        "ports": ports(&service.ports),
        "subjectAltNames": service.subject_alt_names.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "waypoint": service.waypoint.as_ref().map(gateway),
        "canonical": service.canonical,
        "ipFamilies": format!("{:?}", service.ip_families),
        "loadBalancer": {
            "mode": format!("{:?}", service.load_balancing.mode),
            "healthPolicy": format!("{:?}", service.load_balancing.health_policy),
            "routingPreferences": service.load_balancing.routing_preference.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>(),
        },
    })
}

fn authorization(policy: &Authorization) -> Value {
    let matches = |clause: &mesh::authorization::Clause| {
        clause.matches.iter().map(one_match).collect::<Vec<_>>()
    };
    let rules: Vec<Vec<Vec<Value>>> = policy
        .rules
        .iter()
        .map(|rule| rule.clauses.iter().map(matches).collect())
        .collect();
    json!({
        "name": policy.key.name.as_str(),
        "namespace": policy.key.namespace.as_str(),
        "scope": match policy.scope {
            Scope::Global => "Global",
            Scope::Namespace => "Namespace",
            Scope::WorkloadSelector => "WorkloadSelector",
        },
        "action": match policy.action { Action::Allow => "Allow", Action::Deny => "Deny" },
        "dryRun": policy.dry_run,
        "rules": rules,
    })
}

/// Only the fields that say something.
fn one_match(one: &Match) -> Value {
    let text = |list: &[StringMatch]| list.iter().map(string_match).collect::<Vec<_>>();
    let accounts = |list: &[mesh::authorization::ServiceAccountMatch]| {
        list.iter()
            .map(|it| format!("{}/{}", it.namespace, it.service_account))
            .collect::<Vec<_>>()
    };
    let fields = [
        ("namespaces", json!(text(&one.namespaces))),
        ("notNamespaces", json!(text(&one.not_namespaces))),
        ("serviceAccounts", json!(accounts(&one.service_accounts))),
        (
            "notServiceAccounts",
            json!(accounts(&one.not_service_accounts)),
        ),
        ("principals", json!(text(&one.principals))),
        ("notPrincipals", json!(text(&one.not_principals))),
        ("sourceIps", json!(one.source_ips)),
        ("notSourceIps", json!(one.not_source_ips)),
        ("destinationIps", json!(one.destination_ips)),
        ("notDestinationIps", json!(one.not_destination_ips)),
        ("destinationPorts", json!(one.destination_ports)),
        ("notDestinationPorts", json!(one.not_destination_ports)),
    ];
    let said = fields
        .into_iter()
        .filter(|(_, value)| value.as_array().is_some_and(|list| !list.is_empty()));
    said.map(|(name, value)| (name.to_owned(), value))
        .collect::<Map<_, _>>()
        .into()
}

fn string_match(one: &StringMatch) -> String {
    match one {
        StringMatch::Exact(text) => text.clone(),
        StringMatch::Prefix(text) => format!("{text}*"),
        StringMatch::Suffix(text) => format!("*{text}"),
        StringMatch::Presence => "*".to_owned(),
    }
}
