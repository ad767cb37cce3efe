//! What a round measures.

use serde::{Deserialize, Serialize};

use crate::shape::Size;

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Of which mesh.
    pub(crate) size: Size,
    /// Manifest files.
    pub(crate) files: usize,
    /// Their bytes.
    pub(crate) manifest_bytes: u64,
    /// The controller.
    pub(crate) controller: Plane,
    /// The client that subscribes everything.
    pub(crate) client: Proxy,
    /// One endpoint changes.
    pub(crate) changes: Changes,
    /// The same while another client does not read.
    pub(crate) beside_stalled: Changes,
    /// What the controller held more after such a client had come. Units: bytes.
    pub(crate) stalled_bytes: f64,
    /// On demand.
    pub(crate) on_demand: OnDemand,
    /// Whether the lookups had real-time priority.
    pub(crate) preferred: bool,
    /// Gaps with nothing going on.
    pub(crate) idle: Gaps,
    /// Gaps while other threads compute.
    pub(crate) busy: Gaps,
    /// Gaps while everything arrives.
    pub(crate) push: Gaps,
    /// Gaps while one endpoint changes.
    pub(crate) changing: Gaps,
}

/// The controller. Units: bytes and seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plane {
    /// From the start of the process until it is ready.
    pub(crate) ready_s: f64,
    /// Of it until the manifests are read.
    pub(crate) read_s: f64,
    /// Of it compiling and publishing.
    pub(crate) compile_s: f64,
    /// The most that it held until it was ready.
    pub(crate) highest: u64,
    /// What it held then, without pages of files.
    pub(crate) at_ready: u64,
    /// What it held after a client had got everything.
    pub(crate) after_push: u64,
    /// What it held at the end.
    pub(crate) at_end: u64,
}

/// The client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proxy {
    /// From the connect until the large response is there. Units: seconds.
    pub(crate) received_s: f64,
    /// Until all is applied. Units: seconds.
    pub(crate) ready_s: f64,
    /// Responses.
    pub(crate) messages: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// By how much the process grew, without pages of files. Units: bytes.
    pub(crate) growth: f64,
    /// By how much it grew at the most. Units: bytes.
    pub(crate) highest_growth: f64,
}

/// One endpoint that changes. Medians but for one. Units: milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// From the rename to the client's snapshot.
    pub(crate) median_ms: f64,
    /// The same, the 99th percentile.
    pub(crate) p99_ms: f64,
    /// Until the controller has read the folder: waiting for quiet, and looking at the files.
    pub(crate) until_read_ms: Option<f64>,
    /// Compiling and publishing.
    pub(crate) compile_ms: Option<f64>,
    /// From there to the client's snapshot.
    pub(crate) push_ms: Option<f64>,
    /// Responses per change.
    pub(crate) messages: f64,
    /// Their bytes per change.
    pub(crate) bytes: f64,
}

/// Names that are asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OnDemand {
    /// From the connect until ready. Units: milliseconds.
    pub(crate) ready_ms: f64,
    /// One name. Units: milliseconds.
    pub(crate) median_ms: f64,
    /// The same, the 99th percentile.
    pub(crate) p99_ms: f64,
    /// Bytes of responses per name.
    pub(crate) bytes: f64,
}

/// Gaps between decisions of one phase. Units: microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Gaps {
    /// How many decisions there were.
    pub(crate) decisions: u64,
    /// Of them, how many found both the pod and an endpoint.
    pub(crate) found: u64,
    /// The longest, by the clock on the wall.
    pub(crate) longest_us: f64,
    /// The most CPU time between two decisions.
    pub(crate) longest_cpu_us: f64,
    /// The longest in which, or just before which, a new snapshot was met.
    pub(crate) longest_at_change_us: f64,
    /// One in a million is as long or longer; whole microseconds.
    pub(crate) one_in_a_million_us: f64,
    /// How many were longer than the goal.
    pub(crate) beyond_goal: u64,
}
