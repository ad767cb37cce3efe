//! Who we say that we are.

use std::collections::BTreeMap;

use prost_types::{Struct, Value, value::Kind};
use wire::proto::{
    ADDRESS_TYPE, AUTHORIZATION_TYPE, BACKEND_POLICY_TYPE, ROUTE_TABLE_TYPE, SETTINGS_TYPE,
    discovery,
};

/// What a proxy is, by which it asks for types of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// A ztunnel.
    #[default]
    NodeProxy,
    /// A waypoint.
    Waypoint,
}

impl Role {
    /// The types in the order in which they are asked for: what holds for a workload before the workload.
    pub(super) fn types(self) -> &'static [&'static str] {
        match self {
            Self::NodeProxy => &[AUTHORIZATION_TYPE, ADDRESS_TYPE],
            Self::Waypoint => &[
                SETTINGS_TYPE,
                BACKEND_POLICY_TYPE,
                ROUTE_TABLE_TYPE,
                AUTHORIZATION_TYPE,
                ADDRESS_TYPE,
            ],
        }
    }

    /// How xDS calls it. Source: Istio, the first part of a node's id.
    fn name(self) -> &'static str {
        match self {
            Self::NodeProxy => "ztunnel",
            Self::Waypoint => "waypoint",
        }
    }
}

/// A proxy, as the control plane is told of it. It is a hint: what may be seen follows from the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub role: Role,
    /// Our pod. Source: `POD_NAME`.
    pub pod: String,
    /// Its namespace. Source: `POD_NAMESPACE`.
    pub namespace: String,
    /// Its address. Source: `INSTANCE_IP`.
    pub instance_ip: String,
    /// The node that it runs on. Source: `NODE_NAME`.
    pub node_name: String,
    /// More metadata; it cannot replace the four above. Source: `ISTIO_METAJSON_*`, without the prefix.
    pub metadata: BTreeMap<String, String>,
}

impl Node {
    /// The message of a stream's first request of a type.
    pub(super) fn message(&self) -> discovery::Node {
        let text = |text: &str| Value {
            kind: Some(Kind::StringValue(text.to_owned())),
        };
        let own = [
            ("NAME", &self.pod),
            ("NAMESPACE", &self.namespace),
            ("INSTANCE_IPS", &self.instance_ip),
            ("NODE_NAME", &self.node_name),
        ];
        let more = self
            .metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value));
        discovery::Node {
            id: format!(
                "{}~{}~{}.{}~{}.svc.cluster.local",
                self.role.name(),
                self.instance_ip,
                self.pod,
                self.namespace,
                self.namespace
            ),
            metadata: Some(Struct {
                fields: more
                    .chain(own)
                    .map(|(key, value)| (key.to_owned(), text(value)))
                    .collect(),
            }),
            ..discovery::Node::default()
        }
    }
}
