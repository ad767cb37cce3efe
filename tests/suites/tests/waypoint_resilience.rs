//! What the waypoint does about replicas that fail, are slow or full, come and go: with unmodified clients, under load.

#[path = "waypoint_resilience/balancing.rs"]
mod balancing;
#[path = "waypoint_resilience/checks.rs"]
mod checks;
#[path = "waypoint_resilience/faults.rs"]
mod faults;
#[path = "waypoint_resilience/hashing.rs"]
mod hashing;
#[path = "waypoint_resilience/limits.rs"]
mod limits;
#[path = "waypoint_resilience/locality.rs"]
mod locality;
#[path = "waypoint_resilience/outliers.rs"]
mod outliers;
#[path = "waypoint_resilience/retries.rs"]
mod retries;

use anyhow::{Context as _, Result, ensure};
use lab::eventually;
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, destination_rule};

/// A statistic of port 80 of `web`, by its name behind `envoy_cluster_`.
fn stat(ground: &Ground, name: &str) -> Result<f64> {
    stat_of(ground, "web", name)
}

/// The same of another service.
fn stat_of(ground: &Ground, service: &str, name: &str) -> Result<f64> {
    let cluster = format!("inbound-vip|80|http|{service}.shop.svc.cluster.local;");
    let name = format!("envoy_cluster_{name}");
    ground
        .waypoint()
        .metric(&name, &[("cluster_name", &cluster)])
}

/// Waits until a statistic of port 80 of `web` is as it must be.
fn wait_stat(ground: &Ground, name: &str, holds: impl Fn(f64) -> bool) -> Result<f64> {
    eventually(name, PATIENCE, || {
        let value = stat(ground, name)?;
        ensure!(holds(value), "it is {value}");
        Ok(value)
    })
}

/// Waits until the waypoint believes of no endpoint that it has a request: whatever ended, and however, is not counted any more.
fn wait_idle(ground: &Ground) -> Result<()> {
    eventually("no request is under way", PATIENCE, || {
        let dump = ground.waypoint().config_dump()?;
        let clusters = dump["clusters"].as_array().context("clusters")?;
        let hosts = clusters
            .iter()
            .filter_map(|it| it["hosts"].as_array())
            .flatten();
        for host in hosts.filter_map(|it| it.as_str()) {
            ensure!(host.contains(" active: 0,"), "{host}");
        }
        Ok(())
    })
}

/// Puts in force what `trafficPolicy` of a DestinationRule says of `web`; in place of what was before.
fn policy(ground: &Ground, yaml: &str) -> Result<()> {
    ground.apply(
        "policy",
        &destination_rule("web", &format!("trafficPolicy: {{{yaml}}}")),
    )
}
