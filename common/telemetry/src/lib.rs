//! What the mesh says about itself: one vocabulary of connection events, and its readers.
//!
//! In: facts about connections and requests from the stages of a proxy, and how they ended.
//! Out: metrics of layers 4 and 7, access logs, process logs, and the admin, metrics and readiness endpoints.
//! Never: decides anything about a connection, reads the environment, knows HBONE or certificates.
//!
//! Reading order: [`event`] (the vocabulary), [`connection`] (who reports), [`metrics`] and [`logging`]
//! (the readers), [`admin`] (the endpoints); for layer 7 [`http`], [`mod@format`] and [`trace`].

#![forbid(unsafe_code)]

pub mod admin;
pub mod connection;
pub mod event;
pub mod format;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod trace;

mod access;
mod recorder;
#[cfg(test)]
mod testkit;

pub use connection::{ByteCounters, OpenConnection};
pub use event::{Connection, Direction, HboneAddress, Outcome, Reason, Security};
pub use logging::{Format, Logging};
pub use recorder::{Build, SocketGuard, Telemetry};
