//! What workloads and services share: addresses within networks, gateways, ports.

use mesh::service::{GatewayAddress, GatewayDestination, NetworkAddress, PortMap};

use super::{
    error::{Fault, each},
    field,
    names::Names,
};
use crate::proto::workload as proto;

/// The port on which HBONE ends where nothing else is said.
const HBONE_PORT: u16 = 15008;

/// An address within a network, or a range where it has a length. Source: `istio.workload.NetworkAddress`.
pub(super) fn network_address(
    read: &proto::NetworkAddress,
    names: &mut Names,
) -> Result<NetworkAddress, Fault> {
    let network = names
        .networks
        .share(field::network("network", &read.network)?);
    let Some(length) = read.length else {
        return Ok(NetworkAddress {
            network,
            ip: field::ip("address", &read.address)?,
            prefix_length: None,
        });
    };
    let range = range(&read.address, length)?;
    Ok(NetworkAddress {
        network,
        ip: range.addr(),
        prefix_length: (range.prefix_len() < range.max_prefix_len()).then(|| range.prefix_len()),
    })
}

/// An address and a prefix length, without the bits beyond it.
pub(super) fn range(address: &[u8], length: u32) -> Result<ipnet::IpNet, Fault> {
    let written = field::raw_ip("address", address)?;
    let ip = written.to_canonical();
    // The length counts from the first bit as written.
    let dropped = if written == ip { 0 } else { 96 };
    length
        .checked_sub(dropped)
        .and_then(|length| u8::try_from(length).ok())
        .and_then(|length| ipnet::IpNet::new(ip, length).ok())
        .map(|range| range.trunc())
        .ok_or_else(|| {
            let expected = "a prefix length within the address";
            Fault::new("length", format!("{length} for {written}"), expected)
        })
}

/// A waypoint or an east-west gateway. One that is not understood is an error, or its policies would be skipped.
pub(super) fn gateway(
    read: &proto::GatewayAddress,
    names: &mut Names,
) -> Result<GatewayAddress, Fault> {
    let destination = match &read.destination {
        Some(proto::gateway_address::Destination::Hostname(host)) => {
            let namespace = field::required_segment("hostname.namespace", &host.namespace)?;
            if host.hostname.is_empty() {
                return Err(Fault::missing("hostname.hostname", "a hostname"));
            }
            let hostname = field::hostname("hostname.hostname", &host.hostname)?;
            GatewayDestination::Service(names.service(namespace, &hostname))
        }
        Some(proto::gateway_address::Destination::Address(address)) => {
            let address =
                network_address(address, names).map_err(|fault| fault.within("address"))?;
            if address.prefix_length.is_some() {
                let found = "a range";
                return Err(Fault::new("address.length", found, "one address"));
            }
            GatewayDestination::Address(address)
        }
        None => return Err(Fault::missing("destination", "a hostname or an address")),
    };
    let port = field::optional_port("hbone_mtls_port", read.hbone_mtls_port)?;
    Ok(GatewayAddress {
        destination,
        hbone_port: port.map_or(HBONE_PORT, std::num::NonZeroU16::get),
    })
}

/// A gateway that may be absent, of the field `name`.
pub(super) fn optional(
    name: &str,
    read: Option<&proto::GatewayAddress>,
    names: &mut Names,
) -> Result<Option<GatewayAddress>, Fault> {
    read.map(|read| gateway(read, names).map_err(|fault| fault.within(name)))
        .transpose()
}

/// Ports; the later one of two for one service port holds. What is spoken on them plays no part here.
pub(super) fn ports(read: &[proto::Port]) -> Result<PortMap, Fault> {
    let read = each("ports", read, |port| {
        let service = field::port("service_port", port.service_port)?;
        let target = field::optional_port("target_port", port.target_port)?;
        Ok((service.get(), target.filter(|target| *target != service)))
    })?;
    Ok(PortMap(read.into_iter().collect()))
}
