//! Resources of workload xDS: protobuf to nouns of the mesh.
//!
//! In: messages of [`crate::proto::workload`], [`crate::proto::security`] and [`crate::proto::waypoint`].
//! Out: validated [`mesh::Resource`]s, or an error that names resource, field, what was found and what was expected.
//! Never: the protocol that carries them, a lookup in the mesh, a guess that would let more in than was meant.
//!
//! What is absent gets the default that Istio's proxies give it. A number that a newer control plane gave a meaning
//! is read as the harmless neighbour where there is one, and is an error where it would open a policy, lead around a
//! waypoint or send in plain text what was to be encrypted.
//!
//! Reading order: [`name`] (how resources are named), `workload`, `service` and `gateway`, `authorization`, `route`,
//! `access` (policies of layer 7), `backend`, `settings`; `field` holds the scalars, `names` shares equal texts.

use std::sync::Arc;

use mesh::{
    Authorization, Name, Resource, ResourceKey, Service, Workload, backend::BackendPolicy,
    route::RouteTable, settings::WaypointSettings,
};
use prost::Message as _;

use crate::proto::{self, discovery, security, waypoint, workload::address};

mod access;
mod authorization;
mod backend;
mod error;
mod field;
mod gateway;
pub mod name;
mod names;
mod route;
mod service;
mod settings;
mod workload;

pub use error::Error;
use error::Fault;
use names::Names;

/// Reads resources one after the other and lets equal names share their memory.
///
/// **Shape**: what it remembers is bounded, and forgetting it changes no result.
#[derive(Debug, Default)]
pub struct Decoder {
    names: Names,
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what a response of type `type_url` carries. Source: xDS, `Resource.resource`.
    ///
    /// # Errors
    /// When it is not a message of that type, or the message is invalid.
    pub fn resource(
        &mut self,
        type_url: &str,
        resource: &discovery::Resource,
    ) -> Result<Resource, Error> {
        let named = || error::quoted(&resource.name);
        let Some(any) = &resource.resource else {
            return Err(Fault::missing("resource", "a message").of(named()));
        };
        if any.type_url != type_url {
            let expected = "the type of the response";
            let found = error::quoted(&any.type_url);
            return Err(Fault::new("resource.type_url", found, expected).of(named()));
        }
        let malformed = |message, source| Error::Malformed {
            resource: named(),
            message,
            source,
        };
        match type_url {
            proto::ADDRESS_TYPE => {
                // Bytes are shared with the response, not copied.
                let address = proto::workload::Address::decode(any.value.clone())
                    .map_err(|source| malformed("istio.workload.Address", source))?;
                match address.r#type {
                    Some(address::Type::Workload(read)) => {
                        Ok(Resource::Workload(self.workload(read)?.into()))
                    }
                    Some(address::Type::Service(read)) => {
                        Ok(Resource::Service(self.service(read)?.into()))
                    }
                    None => Err(Fault::missing("type", "a workload or a service").of(named())),
                }
            }
            proto::AUTHORIZATION_TYPE => {
                let read = security::Authorization::decode(any.value.clone())
                    .map_err(|source| malformed("istio.security.Authorization", source))?;
                Ok(Resource::Authorization(self.authorization(read)?.into()))
            }
            proto::ROUTE_TABLE_TYPE => {
                let read = waypoint::RouteTable::decode(any.value.clone())
                    .map_err(|source| malformed("ambit.waypoint.v1.RouteTable", source))?;
                Ok(Resource::RouteTable(self.route_table(&read)?.into()))
            }
            proto::BACKEND_POLICY_TYPE => {
                let read = waypoint::BackendPolicy::decode(any.value.clone())
                    .map_err(|source| malformed("ambit.waypoint.v1.BackendPolicy", source))?;
                Ok(Resource::BackendPolicy(self.backend_policy(&read)?.into()))
            }
            proto::SETTINGS_TYPE => {
                let read = waypoint::Settings::decode(any.value.clone())
                    .map_err(|source| malformed("ambit.waypoint.v1.Settings", source))?;
                Ok(Resource::WaypointSettings(self.settings(&read)?.into()))
            }
            other => {
                let expected = "istio.workload.Address or istio.security.Authorization";
                Err(Fault::new("type_url", error::quoted(other), expected).of(named()))
            }
        }
    }

    /// Reads a workload.
    ///
    /// # Errors
    /// When a field is invalid.
    pub fn workload(&mut self, read: proto::workload::Workload) -> Result<Workload, Error> {
        let resource = format!("workload {}", error::quoted(&read.uid));
        workload::read(read, &mut self.names).map_err(|fault| fault.of(resource))
    }

    /// Reads a service.
    ///
    /// # Errors
    /// When a field is invalid.
    pub fn service(&mut self, read: proto::workload::Service) -> Result<Service, Error> {
        let name = format!("{}/{}", read.namespace, read.hostname);
        let resource = format!("service {}", error::quoted(&name));
        service::read(read, &mut self.names).map_err(|fault| fault.of(resource))
    }

    /// Reads a policy.
    ///
    /// # Errors
    /// When a field is invalid, or holds a condition that cannot be judged.
    pub fn authorization(&mut self, read: security::Authorization) -> Result<Authorization, Error> {
        let name = format!("{}/{}", read.namespace, read.name);
        let resource = format!("policy {}", error::quoted(&name));
        authorization::read(read, &mut self.names).map_err(|fault| fault.of(resource))
    }
}

impl Decoder {
    /// Reads the routes of one port of a service.
    ///
    /// # Errors
    /// When a field is invalid.
    pub fn route_table(&mut self, read: &waypoint::RouteTable) -> Result<RouteTable, Error> {
        let name = format!("{}:{}", read.service, read.port);
        let resource = format!("route table {}", error::quoted(&name));
        route::read(read, &mut self.names).map_err(|fault| fault.of(resource))
    }

    /// Reads what is done with the endpoints of a service or subset.
    ///
    /// # Errors
    /// When a field is invalid.
    pub fn backend_policy(
        &mut self,
        read: &waypoint::BackendPolicy,
    ) -> Result<BackendPolicy, Error> {
        let name = match &*read.subset {
            "" => read.service.clone(),
            subset => format!("{}/{subset}", read.service),
        };
        let resource = format!("backend policy {}", error::quoted(&name));
        backend::read(read, &mut self.names).map_err(|fault| fault.of(resource))
    }

    /// Reads the settings of one waypoint.
    ///
    /// # Errors
    /// When a field is invalid.
    pub fn settings(&mut self, read: &waypoint::Settings) -> Result<WaypointSettings, Error> {
        let name = format!("{}/{}", read.namespace, read.gateway);
        let resource = format!("settings {}", error::quoted(&name));
        settings::read(read, &mut self.names).map_err(|fault| fault.of(resource))
    }
}

/// Reads one workload; [`Decoder::workload`] for many.
///
/// # Errors
/// When a field is invalid.
pub fn workload(read: proto::workload::Workload) -> Result<Workload, Error> {
    Decoder::new().workload(read)
}

/// Reads one service; [`Decoder::service`] for many.
///
/// # Errors
/// When a field is invalid.
pub fn service(read: proto::workload::Service) -> Result<Service, Error> {
    Decoder::new().service(read)
}

/// Reads one policy; [`Decoder::authorization`] for many.
///
/// # Errors
/// When a field is invalid, or holds a condition that cannot be judged.
pub fn authorization(read: security::Authorization) -> Result<Authorization, Error> {
    Decoder::new().authorization(read)
}

/// What is in force in the place of a resource that cannot be read. `None`: the last good one, or nothing.
///
/// It closes and never opens. A port whose routes cannot be read, and were never read, answers every request as one whose
/// policies cannot be enforced; and so does one, or a whole waypoint, of which as much can be read as that there is
/// such a policy now, whatever was in force before.
#[must_use]
pub fn placeholder(
    type_url: &str,
    resource: &discovery::Resource,
    is_known: bool,
) -> Option<Resource> {
    let content = resource.resource.as_ref().map(|any| any.value.clone());
    let content = content.unwrap_or_default();
    let policies = |names: Vec<String>| -> Vec<Name> {
        let readable = names
            .iter()
            .filter_map(|name| field::name("unenforced", name).ok());
        readable.map(Name::from).collect()
    };
    name::removed(type_url, &resource.name)
        .into_iter()
        .find_map(|key| match key {
            ResourceKey::RouteTable(key) => {
                let read = waypoint::RouteTable::decode(content.clone()).unwrap_or_default();
                let mut table = RouteTable::new(key);
                table.unenforced = policies(read.unenforced);
                if table.unenforced.is_empty() {
                    if is_known {
                        return None;
                    }
                    table.unenforced.push("routes that cannot be read".into());
                }
                Some(Resource::RouteTable(table.into()))
            }
            ResourceKey::WaypointSettings(key) => {
                let read = waypoint::Settings::decode(content.clone()).unwrap_or_default();
                let unenforced = policies(read.unenforced);
                if unenforced.is_empty() {
                    // Without settings a waypoint serves nobody.
                    return None;
                }
                Some(Resource::WaypointSettings(Arc::new(WaypointSettings {
                    unenforced,
                    // It is to be heard that it is refused, and why.
                    serves_services: true,
                    serves_workloads: true,
                    ..WaypointSettings::new(key.namespace, key.gateway)
                })))
            }
            ResourceKey::Workload(_)
            | ResourceKey::Service(_)
            | ResourceKey::Authorization(_)
            | ResourceKey::BackendPolicy(_) => None,
        })
}

#[cfg(test)]
mod tests;
