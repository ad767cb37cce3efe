//! Pods of one node, joined without a tunnel (HB-11): what a tunnel would be asked is asked of them too.

#[path = "neighbours/apart.rs"]
mod apart;
#[path = "neighbours/drain.rs"]
mod drain;
#[path = "neighbours/families.rs"]
mod families;
#[path = "neighbours/imposter.rs"]
mod imposter;
#[path = "neighbours/joined.rs"]
mod joined;
#[path = "neighbours/network.rs"]
mod network;
#[path = "neighbours/policies.rs"]
mod policies;
#[path = "neighbours/revoked.rs"]
mod revoked;
#[path = "neighbours/survives.rs"]
mod survives;
#[path = "neighbours/waypoint.rs"]
mod waypoint;

use anyhow::{Context as _, Result};
use lab::{Capture, Lab, PodSpec, ServiceSpec, Start, Ztunnel};
use suites::traffic::{certified, opened};

/// A client and a server on node 1, a service, and a client on node 2.
fn lab(name: &str, capture: Capture) -> Result<Option<(Lab, [Ztunnel; 2])>> {
    lab_with(name, capture, &Start::default())
}

fn lab_with(name: &str, capture: Capture, start: &Start) -> Result<Option<(Lab, [Ztunnel; 2])>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server"))
        .pod(PodSpec::new("far").node(1))
        .service(ServiceSpec::new("server").port(80, 8080).backend("server"))
        .capture(capture)
        .build()?;
    let ztunnels = lab.start_ztunnels(start)?;
    certified(&ztunnels[0])?;
    Ok(Some((lab, ztunnels)))
}

/// How many connections a ztunnel has opened by how they are protected: as the client's side and as the server's.
fn counted(ztunnel: &Ztunnel, security: &str) -> Result<[f64; 2]> {
    let count = |reporter| {
        let labels = [
            ("reporter", reporter),
            ("connection_security_policy", security),
        ];
        opened(ztunnel, &labels).context("metrics")
    };
    Ok([count("source")?, count("destination")?])
}
