//! What the programs in the kernel and their loader agree on: structs in maps, names, and what is decided about a
//! connection.
//!
//! In: nothing but numbers. Out: layouts that are asserted here, and verdicts.
//! Never: a pointer, an allocation, a clock; a struct with padding, whose bytes the kernel would compare.
//!
//! The programs call [`hooks::judge`], [`options::judge`] and [`steer::judge`]; they are plain functions, so that tests on any machine
//! see what the kernel will do. Words of addresses stand as they do in packets (network order), ports as numbers.
#![no_std]

pub mod address;
pub mod hooks;
pub mod names;
pub mod options;
pub mod ports;
pub mod steer;

pub use address::Address;
pub use hooks::PodConfig;
pub use ports::{PortRange, Ports};
pub use steer::SteerConfig;

#[cfg(feature = "user")]
mod user;

/// Where tunnels end: what comes to it is the proxy's. Source: HBONE, Istio's port.
pub const PORT_HBONE: u16 = 15008;
/// The port of DNS.
pub const PORT_DNS: u16 = 53;
/// The number of `lo` in every network namespace.
pub const LO: u32 = 1;

#[cfg(test)]
mod tests;
