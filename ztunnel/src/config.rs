//! What ztunnel is told by its environment: read once, checked as a whole, split by component.
//!
//! In: variables, named as Istio's ztunnel names them ([`VARIABLES`] lists them all).
//! Out: one [`Config`], whose parts go to their components, and [`Warning`]s about what is not built.
//! Never: opens a file, connects, reads anything a second time.
//!
//! A variable that is set to nothing counts as not set, because manifests cannot always leave one out.
//! Unknown variables are ignored. A value that cannot be used stops the start, together with all others.

pub mod duration;
mod fault;
mod raw;
mod read;
mod sections;
mod variables;

use std::{ffi::OsString, num::NonZeroUsize};

pub use fault::{ConfigError, Fault, Warning};
pub use sections::{
    Authority, Capture, CaptureMode, Control, Dns, DnsListen, Drain, Exclusions, Hbone, Identity,
    LogFormat, Node, Policy, Proxy, SameNode, Source, Telemetry, Xds,
};
pub use variables::{Asks, State, VARIABLES, Variable, render_table};

use raw::Raw;

/// Everything that the environment says, by component. **Shape:** valid as a whole once it exists.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this ztunnel runs.
    pub node: Node,
    /// How pods and their connections come to it.
    pub capture: Capture,
    /// What the sockets of the data path are given.
    pub proxy: Proxy,
    /// Tunnels and their pool.
    pub hbone: Hbone,
    /// Certificates.
    pub identity: Identity,
    /// Where the mesh's configuration comes from.
    pub control: Control,
    /// Authorization.
    pub policy: Policy,
    /// Logs and the endpoints of operators.
    pub telemetry: Telemetry,
    /// The DNS proxy. It is served in every pod: whether queries are led to it is up to who writes the rules.
    pub dns: Dns,
    /// The end of the process.
    pub drain: Drain,
    /// Threads of the data path.
    pub workers: NonZeroUsize,
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// See [`Config::from_env`].
    pub fn load() -> Result<(Self, Vec<Warning>), ConfigError> {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        Self::from_env(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Reads variables and their values.
    ///
    /// # Errors
    /// Names every variable that is missing, refused or has a value that cannot be used, with what was expected.
    pub fn from_env(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let cpus = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut raw = Raw::new(variables);
        let warnings = raw.refuse_or_warn();
        let config = read::all(&mut raw, cpus);
        match (config, raw.into_faults()) {
            (Some(config), faults) if faults.is_empty() => Ok((config, warnings)),
            (_incomplete, faults) => Err(ConfigError { faults }),
        }
    }
}

#[cfg(test)]
mod tests;
