//! ztunnel: the node proxy of the mesh, as a library; the binary beside it only starts it.
//!
//! Reading order: [`app`] (what is started and in which order), [`capture`] (pods and their connections),
//! [`outbound`] and [`inbound`] (the stages of a connection), [`neighbour`] (pods of the same node), [`relay`] (the last stage), [`dns`].

#![forbid(unsafe_code)]

pub mod app;
pub mod capture;
pub mod config;
pub mod connections;
pub mod dns;
pub mod dump;
pub mod head;
pub mod inbound;
pub mod neighbour;
pub mod outbound;
pub mod pod;
pub mod proxy;
mod relay;
pub mod revocation;
pub mod source;
