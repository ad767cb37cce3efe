//! Answers: what to do with a connection, given a snapshot of the mesh.
//!
//! In: a [`mesh::Snapshot`] and the facts of one connection. Out: plans, verdicts and refusals, as values.
//! Never: awaits, opens a socket, reads a clock or a random source; what is random or the time is an argument.
//!
//! Reading order: [`outbound`] (where a connection of a local pod goes), [`authorize`] (whether policies
//! allow one to reach a pod), [`inbound`] (whether one that has arrived may go on).

#![forbid(unsafe_code)]

pub mod authorize;
pub mod inbound;
pub mod outbound;
