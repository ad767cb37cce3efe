//! The nouns of the mesh and the snapshot that holds them.
//!
//! In: values that were parsed and validated elsewhere (`control`, `wire`).
//! Out: immutable [`Snapshot`]s and lookups in them.
//! Never: I/O, tasks, clocks, protobuf, Kubernetes types.
//!
//! Reading order: [`name`] (the vocabulary of identifiers), [`spiffe`], [`workload`], [`service`],
//! [`authorization`], then [`snapshot`] (the index), [`delta`] (how it changes), [`endpoints`] (whom a
//! service leads to), [`policy`] (how authorization is compiled) and [`pmap`] (what all of it is made of). For waypoints:
//! [`route`] (where requests go), [`backend`] (what is done with endpoints) and [`settings`].

#![forbid(unsafe_code)]

pub mod access;
pub mod authorization;
pub mod backend;
pub mod delta;
pub mod endpoints;
pub mod name;
pub mod pmap;
pub mod policy;
pub mod route;
pub mod service;
pub mod settings;
pub mod snapshot;
pub mod spiffe;
pub mod waypoint;
pub mod workload;

pub use authorization::{Authorization, PolicyKey};
pub use delta::{Delta, Resource, ResourceKey};
pub use endpoints::Endpoints;
pub use name::{
    ClusterId, Hostname, Name, Namespace, Network, NodeName, ServiceAccount, TrustDomain, Uid,
};
pub use service::{Service, ServiceKey};
pub use snapshot::Snapshot;
pub use spiffe::{San, SpiffeId};
pub use waypoint::WaypointKey;
pub use workload::Workload;
