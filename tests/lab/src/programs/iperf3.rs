//! iperf3: bulk throughput.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::started;
use crate::machine::Machine;
use crate::process::Process;

/// Starts an iperf3 server on `port`, IPv4 and IPv6.
///
/// # Errors
///
/// When it is not installed or does not listen in time.
pub fn iperf3_server(pod: &Machine, port: u16) -> Result<Process> {
    let process = pod.spawn([
        "iperf3",
        "--server",
        "--forceflush",
        "--port",
        &port.to_string(),
    ])?;
    started(pod, &process, port)?;
    Ok(process)
}

/// What an iperf3 client measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Bits per second, as the receiving side counted.
    pub bits_per_second: f64,
    /// Bytes that arrived.
    pub bytes: u64,
}

impl Bandwidth {
    /// Runs an iperf3 client for `time`. `arguments` are added: `["--reverse"]` for the other direction,
    /// `["--parallel", "4"]` for several streams.
    ///
    /// # Errors
    ///
    /// When the client fails; the text is iperf3's own.
    pub fn measure(
        client: &Machine,
        server: IpAddr,
        port: u16,
        time: Duration,
        arguments: &[&str],
    ) -> Result<Self> {
        let (server, port, seconds) = (
            server.to_string(),
            port.to_string(),
            time.as_secs().max(1).to_string(),
        );
        let line = [
            "iperf3", "--json", "--client", &server, "--port", &port, "--time", &seconds,
        ];
        let output = client
            .command(line.into_iter().chain(arguments.iter().copied()))
            .timeout(time + Duration::from_secs(15))
            .output()?;
        let report: Value =
            serde_json::from_str(&output.text()).with_context(|| format!("{output:?}"))?;
        if let Some(error) = report["error"].as_str() {
            bail!("iperf3: {error}");
        }
        let received = &report["end"]["sum_received"];
        Ok(Self {
            bits_per_second: received["bits_per_second"]
                .as_f64()
                .context("iperf3 gave no bits_per_second")?,
            bytes: received["bytes"].as_u64().context("iperf3 gave no bytes")?,
        })
    }
}
