//! `workloads[]` of the file.

use std::collections::HashMap;

use mesh::{
    Workload,
    service::{GatewayAddress, GatewayDestination},
    workload::{
        ApplicationProtocol, ApplicationTunnel, Health, Locality, NetworkMode, Tunnel, WorkloadType,
    },
};

use yaml::{
    Cursor, Error,
    scalar::{boolean, choice, host, port},
};

use super::{
    Defaults,
    scalar::{
        capacity, hostname, label, name, namespace, network, parse_network_host, parse_service_key,
        policy_key, ports, service_account, service_key, trust_domain, uid,
    },
};

/// The port on which HBONE ends where nothing else is said.
const HBONE_PORT: u16 = 15008;

pub(super) const FIELDS: &[&str] = &[
    "uid",
    "name",
    "namespace",
    "serviceAccount",
    "trustDomain",
    "workloadIps",
    "hostname",
    "protocol",
    "networkMode",
    "nativeTunnel",
    "applicationTunnel",
    "node",
    "network",
    "networkGateway",
    "canonicalName",
    "canonicalRevision",
    "workloadName",
    "workloadType",
    "clusterId",
    "locality",
    "status",
    "capacity",
    "waypoint",
    "authorizationPolicies",
    "services",
];

const ADDRESSES: &str = "a list of the workload's IP addresses";

/// Reads one workload; `defaults` stands in for what it leaves out.
pub(super) fn workload(at: &Cursor<'_>, defaults: &Defaults) -> Result<Workload, Error> {
    let object = at.object(
        "a workload: a mapping with uid, name, namespace, workloadIps and services",
        FIELDS,
    )?;
    let default = Workload::default();
    let workload = Workload {
        uid: object.required("uid", "a name that is unique in the mesh", uid)?,
        name: object.required("name", "the pod's name", name)?,
        namespace: object.required("namespace", "the pod's namespace", namespace)?,
        service_account: object
            .optional("serviceAccount", service_account)?
            .unwrap_or(default.service_account),
        trust_domain: object
            .optional("trustDomain", trust_domain)?
            .flatten()
            .unwrap_or_else(|| defaults.trust_domain.clone()),
        network: object.optional("network", network)?.unwrap_or_default(),
        ips: object.required("workloadIps", ADDRESSES, |at| at.list(ADDRESSES, host))?,
        hostname: object.optional("hostname", hostname)?.unwrap_or_default(),
        tunnel: object
            .optional("protocol", |at| {
                choice(at, &[("HBONE", Tunnel::Hbone), ("TCP", Tunnel::None)])
            })?
            .unwrap_or(default.tunnel),
        native_tunnel: object
            .optional("nativeTunnel", boolean)?
            .unwrap_or_default(),
        application_tunnel: object.nullable("applicationTunnel", application_tunnel)?,
        network_mode: object
            .optional("networkMode", |at| {
                choice(
                    at,
                    &[
                        ("Standard", NetworkMode::Standard),
                        ("HostNetwork", NetworkMode::HostNetwork),
                    ],
                )
            })?
            .unwrap_or(default.network_mode),
        node: object.optional("node", label)?.unwrap_or_default(),
        canonical_name: object.optional("canonicalName", label)?.unwrap_or_default(),
        canonical_revision: object
            .optional("canonicalRevision", label)?
            .unwrap_or_default(),
        workload_name: object.optional("workloadName", label)?.unwrap_or_default(),
        workload_type: object
            .optional("workloadType", workload_type)?
            .unwrap_or(default.workload_type),
        cluster: object
            .optional("clusterId", label)?
            .unwrap_or_else(|| defaults.cluster.clone()),
        locality: object.nullable("locality", locality)?.unwrap_or_default(),
        health: object
            .optional("status", |at| {
                choice(
                    at,
                    &[
                        ("Healthy", Health::Healthy),
                        ("Unhealthy", Health::Unhealthy),
                    ],
                )
            })?
            .unwrap_or(default.health),
        capacity: object
            .optional("capacity", capacity)?
            .unwrap_or(default.capacity),
        waypoint: object.nullable("waypoint", gateway)?,
        network_gateway: object.nullable("networkGateway", gateway)?,
        authorization_policies: object
            .optional("authorizationPolicies", |at| {
                at.list("a list of \"namespace/name\" of policies", policy_key)
            })?
            .unwrap_or_default(),
        services: object.required(
            "services",
            "a mapping of \"namespace/hostname\" to ports, {} for a workload that serves none",
            |at| {
                let mut services = HashMap::new();
                at.entries(
                    "a mapping of \"namespace/hostname\" to ports",
                    |key, value| {
                        let service = service_key(key)?;
                        let ports = ports(value)?;
                        match services.insert(service, ports) {
                            None => Ok(()),
                            Some(_) => {
                                Err(key.unexpected("each service once; hostnames know no case"))
                            }
                        }
                    },
                )?;
                Ok(services)
            },
        )?,
        // Of waypoints only.
        subsets: Vec::new(),
    };
    if workload.ips.is_empty() && workload.hostname.is_empty() && workload.network_gateway.is_none()
    {
        return Err(object.missing(
            "workloadIps",
            "at least one address where there is no hostname or networkGateway",
        ));
    }
    Ok(workload)
}

/// `{destination, hboneMtlsPort}` of a waypoint or of a network's gateway.
pub(super) fn gateway(at: &Cursor<'_>) -> Result<GatewayAddress, Error> {
    let expected = "\"namespace/hostname\" or \"network/ip\"; the network without a name is empty, as in /10.0.0.1";
    let object = at.object(
        "a mapping with destination and hboneMtlsPort",
        &["destination", "hboneMtlsPort"],
    )?;
    let destination = object.required("destination", expected, |at| {
        let text = at.text(expected)?;
        parse_network_host(text)
            .map(GatewayDestination::Address)
            .or_else(|| parse_service_key(text).map(GatewayDestination::Service))
            .ok_or_else(|| at.unexpected(expected))
    })?;
    let hbone_port = object
        .optional("hboneMtlsPort", port)?
        .map_or(HBONE_PORT, std::num::NonZeroU16::get);
    Ok(GatewayAddress {
        destination,
        hbone_port,
    })
}

fn application_tunnel(at: &Cursor<'_>) -> Result<ApplicationTunnel, Error> {
    let object = at.object("a mapping with protocol and port", &["protocol", "port"])?;
    let protocols = [
        ("PROXY", ApplicationProtocol::Proxy),
        ("NONE", ApplicationProtocol::None),
    ];
    Ok(ApplicationTunnel {
        protocol: object.required("protocol", "PROXY or NONE", |at| choice(at, &protocols))?,
        port: object.nullable("port", port)?,
    })
}

fn workload_type(at: &Cursor<'_>) -> Result<WorkloadType, Error> {
    choice(
        at,
        &[
            ("deployment", WorkloadType::Deployment),
            ("cronjob", WorkloadType::CronJob),
            ("pod", WorkloadType::Pod),
            ("job", WorkloadType::Job),
        ],
    )
}

fn locality(at: &Cursor<'_>) -> Result<Locality, Error> {
    let object = at.object(
        "a mapping with region, zone and subzone",
        &["region", "zone", "subzone"],
    )?;
    Ok(Locality {
        region: object.optional("region", label)?.unwrap_or_default(),
        zone: object.optional("zone", label)?.unwrap_or_default(),
        subzone: object.optional("subzone", label)?.unwrap_or_default(),
    })
}
