//! What is done to a request or a response on its way, each step by itself.
//!
//! In: heads, bodies, and what a route says of them. Out: changed heads and bodies, or an answer in the place of the
//! backend's. Never: chooses a route or an endpoint, sends anything but copies that nobody waits for.
//!
//! The order in which they are applied stands in [`crate::request`]. By it: [`connection`], [`envoy`], [`normalize`],
//! [`grpc_web`], [`fault`], [`cors`], [`edits`], [`affinity`], [`mirror`], [`grpc_timeout`].

pub mod affinity;
pub(crate) mod base64;
pub mod connection;
pub mod cors;
pub mod edits;
pub mod envoy;
pub mod fault;
pub mod grpc_timeout;
pub mod grpc_web;
pub mod mirror;
pub mod normalize;
