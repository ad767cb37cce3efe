//! Configuration in: sources of resources and the one publisher of snapshots.
//!
//! In: a local file of workloads, services and policies, or a control plane that speaks workload xDS.
//! Out: immutable [`mesh::Snapshot`]s that every thread of the data path reads through a [`publish::View`].
//! Never: decides about a connection, reads the environment, keeps configuration that failed to validate.
//!
//! Reading order: [`publish`] (who writes, who reads), [`mod@file`] (the local file), [`xds`] (the control plane).
//! The format of the file, field by field, is in this crate's README.

#![forbid(unsafe_code)]

pub mod file;
pub mod metrics;
pub mod publish;
pub mod xds;

pub use publish::{Publisher, View};
