//! One window of one subject.

use serde::Serialize;

use crate::scenario::Scenario;

/// One window of one subject. CPU times in seconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Block {
    /// What was done.
    pub(crate) scenario: Scenario,
    /// To whom.
    pub(crate) subject: String,
    /// The block's number, from 0: blocks of the same number were measured next to each other.
    pub(crate) index: usize,
    /// The window's length.
    pub(crate) seconds: f64,
    /// Bytes, requests or connections that were complete within it.
    pub(crate) units: u64,
    /// Bytes of the bulk that passed beside requests.
    pub(crate) beside_bytes: Option<u64>,
    /// Connections that failed at the client, warm-up and end included.
    pub(crate) failed: u64,
    /// Connections that failed at the server.
    pub(crate) failed_at_server: u64,
    /// Half of the requests or connections took no longer; microseconds.
    pub(crate) p50_us: Option<f64>,
    /// 99 of 100 took no longer.
    pub(crate) p99_us: Option<f64>,
    /// Half of the requests of the slowest of standing connections took no longer; `None` as well where one got no answer.
    pub(crate) slowest_p50_us: Option<f64>,
    /// Half of the calls of `connect` took no longer, where they were timed by themselves.
    pub(crate) connect_p50_us: Option<f64>,
    /// The ztunnel of the client's node.
    pub(crate) cpu_near_s: Option<f64>,
    /// The ztunnel of the server's node, if that is another.
    pub(crate) cpu_far_s: Option<f64>,
    /// All processors of the machine, whoever used them.
    pub(crate) cpu_machine_s: f64,
    /// What the hypervisor took.
    pub(crate) cpu_stolen_s: f64,
    /// The load generator: client and server.
    pub(crate) cpu_generator_s: f64,
}

impl Block {
    /// Both ztunnels together, where there are two.
    pub(crate) fn cpu_both_s(&self) -> Option<f64> {
        Some(self.cpu_near_s? + self.cpu_far_s?)
    }

    /// What neither generator nor ztunnels used, as a share of the window's processor time: other
    /// programs, and kernel work that is charged to nobody.
    pub(crate) fn disturbance(&self, processors: usize) -> f64 {
        let ztunnels = self.cpu_near_s.unwrap_or(0.0) + self.cpu_far_s.unwrap_or(0.0);
        let known = self.cpu_generator_s + ztunnels;
        (self.cpu_machine_s - known).max(0.0) / (self.seconds * processors as f64)
    }

    /// What the hypervisor took, as a share of the same.
    pub(crate) fn stolen(&self, processors: usize) -> f64 {
        self.cpu_stolen_s / (self.seconds * processors as f64)
    }
}
