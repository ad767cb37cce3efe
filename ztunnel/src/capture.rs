//! How pods and their connections come to the proxy.
//!
//! Reading order: [`zds`] (the agent says which pods), [`pods`] (one is taken on or let go), [`iptables`] (rules,
//! where we write them), [`listen`] (connections).

pub mod iptables;
pub mod listen;
pub mod pods;
pub mod zds;
