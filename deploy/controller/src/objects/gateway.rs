//! `gateway.networking.k8s.io` Gateway and GatewayClass, as far as waypoints and gateways of the mesh need them.

use super::{GatewayTopology, LabelSelector, Meta};

/// A gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gateway {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.gatewayClassName`.
    pub class: String,
    /// `spec.listeners`.
    pub listeners: Vec<Listener>,
    /// `spec.addresses`: given by people.
    pub addresses: Vec<GatewayAddressValue>,
    /// `status.addresses`: where it is reached now.
    pub status_addresses: Vec<GatewayAddressValue>,
    /// What its annotations switch on.
    pub clients: ClientSwitches,
    /// `gatewayTopology` of the annotation `proxy.istio.io/config`: of `spec.infrastructure.annotations`, else its own. One that cannot
    /// be read, with the reason.
    pub topology: Option<Result<GatewayTopology, String>>,
}

/// What annotations of a Gateway, or of its class, say about clients. Each is `None` where it is absent; one that is neither `true` nor
/// `false`, with the reason: it is off then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSwitches {
    /// `ambient.istio.io/xfcc-include-client-identity`: applications are told who the client is (ID-12).
    pub include_client_certificate: Option<Result<bool, String>>,
    /// `ambit.dev/tell-client`: destinations are told who the client is, on the CONNECT.
    pub tell_client: Option<Result<bool, String>>,
}

/// `spec.listeners[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// `name`.
    pub name: String,
    /// `port`.
    pub port: u16,
    /// `protocol`, as written: `HBONE`, `HTTP`, `TLS`...
    pub protocol: String,
    /// `allowedRoutes.namespaces`.
    pub allowed: AllowedNamespaces,
}

/// `allowedRoutes.namespaces`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AllowedNamespaces {
    /// `Same`.
    #[default]
    Same,
    /// `All`.
    All,
    /// `Selector`: namespaces with such labels.
    Selector(LabelSelector),
}

/// An address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayAddressValue {
    /// `type: IPAddress`.
    Ip(std::net::IpAddr),
    /// `type: Hostname`.
    Hostname(String),
}

/// A class of gateways.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayClass {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.controllerName`.
    pub controller: String,
    /// What its annotations switch on for its Gateways that say nothing themselves.
    pub clients: ClientSwitches,
}
