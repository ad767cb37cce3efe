//! The DNS proxy in each pod: answers names of the mesh, forwards everything else. And the names of workloads that
//! have no address, which connections wait for.
//!
//! In: queries on the pod's loopback, the mesh's [`Snapshot`](mesh::snapshot::Snapshot), the servers of
//! ztunnel's own `resolv.conf`. Out: answers. Never: caches what is forwarded, resolves recursively, asks from ztunnel's
//! namespace.
//!
//! Reading order: `message` (bytes to question and back), `name` (what a name may stand for), `resolve`
//! (the pure answer), `resolv_conf` and `forward` (upstream), `found` and `lookup` (names of workloads), `sockets` and
//! `server` (the loops).
//!
//! Tasks: none of its own. [`serve`] is one future that holds all queries and connections of a pod in it;
//! dropping it ends them all.

mod forward;
mod found;
mod lookup;
mod message;
mod name;
mod resolv_conf;
mod resolve;
mod server;
mod sockets;

pub use forward::{ForwardError, Upstream};
pub use lookup::{Addresses, LookupError, Resolver};
pub use resolv_conf::ResolvConf;
pub use resolve::{Answer, Client, Pending, Zone, answer};
pub use server::{Event, Observer, Server, serve};
pub use sockets::Sockets;

/// The longest message over UDP, in either direction. Source: RFC 6891 section 6.2.5, the size to start with.
pub const MAX_UDP_BYTES: usize = 4096;
/// What fits the length in front of a message over TCP. Source: RFC 1035 section 4.2.2.
pub const MAX_TCP_BYTES: usize = 65_535;
/// Forwarded queries of one pod that wait for an answer at once. Each holds a socket.
pub const MAX_IN_FLIGHT: usize = 256;
/// Connections to one listener at once. Those beyond wait in the kernel's queue.
pub const MAX_TCP_CONNECTIONS: usize = 32;
