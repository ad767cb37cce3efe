//! The control plane: Kubernetes and Istio manifests in, workload xDS and certificates out.
//!
//! Reading order: [`objects`] (what every source delivers), then the path of a change.

#![forbid(unsafe_code)]

pub mod admin;
pub mod ambientz;
pub mod app;
pub mod ca;
pub mod cli;
pub mod index;
pub mod metrics;
pub mod objects;
pub mod output;
pub mod publish;
mod quota;
pub mod read;
pub mod render;
pub mod serve;
pub mod source;
pub mod status;
pub mod token;
mod words;
pub mod xds;
