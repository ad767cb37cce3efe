//! `istio.workload.Workload`.

use std::{collections::HashMap, net::IpAddr};

use mesh::{
    Hostname, Name, PolicyKey, ServiceKey, Uid, Workload,
    workload::{
        ApplicationProtocol, ApplicationTunnel, Health, Locality, NetworkMode, Tunnel, WorkloadType,
    },
};
use prost::Message as _;

use super::{
    error::{Fault, each},
    field, gateway,
    names::Names,
};
use crate::proto::{SUBSETS_EXTENSION, SUBSETS_TYPE, waypoint::Subsets, workload as proto};

/// Reads a workload.
///
/// It may have no address: it is then behind a gateway, or its hostname is resolved.
pub(super) fn read(read: proto::Workload, names: &mut Names) -> Result<Workload, Fault> {
    Ok(Workload {
        uid: Uid::from(field::name("uid", &read.uid)?),
        name: field::label("name", &read.name)?.into(),
        // A gateway that nobody knows more of than its address has none; its identity then matches no certificate.
        namespace: names
            .namespaces
            .share(field::segment("namespace", &read.namespace)?),
        service_account: match field::segment("service_account", &read.service_account)? {
            "" => names.service_accounts.share("default"),
            account => names.service_accounts.share(account),
        },
        trust_domain: names
            .trust_domains
            .share(field::trust_domain("trust_domain", &read.trust_domain)?),
        network: names
            .networks
            .share(field::network("network", &read.network)?),
        ips: addresses(&read.addresses)?,
        hostname: if read.hostname.is_empty() {
            Hostname::default()
        } else {
            names
                .hostnames
                .share(&field::hostname("hostname", &read.hostname)?)
        },
        tunnel: tunnel(read.tunnel_protocol)?,
        native_tunnel: read.native_tunnel,
        application_tunnel: read
            .application_tunnel
            .map(|tunnel| {
                application_tunnel(tunnel).map_err(|fault| fault.within("application_tunnel"))
            })
            .transpose()?,
        network_mode: network_mode(read.network_mode)?,
        node: names.nodes.share(field::label("node", &read.node)?),
        canonical_name: names
            .labels
            .share(field::label("canonical_name", &read.canonical_name)?),
        canonical_revision: names.labels.share(field::label(
            "canonical_revision",
            &read.canonical_revision,
        )?),
        workload_name: names
            .labels
            .share(field::label("workload_name", &read.workload_name)?),
        workload_type: workload_type(read.workload_type),
        cluster: names
            .clusters
            .share(field::label("cluster_id", &read.cluster_id)?),
        locality: locality(read.locality.as_ref(), names)
            .map_err(|fault| fault.within("locality"))?,
        health: health(read.status),
        capacity: read.capacity.unwrap_or(1),
        waypoint: gateway::optional("waypoint", read.waypoint.as_ref(), names)?,
        network_gateway: gateway::optional(
            "network_gateway",
            read.network_gateway.as_ref(),
            names,
        )?,
        authorization_policies: each(
            "authorization_policies",
            &read.authorization_policies,
            |text| {
                // One that is left out would not be enforced.
                let (namespace, name) = field::policy("", text)?;
                Ok(PolicyKey {
                    namespace: names.namespaces.share(namespace),
                    name: names.labels.share(name),
                })
            },
        )?,
        services: {
            let mut services = HashMap::with_capacity(read.services.len());
            for (key, list) in &read.services {
                let (namespace, hostname) = field::namespaced_hostname("services", key)?;
                let ports = gateway::ports(&list.ports)
                    .map_err(|fault| fault.within(&field::entry("services", key)))?;
                services.insert(names.service(namespace, &hostname), ports);
            }
            services
        },
        subsets: subsets(&read.extensions, names)?,
    })
}

/// The extension that only waypoints are sent. Others are for other readers.
fn subsets(read: &[proto::Extension], names: &mut Names) -> Result<Vec<(ServiceKey, Name)>, Fault> {
    let mut subsets = Vec::new();
    for extension in read.iter().filter(|it| it.name == SUBSETS_EXTENSION) {
        let config = extension.config.as_ref();
        let message = config
            .filter(|config| config.type_url == SUBSETS_TYPE)
            .and_then(|config| Subsets::decode(config.value.clone()).ok())
            .ok_or_else(|| {
                Fault::missing(
                    "extensions[\"ambit.waypoint.v1.Subsets\"]",
                    "a message of that type",
                )
            })?;
        for membership in &message.memberships {
            let (namespace, hostname) =
                field::namespaced_hostname("memberships.service", &membership.service)?;
            let service = names.service(namespace, &hostname);
            for subset in &membership.subsets {
                let subset = names
                    .labels
                    .share(field::name("memberships.subsets", subset)?);
                subsets.push((service.clone(), subset));
            }
        }
    }
    subsets.sort_unstable();
    subsets.dedup();
    Ok(subsets)
}

/// Each address once.
fn addresses(read: &[bytes::Bytes]) -> Result<Vec<IpAddr>, Fault> {
    let mut ips: Vec<IpAddr> = Vec::with_capacity(read.len());
    for ip in each("addresses", read, |bytes| field::ip("", bytes))? {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    Ok(ips)
}

/// A tunnel that is not known would be sent around, in plain text: an error. That of sidecars is not spoken here,
/// and its ports take plain text too.
fn tunnel(number: i32) -> Result<Tunnel, Fault> {
    match field::choice(
        "tunnel_protocol",
        number,
        "NONE, HBONE or LEGACY_ISTIO_MTLS",
    )? {
        proto::TunnelProtocol::None | proto::TunnelProtocol::LegacyIstioMtls => Ok(Tunnel::None),
        proto::TunnelProtocol::Hbone => Ok(Tunnel::Hbone),
    }
}

fn application_tunnel(read: proto::ApplicationTunnel) -> Result<ApplicationTunnel, Fault> {
    use proto::application_tunnel::Protocol;
    Ok(ApplicationTunnel {
        protocol: match field::choice("protocol", read.protocol, "NONE or PROXY")? {
            Protocol::None => ApplicationProtocol::None,
            Protocol::Proxy => ApplicationProtocol::Proxy,
        },
        port: field::optional_port("port", read.port)?,
    })
}

/// Guessed wrong, a node's address would become one workload's.
fn network_mode(number: i32) -> Result<NetworkMode, Fault> {
    match field::choice("network_mode", number, "STANDARD or HOST_NETWORK")? {
        proto::NetworkMode::Standard => Ok(NetworkMode::Standard),
        proto::NetworkMode::HostNetwork => Ok(NetworkMode::HostNetwork),
    }
}

/// It labels metrics only, so a later kind is tolerated.
fn workload_type(number: i32) -> WorkloadType {
    match proto::WorkloadType::try_from(number) {
        Ok(proto::WorkloadType::Deployment) | Err(_) => WorkloadType::Deployment,
        Ok(proto::WorkloadType::Cronjob) => WorkloadType::CronJob,
        Ok(proto::WorkloadType::Pod) => WorkloadType::Pod,
        Ok(proto::WorkloadType::Job) => WorkloadType::Job,
    }
}

/// A status of a later version is not the healthy one.
fn health(number: i32) -> Health {
    match proto::WorkloadStatus::try_from(number) {
        Ok(proto::WorkloadStatus::Healthy) => Health::Healthy,
        Ok(proto::WorkloadStatus::Unhealthy) | Err(_) => Health::Unhealthy,
    }
}

fn locality(read: Option<&proto::Locality>, names: &mut Names) -> Result<Locality, Fault> {
    let Some(read) = read else {
        return Ok(Locality::default());
    };
    Ok(Locality {
        region: names.labels.share(field::label("region", &read.region)?),
        zone: names.labels.share(field::label("zone", &read.zone)?),
        subzone: names.labels.share(field::label("subzone", &read.subzone)?),
    })
}
