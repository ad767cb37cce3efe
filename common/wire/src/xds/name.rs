//! How workload xDS names resources.
//!
//! | resource | name | also asked for as |
//! |---|---|---|
//! | workload | its uid, for pods `<cluster>//Pod/<namespace>/<name>` | `<network>/<ip>` |
//! | service | `<namespace>/<hostname>` | `<network>/<ip>` |
//! | policy | `<namespace>/<name>` | |
//! | route table | `<namespace>/<hostname>:<port>` | |
//! | backend policy | `<namespace>/<hostname>` or `<namespace>/<hostname>/<subset>` | |
//! | settings of a waypoint | `<namespace>/<gateway>` | |

use std::net::IpAddr;

use mesh::{
    PolicyKey, Resource, ResourceKey, ServiceKey, Uid, WaypointKey, backend::BackendKey,
    route::RouteKey, service::GatewayDestination,
};

use crate::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, BACKEND_POLICY_TYPE, ROUTE_TABLE_TYPE, SETTINGS_TYPE,
};

/// The name by which whatever has an address is asked for: `<network>/<ip>`.
#[must_use]
pub fn address(network: &str, ip: IpAddr) -> String {
    format!("{network}/{}", ip.to_canonical())
}

/// A service's name: `<namespace>/<hostname>`.
#[must_use]
pub fn service(namespace: &str, hostname: &str) -> String {
    format!("{namespace}/{}", hostname.to_ascii_lowercase())
}

/// The uid of a pod: `<cluster>//Pod/<namespace>/<name>`.
#[must_use]
pub fn pod(cluster: &str, namespace: &str, name: &str) -> String {
    format!("{cluster}//Pod/{namespace}/{name}")
}

/// The name by which the waypoint or gateway itself is asked for.
#[must_use]
pub fn gateway(destination: &GatewayDestination) -> String {
    match destination {
        GatewayDestination::Address(at) => address(&at.network, at.ip),
        GatewayDestination::Service(key) => service(&key.namespace, &key.hostname),
    }
}

/// The name of a resource.
#[must_use]
pub fn of(key: &ResourceKey) -> String {
    match key {
        ResourceKey::Workload(uid) => uid.as_str().to_owned(),
        ResourceKey::Service(key) => key.to_string(),
        ResourceKey::Authorization(key) => key.to_string(),
        ResourceKey::RouteTable(key) => key.to_string(),
        ResourceKey::BackendPolicy(key) => key.to_string(),
        ResourceKey::WaypointSettings(key) => key.to_string(),
    }
}

/// The `<network>/<ip>` names of a resource, those of ranges left out.
#[must_use]
pub fn aliases(resource: &Resource) -> Vec<String> {
    match resource {
        Resource::Workload(workload) => {
            let ips = workload.ips.iter();
            ips.map(|ip| address(&workload.network, *ip)).collect()
        }
        Resource::Service(service) => {
            let vips = service.vips.iter();
            vips.filter(|vip| vip.prefix_length.is_none())
                .map(|vip| address(&vip.network, vip.ip))
                .collect()
        }
        Resource::Authorization(_)
        | Resource::RouteTable(_)
        | Resource::BackendPolicy(_)
        | Resource::WaypointSettings(_) => Vec::new(),
    }
}

/// What the name in `removed_resources` of a response may stand for, where nothing more is known of it.
///
/// A name of type Address with exactly one slash may be a service's or a workload's, or an alias that was asked for
/// and leads nowhere; whoever removes all that it may be removes what it is. Of an unknown type: nothing.
#[must_use]
pub fn removed(type_url: &str, name: &str) -> Vec<ResourceKey> {
    let mut keys = Vec::with_capacity(2);
    match type_url {
        ADDRESS_TYPE => {
            keys.push(ResourceKey::Workload(Uid::from(name)));
            if let Some((namespace, hostname)) = name.split_once('/')
                && !hostname.contains('/')
            {
                keys.push(ResourceKey::Service(ServiceKey::new(
                    namespace,
                    hostname.to_ascii_lowercase(),
                )));
            }
        }
        AUTHORIZATION_TYPE => {
            if let Some((namespace, name)) = name.split_once('/') {
                keys.push(ResourceKey::Authorization(PolicyKey::new(namespace, name)));
            }
        }
        ROUTE_TABLE_TYPE => {
            let port = name.rsplit_once(':');
            if let Some((service, port)) = port
                && let (Some(service), Ok(port)) = (service_key(service), port.parse())
            {
                keys.push(ResourceKey::RouteTable(RouteKey::new(service, port)));
            }
        }
        BACKEND_POLICY_TYPE => {
            // Neither hostnames nor namespaces have a slash in them.
            let mut parts = name.splitn(3, '/');
            if let (Some(namespace), Some(hostname)) = (parts.next(), parts.next()) {
                let service = ServiceKey::new(namespace, hostname.to_ascii_lowercase());
                let subset = parts.next().unwrap_or_default();
                keys.push(ResourceKey::BackendPolicy(BackendKey::new(service, subset)));
            }
        }
        SETTINGS_TYPE => {
            if let Some((namespace, gateway)) = name.split_once('/') {
                let key = WaypointKey::new(namespace, gateway);
                keys.push(ResourceKey::WaypointSettings(key));
            }
        }
        _ => {}
    }
    keys
}

/// `<namespace>/<hostname>`, the hostname in lower case.
fn service_key(name: &str) -> Option<ServiceKey> {
    let (namespace, hostname) = name.split_once('/')?;
    Some(ServiceKey::new(namespace, hostname.to_ascii_lowercase()))
}
