//! Why a connection is not made.

use mesh::{
    Hostname, Network, ServiceKey, Uid,
    service::{GatewayAddress, GatewayDestination},
};

/// Why a connection is not made. The texts begin as Istio's ztunnel words them, where it has them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A client dialled one of our own ports.
    #[error("attempted recursive call to ourselves")]
    SelfCall,
    /// No endpoint of a service is eligible and serves the port.
    #[error("no healthy upstream: {service}")]
    NoHealthyUpstream {
        /// The service.
        service: ServiceKey,
    },
    /// A service has no such port.
    #[error("service {service} has no port {port}")]
    UnknownPort {
        /// The service.
        service: ServiceKey,
        /// The port that was dialled.
        port: u16,
    },
    /// The name that a workload has in place of addresses has none that will do.
    #[error("dns response had no valid IP addresses: {workload} is {hostname}")]
    NoValidAddress {
        /// The workload.
        workload: Uid,
        /// What was resolved.
        hostname: Hostname,
    },
    /// Nobody is known by what a waypoint is named by.
    #[error("unknown waypoint: {waypoint}")]
    UnknownWaypoint {
        /// The waypoint.
        waypoint: GatewayDestination,
    },
    /// A workload of another network, which has no gateway.
    #[error(
        "no gateway address: {workload} is in network {network:?}, which names no network gateway"
    )]
    NoGatewayAddress {
        /// The workload.
        workload: Uid,
        /// Its network.
        network: Network,
    },
    /// A workload of another network, which has a gateway.
    #[error("{workload} is in network {network:?}: it needs double HBONE through {}", gateway.destination)]
    OtherNetwork {
        /// The workload.
        workload: Uid,
        /// Its network.
        network: Network,
        /// The way into it.
        gateway: GatewayAddress,
    },
}
