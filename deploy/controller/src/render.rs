//! Objects to resources: pure functions, one resource each.
//!
//! In: an object, what the index found for it, and [`mesh::Mesh`]. Out: messages as they go over the wire, and
//! conditions. Never: looks for objects, keeps anything.

pub mod access;
pub mod authentication;
pub mod dump;
pub mod entry;
pub mod mesh;
pub mod policy;
pub mod ports;
pub mod routing;
pub mod service;
pub mod slice;
pub mod waypoint;
pub mod workload;

#[cfg(test)]
pub(crate) mod tests;
