//! `gateway.networking.k8s.io` Gateway and GatewayClass, as far as waypoints and gateways of the mesh need them.

use super::{LabelSelector, Meta};

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
}
