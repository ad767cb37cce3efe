//! Resources of workload xDS: protobuf to nouns of the mesh.
//!
//! In: messages of [`crate::proto::workload`] and [`crate::proto::security`].
//! Out: validated [`mesh::Resource`]s, or an error that names resource, field, what was found and what was expected.
//! Never: the protocol that carries them, a lookup in the mesh, a guess that would let more in than was meant.
//!
//! What is absent gets the default that Istio's proxies give it. A number that a newer control plane gave a meaning
//! is read as the harmless neighbour where there is one, and is an error where it would open a policy, lead around a
//! waypoint or send in plain text what was to be encrypted.
//!
//! Reading order: [`name`] (how resources are named), `workload`, `service` and `gateway`, `authorization`;
//! `field` holds the scalars, `names` shares equal texts.

use mesh::{Authorization, Resource, Service, Workload};
use prost::Message as _;

use crate::proto::{self, discovery, security, workload::address};

mod authorization;
mod error;
mod field;
mod gateway;
pub mod name;
mod names;
mod service;
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

#[cfg(test)]
mod tests;
