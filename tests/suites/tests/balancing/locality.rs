//! A service whose near endpoints come first.

use anyhow::{Result, ensure};
use lab::{Capture, Config};
use serde_json::json;

use super::{WEB, Web, set};

/// A service that prefers what is near: the client's zone, its region, anything; and one that insists.
fn locality(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let web = Web::start("locality", capture, Config::File)?;
    web.lab.scenario(|| {
        web.change(|mesh| {
            for (pod, region, zone) in [
                ("client", "eu", "a"),
                ("one", "eu", "a"),
                ("three", "eu", "b"),
                ("none", "us", "a"),
                ("sick", "us", "b"),
            ] {
                set(
                    mesh,
                    pod,
                    "locality",
                    json!({"region": region, "zone": zone}),
                )?;
            }
            // What istiod makes of PreferClose.
            mesh.service_mut(WEB)?["loadBalancer"] =
                json!({"routingPreferences": ["Network", "Region", "Zone"], "mode": "Failover"});
            Ok(())
        })?;
        let check = |expected: &[&str]| -> Result<()> {
            for family in 0..2 {
                let shares = web.shares(family, 40)?;
                ensure!(
                    shares.keys().eq(expected),
                    "{shares:?}, expected {expected:?}"
                );
            }
            Ok(())
        };
        check(&["one"])?;
        // One by one they fall ill: the region is next, then all others.
        web.change(|mesh| set(mesh, "one", "status", json!("Unhealthy")))?;
        check(&["three"])?;
        web.change(|mesh| set(mesh, "three", "status", json!("Unhealthy")))?;
        check(&["none", "sick"])?;
        web.change(|mesh| set(mesh, "one", "status", json!("Healthy")))?;
        check(&["one"])?;
        // The client moves.
        web.change(|mesh| {
            set(
                mesh,
                "client",
                "locality",
                json!({"region": "us", "zone": "b"}),
            )
        })?;
        check(&["sick"])?;

        // What istiod makes of internalTrafficPolicy: Local. The client's node is the first; so is that of two pods.
        let local = json!({"routingPreferences": ["Node"], "mode": "Strict"});
        web.change(|mesh| {
            set(mesh, "three", "status", json!("Healthy"))?;
            mesh.service_mut(WEB)?["loadBalancer"] = local.clone();
            Ok(())
        })?;
        check(&["none", "one"])?;
        web.change(|mesh| {
            set(mesh, "one", "status", json!("Unhealthy"))?;
            set(mesh, "none", "status", json!("Unhealthy"))
        })?;
        web.has_nobody()
    })
}

#[test]
fn near_endpoints_are_taken_before_far_ones_under_agent_capture() -> Result<()> {
    locality(Capture::Agent)
}

#[test]
fn near_endpoints_are_taken_before_far_ones_under_iptables_capture() -> Result<()> {
    locality(Capture::Iptables)
}

#[test]
fn near_endpoints_are_taken_before_far_ones_under_ebpf_capture() -> Result<()> {
    locality(Capture::Ebpf)
}
