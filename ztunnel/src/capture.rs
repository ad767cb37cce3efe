//! How pods and their connections come to the proxy.
//!
//! Reading order: [`zds`] (the agent says which pods), [`pods`] (one is taken on or let go), [`redirection`] (who leads
//! its connections to us: an agent's rules, [`iptables`], [`ebpf`]), [`listen`] (connections); [`uncapture`] (the way out).

pub mod ebpf;
pub mod iptables;
pub mod listen;
pub mod pods;
pub mod redirection;
pub mod uncapture;
pub mod zds;
