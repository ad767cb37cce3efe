//! What all resources of one mesh share: names and defaults.

use std::net::IpAddr;

use bytes::Bytes;
use wire::proto::workload::NetworkAddress;

use crate::objects::{Labels, MeshConfig, Namespace, Visibility};

/// The label that Kubernetes sets on every namespace.
pub(super) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The settings of the mesh that a rendering depends on.
#[derive(Clone, Copy, Debug)]
pub struct Mesh<'a> {
    /// The cluster's id: `Kubernetes` by default.
    pub cluster: &'a str,
    /// The domain of Kubernetes Services: `cluster.local` by default.
    pub domain: &'a str,
    /// The network of what does not name one.
    pub network: &'a str,
    /// MeshConfig.
    pub config: &'a MeshConfig,
}

impl Mesh<'_> {
    /// `<name>.<namespace>.svc.<domain>`.
    #[must_use]
    pub fn hostname(&self, namespace: &str, name: &str) -> String {
        format!("{name}.{namespace}.svc.{}", self.domain)
    }

    /// The trust domain as it goes over the wire: `cluster.local` is left out.
    #[must_use]
    pub fn trust_domain(&self) -> String {
        match self.config.trust_domain.as_str() {
            "cluster.local" => String::new(),
            other => other.to_owned(),
        }
    }

    /// Whether only the namespace of that name, of which `object` is there, knows of its ServiceEntries. `NONE`
    /// comes to the same: the wire has no word for it.
    #[must_use]
    pub fn has_private_entries(&self, name: &str, object: Option<&Namespace>) -> bool {
        let mut labels = object.map_or_else(Labels::new, |it| it.meta.labels.clone());
        let known = labels.entry(NAMESPACE_NAME.to_owned());
        known.or_insert_with(|| name.to_owned());
        match self.config.entry_visibility.of(&labels) {
            Visibility::Public => false,
            Visibility::Namespace | Visibility::None => true,
        }
    }

    /// An address within the mesh's own network.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> NetworkAddress {
        NetworkAddress {
            network: self.network.to_owned(),
            address: octets(address),
            length: None,
        }
    }
}

/// 4 or 16 bytes.
pub(crate) fn octets(address: IpAddr) -> Bytes {
    match address {
        IpAddr::V4(address) => Bytes::copy_from_slice(&address.octets()),
        IpAddr::V6(address) => Bytes::copy_from_slice(&address.octets()),
    }
}

/// The names of resources. Sources: Istio's ambient index.
pub mod uid {
    use super::Mesh;

    /// A pod.
    #[must_use]
    pub fn pod(mesh: &Mesh<'_>, namespace: &str, name: &str) -> String {
        format!("{}//Pod/{namespace}/{name}", mesh.cluster)
    }

    /// A WorkloadEntry.
    #[must_use]
    pub fn workload_entry(mesh: &Mesh<'_>, namespace: &str, name: &str) -> String {
        format!(
            "{}/networking.istio.io/WorkloadEntry/{namespace}/{name}",
            mesh.cluster
        )
    }

    /// An endpoint of a ServiceEntry, by its address or host.
    #[must_use]
    pub fn service_entry(mesh: &Mesh<'_>, namespace: &str, name: &str, address: &str) -> String {
        format!(
            "{}/networking.istio.io/ServiceEntry/{namespace}/{name}/{address}",
            mesh.cluster
        )
    }

    /// An endpoint of an EndpointSlice that is no pod.
    #[must_use]
    pub fn slice(mesh: &Mesh<'_>, namespace: &str, name: &str, address: &str) -> String {
        format!(
            "{}/discovery.k8s.io/EndpointSlice/{namespace}/{name}/{address}",
            mesh.cluster
        )
    }
}
