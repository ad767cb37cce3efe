//! Answers: what to do with a connection, given a snapshot of the mesh.
//!
//! In: a [`mesh::Snapshot`] and the facts of one connection. Out: plans, verdicts and refusals, as values.
//! Never: awaits, opens a socket, reads a clock or a random source; what is random or the time is an argument.
//!
//! Reading order: [`outbound`] (where a connection of a local pod goes), [`authorize`] (whether policies
//! allow one to reach a pod), [`inbound`] (whether one that has arrived may go on). At layer 7: [`route`] (which rule a
//! request follows), [`access`] (whether policies let it pass), [`locality`], [`balance`] and [`hash`] (which endpoint it is given to), [`outlier`] (which endpoints
//! are left out), [`retry`] and [`budget`] (whether it is tried again).

#![forbid(unsafe_code)]

pub mod access;
pub mod authorize;
pub mod balance;
pub mod budget;
pub mod hash;
pub mod inbound;
pub mod limit;
pub mod locality;
pub mod outbound;
pub mod outlier;
pub mod retry;
pub mod route;
pub mod waypoint;
