//! Sockets, namespaces and tasks: what a proxy needs of the operating system.
//!
//! In: addresses, file descriptors, options. Out: sockets, workers, relayed bytes.
//! Never: identities, policies, services or any other idea of a mesh.
//!
//! Reading order: [`netns`] and [`socket`] (where sockets are made), [`accept`] and [`worker`] (who serves
//! them), [`chunk`] and [`relay`] (how bytes move).

pub mod accept;
pub mod addresses;
pub mod chunk;
pub mod clock;
pub mod drain;
pub mod limits;
pub mod netns;
pub mod relay;
pub mod seqpacket;
pub mod socket;
pub mod worker;

pub use netns::Netns;
pub use worker::Workers;
