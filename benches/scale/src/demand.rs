//! Names that are asked for one by one, as ztunnel does it with on-demand discovery.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use control::xds::Outcome;
use grpc::Endpoint;
use mesh::Network;

use crate::client::{Client, runtime};
use crate::figures::OnDemand;
use crate::shape::Shape;
use crate::statistics::percentile;

/// How many names are asked for.
const NAMES: usize = 100;

/// Asks for the addresses of some pods and services.
///
/// # Errors
///
/// When one is not found.
pub(crate) fn run(shape: &Shape, endpoint: &Endpoint) -> Result<OnDemand> {
    let client = Client::start(endpoint, true)?;
    let ready = client.wait_ready()?;
    let runtime = runtime()?;
    let before = client.traffic();
    let mut random = shape.random(0, 4);
    let mut took = Vec::with_capacity(NAMES);
    let network = Network::default();
    for number in 0..NAMES {
        let pod = number % 2 == 0;
        let ip = IpAddr::from(if pod {
            Shape::ip(random.usize(..shape.size.workloads))
        } else {
            Shape::vip(random.usize(..shape.size.services))
        });
        let name = format!("/{ip}");
        let begun = Instant::now();
        let outcome = runtime.block_on(client.demand.fetch(&name));
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(outcome == Outcome::Present, "{name}: {outcome:?}");
        ensure!(
            client.view.load().knows(&network, ip),
            "{name}: not in the snapshot"
        );
    }
    let traffic = client.traffic().since(before);
    client.stop()?;
    Ok(OnDemand {
        ready_ms: ready.ready.as_secs_f64() * 1e3,
        median_ms: percentile(&took, 50).unwrap_or_default(),
        p99_ms: percentile(&took, 99).unwrap_or_default(),
        bytes: traffic.bytes as f64 / NAMES as f64,
    })
}
