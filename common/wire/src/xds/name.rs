//! How workload xDS names resources.
//!
//! | resource | name | also asked for as |
//! |---|---|---|
//! | workload | its uid, for pods `<cluster>//Pod/<namespace>/<name>` | `<network>/<ip>` |
//! | service | `<namespace>/<hostname>` | `<network>/<ip>` |
//! | policy | `<namespace>/<name>` | |

use std::net::IpAddr;

use mesh::{PolicyKey, Resource, ResourceKey, ServiceKey, Uid, service::GatewayDestination};

use crate::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE};

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
        Resource::Authorization(_) => Vec::new(),
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
        _ => {}
    }
    keys
}
